"""The scaled form's own logarithm is the library's, to the last bit that an observation holds."""

import numpy as np
from numba import njit

from kvgym.envs.kernels import scale as kernels
from kvgym.envs.layout import Layout


@njit
def log_of_sum(x):
    return kernels.log_of_sum(x)


@njit
def scale(at, n, first):
    kernels.scale(at, n, first)


def test_the_logarithm_is_the_librarys_to_float32():
    assert log_of_sum(0.0) == 0.0
    for x in 10 ** np.random.default_rng(0).uniform(-9, 9, 20_000):
        assert np.float32(log_of_sum(x)) == np.float32(np.log(1.0 + x))
        assert abs(log_of_sum(x) - np.log(1.0 + x)) <= 2e-15 * np.log(1.0 + x)


def test_features_are_scaled_as_the_layout_says():
    layout = Layout(1, evicts=True, n_candidates=1, fetches=True)  # one of each block, in the order of their numbers
    rng = np.random.default_rng(1)
    for _ in range(50):
        physical = (10 ** rng.uniform(-3, 9, layout.size) * (rng.random(layout.size) < 0.9)).astype(np.float32)
        block = physical.copy()
        scale(block.ctypes.data, len(block), 0)
        assert np.allclose(block, layout.scaled(physical), rtol=1e-6)
