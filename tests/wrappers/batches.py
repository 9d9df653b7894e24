"""Native batches and Gymnasium's own of wrapped single environments, step by step."""

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv

import kvgym
from tests.envs.helpers import small
from tests.envs.test_vector import TIGHT, assert_same

FORMS = {
    "route": ("KVGym/Route-v0", {"horizon": "truncate"}),
    "route-admission": ("KVGym/Route-v0", {"admission": True}),
    "evict": ("KVGym/Evict-v0", {"candidates": 4}),
    "joint": ("KVGym/Joint-v0", {}),
    "joint-leaf": ("KVGym/Joint-v0", {"action": "leaf", "candidates": 4}),
}

FAULTY = {
    "workers": [{"kv_tokens": 6144, "kv_bytes_per_token": 131072, "cost": {"c0": 20.0, "k": 0.1}, "count": 3}],
    "network": {"nodes": [0, 0, 1], "inside": "nvlink-h100", "between": "ethernet-100g"},
    "transfer": "auto",
    "faults": {"crash_every_s": 2.0, "down_s": 1.0, "until_s": 40.0},
}
"""Overrides: workers that crash, and fetch pages from each other."""


def settings(form, more=None):
    overrides = {"workers": TIGHT, "episode_requests": 9, "warmup_requests": 4, **(more or {})}
    return {"scenario_overrides": small("gsp-stable", **overrides), **FORMS[form][1]}


def native(form, mode, n=4, more=None):
    return kvgym.make_vec(FORMS[form][0], n, autoreset_mode=mode, **settings(form, more))


def assert_equal(one, other):
    """Observations: arrays, dictionaries of them."""
    if isinstance(one, dict):
        assert list(one) == list(other)
        for name in one:
            assert np.array_equal(one[name], other[name])
    else:
        assert np.array_equal(one, other)


def assert_is_what_gymnasium_makes(wrap_native, wrap_single, form, mode, n=4, steps=60, more=None):
    """A wrapped native batch shows what single environments show that are wrapped one by one."""
    kwargs = settings(form, more)
    ours = wrap_native(native(form, mode, n, more))
    single = [lambda: wrap_single(gym.make(FORMS[form][0], **kwargs).unwrapped)] * n
    theirs = SyncVectorEnv(single, autoreset_mode=gym.vector.AutoresetMode(mode))
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.observation_space == theirs.observation_space
    a, b = ours.reset(seed=3), theirs.reset(seed=3)
    assert_equal(a[0], b[0])
    assert_same(a[1], b[1])
    ours.action_space.seed(1)
    ended = 0
    for _ in range(steps):
        actions = ours.action_space.sample()
        a, b = ours.step(actions), theirs.step(actions)
        finals = [step[4].pop("final_obs", None) for step in (a, b)]
        for x, y in zip(*(list(final) if final is not None else [] for final in finals), strict=True):
            assert (x is None) == (y is None)
            if x is not None:
                assert_equal(x, y)
        assert_equal(a[0], b[0])
        for x, y in zip(a[1:4], b[1:4], strict=True):
            assert np.array_equal(x, y)
        assert_same(a[4], b[4])
        ended += int((a[2] | a[3]).sum())
    assert ended >= 3
    ours.close()
    theirs.close()
