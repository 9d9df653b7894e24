"""Stable-Baselines3 plays the native vector form, and sees what it sees through its own DummyVecEnv."""

import numpy as np
import pytest

import kvgym
from kvgym.envs.joint import JointEnv
from kvgym.envs.route import RouteEnv
from tests.envs.helpers import small

sb3 = pytest.importorskip("stable_baselines3", reason="the extra train is not installed")
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize  # noqa: E402

from kvgym.integrations.sb3 import Sb3VecEnv, make_sb3  # noqa: E402

TIGHT = [{"kv_tokens": 4096, "cost": {"c0": 20.0}}] * 2
FAULTY = {
    "workers": [{"kv_tokens": 6144, "kv_bytes_per_token": 131072, "cost": {"c0": 20.0, "k": 0.1}, "count": 3}],
    "network": {"nodes": [0, 0, 1], "inside": "nvlink-h100", "between": "ethernet-100g"},
    "transfer": "auto",
    "faults": {"crash_every_s": 1.0, "down_s": 0.5, "until_s": 20.0},
}
"""Workers that crash, and fetch pages from each other."""


def settings(more=None, **kwargs):
    overrides = {"workers": TIGHT, "episode_requests": 12, "warmup_requests": 4, **(more or {})}
    return {"scenario_overrides": small("gsp-stable", **overrides), **kwargs}


@pytest.mark.parametrize("more", [{}, FAULTY], ids=["plain", "faulty"])
@pytest.mark.parametrize(
    ("id", "single", "kwargs"),
    [
        ("KVGym/Route-v0", RouteEnv, {"horizon": "truncate"}),
        ("KVGym/Joint-v0", JointEnv, {"action": "rule"}),
        ("KVGym/Joint-v0", JointEnv, {"action": "leaf", "candidates": 4}),
    ],
)
def test_it_shows_what_dummy_vec_env_shows(id, single, kwargs, more):
    kwargs = settings(more, **kwargs)
    ours = make_sb3(id, 3, **kwargs)
    theirs = DummyVecEnv([lambda: single(**kwargs)] * 3)
    ours.seed(4), theirs.seed(4)
    assert np.array_equal(ours.reset(), theirs.reset())
    ours.action_space.seed(0)
    ends, masks = 0, set()
    for _ in range(120):
        actions = np.array([ours.action_space.sample() for _ in range(3)])
        (a, b, c, ours_infos), (d, e, f, theirs_infos) = ours.step(actions), theirs.step(actions)
        assert np.array_equal(a, d) and np.array_equal(b, e) and np.array_equal(c, f)
        assert a.dtype == d.dtype and b.dtype == e.dtype and c.dtype == f.dtype
        assert np.array_equal(ours.env_method("action_masks"), theirs.env_method("action_masks"))
        masks |= {
            tuple(mask[: ours.get_attr("layout")[0].n_workers].tolist()) for mask in ours.env_method("action_masks")
        }
        for done, one, other in zip(c, ours_infos, theirs_infos, strict=True):
            if not done:
                assert one == {}
                continue
            ends += 1
            assert np.array_equal(one["terminal_observation"], other["terminal_observation"])
            assert one["TimeLimit.truncated"] == other["TimeLimit.truncated"]
            for name, value in other["episode_metrics"].items():
                assert np.array_equal(one[name], value, equal_nan=True)
    assert ends >= 3
    assert not more or any(any(mask) and not all(mask) for mask in masks)


def test_seeds_hold_for_one_reset():
    env = make_sb3("KVGym/Route-v0", 2, **settings())
    env.seed(7)
    first, second = env.reset(), env.reset()
    env.seed(7)
    assert np.array_equal(env.reset(), first)
    assert np.array_equal(env.reset(), second)
    assert not np.array_equal(first, second)


