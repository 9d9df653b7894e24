"""Physical to scaled features, many at a time: what `features.py` says of the form "scaled"."""

from itertools import accumulate

import numpy as np

from kvgym._kernel import kernel
from kvgym.envs import features
from kvgym.sim.base.access import array_at

_BLOCKS = (
    *(features.DECISION_FEATURES, features.REQUEST_FEATURES, features.WORKER_FEATURES),
    *(features.FETCH_FEATURES, features.EVICT_FEATURES, features.CANDIDATE_FEATURES),
)
_FEATURES = [feature for block in _BLOCKS for feature in block]
FIRST_REQUEST, FIRST_WORKER, FIRST_FETCH, FIRST_EVICT, FIRST_CANDIDATE, _ = accumulate(map(len, _BLOCKS))
"""Numbers of the first feature of each block but that of the decision."""
_SCALED = np.array([feature.transform != features.IDENTITY for feature in _FEATURES])
_LOGARITHMIC = np.array([feature.transform == features.LOGARITHMIC for feature in _FEATURES])
_SCALE = np.array([feature.scale for feature in _FEATURES])
_CAP = np.array([feature.cap for feature in _FEATURES])
# The scaled form of x: log(1 + x bend) log_factor + x factor, at most top.
_BEND = _LOGARITHMIC / _SCALE
_LOG_FACTOR = _LOGARITHMIC / np.log1p(_CAP / _SCALE)
_FACTOR = np.where(_LOGARITHMIC, 0.0, np.where(_SCALED, 1.0 / _CAP, 1.0))
_TOP = np.where(_SCALED, 1.0, np.inf)
_ROOT_HALF = np.float64(0.7071067811865476).view(np.int64)
CELL = 4
"""Bytes of a feature."""


block_at = array_at(np.float32)
"""The `n` features at an address."""


@kernel(error_model="numpy")
def log_of_sum(x):
    """log(1 + x) for x >= 0 by additions, multiplications and one division, to a few units of the last place.

    1 + x = 2**e m with m near 1, and log m = 2 artanh((m - 1) / (m + 1)). A library's logarithm comes one at a time.
    """
    bits = np.float64(1.0 + x).view(np.int64)
    exponent = (bits - _ROOT_HALF) >> 52
    m = np.int64(bits - (exponent << 52)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)  # |s| <= 0.172: nine terms reach 1e-15
    square = s * s
    series = 1.0 / 17.0
    for odd in range(15, 0, -2):
        series = series * square + 1.0 / odd
    return np.float64(exponent) * 0.6931471805599453 + 2.0 * s * series


@kernel
def scale(at, n, first):
    """Physical to scaled values, in place, of the `n` features at address `at`, the first of which is number `first`.

    Without a branch, so that the compiler makes vector instructions of it; a feature has one of the two factors.
    """
    block = block_at(at, n)
    for i in range(n):
        k = np.uint64(first + i)  # unsigned: an index that can't mean a place from the end
        x = np.float64(block[i])
        block[i] = min(_TOP[k], log_of_sum(x * _BEND[k]) * _LOG_FACTOR[k] + x * _FACTOR[k])