def test_wrappers_of_sb3():
    env = VecNormalize(VecMonitor(make_sb3("KVGym/Route-v0", 2, **settings()), info_keywords=("J", "hit_rate")))
    env.reset()
    ended = []
    for _ in range(30):
        _, _, _, infos = env.step(np.zeros(2, int))
        ended += [info["episode"] for info in infos if "episode" in info]
    assert len(ended) >= 4
    assert all(episode["l"] == 12 and episode["J"] > 0 and 0 <= episode["hit_rate"] <= 1 for episode in ended)
    assert env.get_attr("render_mode") == [None, None]
    assert env.env_is_wrapped(VecMonitor) == [False, False]


@pytest.mark.filterwarnings("ignore")  # torch's and SB3's own
@pytest.mark.parametrize(
    ("algorithm", "id", "kwargs"),
    [
        ("PPO", "KVGym/Route-v0", {}),
        ("DQN", "KVGym/Evict-v0", {"candidates": 4}),
        ("MaskablePPO", "KVGym/Evict-v0", {"candidates": 4}),
        pytest.param("MaskablePPO", "KVGym/Joint-v0", {}, marks=pytest.mark.slow),
        pytest.param("MaskablePPO", "KVGym/Joint-v0", {"action": "leaf", "candidates": 4}, marks=pytest.mark.slow),
        pytest.param("PPO", "KVGym/Route-v0", {"more": FAULTY}, marks=pytest.mark.slow),
        ("MaskablePPO", "KVGym/Route-v0", {"more": FAULTY}),
        pytest.param("MaskablePPO", "KVGym/Joint-v0", {"more": FAULTY}, marks=pytest.mark.slow),
        ("MaskablePPO", "KVGym/Joint-v0", {"more": FAULTY, "action": "leaf", "candidates": 4}),
    ],
)
def test_algorithms_learn_a_little(algorithm, id, kwargs):
    if algorithm == "MaskablePPO":
        make = pytest.importorskip("sb3_contrib", reason="the extra train is not installed").MaskablePPO
    else:
        make = getattr(sb3, algorithm)
    env = make_sb3(id, 4, stagger=True, **settings(horizon="truncate", **kwargs))
    more = {"learning_starts": 32} if algorithm == "DQN" else {"n_steps": 32, "batch_size": 32}
    model = make("MlpPolicy", env, seed=0, device="cpu", **more)
    allowed, step_wait = [], env.step_wait

    def watched():
        first = env._actions.reshape(4, -1)[:, 0]  # what a rule may be is never restricted
        allowed.extend(mask[action] for mask, action in zip(env.env_method("action_masks"), first, strict=True))
        return step_wait()

    env.step_wait = watched
    model.learn(256)
    assert model.num_timesteps >= 256
    if algorithm == "MaskablePPO":
        assert len(allowed) >= 256 and all(allowed)
        assert sum(env.get_attr("n_invalid")) == 0
    env.close()


def test_what_it_refuses():
    with pytest.raises(ValueError, match='autoreset_mode="SameStep", got "NextStep"'):
        Sb3VecEnv(kvgym.make_vec("KVGym/Route-v0", 2, **settings()).unwrapped)
    with pytest.raises(ValueError, match="must be a native vector environment"):
        Sb3VecEnv(DummyVecEnv([lambda: RouteEnv(**settings())]))
    env = make_sb3("KVGym/Route-v0", 2, **settings())
    with pytest.raises(ValueError, match="can't reset alone"):
        env.env_method("reset")


def test_a_monitor_finds_its_keywords_where_nothing_has_finished():
    overrides = {"episode_requests": 1, "warmup_requests": 0}
    env = VecMonitor(
        make_sb3("KVGym/Route-v0", 2, horizon="truncate", scenario_overrides=overrides), info_keywords=("J",)
    )
    env.seed(0)
    env.reset()
    infos = env.step(np.zeros(2, int))[3]
    assert all(np.isnan(info["episode"]["J"]) for info in infos)
