"""Percentiles and gathered infos are what NumPy and Gymnasium make, only sooner."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import VectorEnv

from kvgym.envs.metrics import NAMES, PERCENTILES, percentile
from kvgym.envs.vector import gather
from tests.envs.test_vector import assert_same


@pytest.mark.parametrize("n", [1, 2, 3, 20, 21, 100, 101, 4096])
def test_percentiles_are_numpys(n):
    for seed in range(20):
        values = np.random.default_rng(seed).exponential(size=n)
        ordered = np.sort(values)
        assert [percentile(ordered, p) for p in PERCENTILES] == np.percentile(values, PERCENTILES).tolist()


def test_infos_are_gathered_as_gymnasium_does():
    base = VectorEnv()
    base.num_envs = 5
    infos = [
        {"final_obs": np.ones(2), "final_info": {"dt": 0.5, "mask": np.ones(3, np.int8), "metrics": {"n": 0.0}}},
        {
            "final_obs": np.zeros(2),
            "final_info": {"dt": 1.5, "mask": np.ones(3, np.int8), "metrics": {"n": 2.0, "J": 1.0}},
        },
    ]
    expected = {}
    for i, info in zip((3, 1), infos, strict=True):
        expected = base._add_info(expected, info, i)
    assert_same(gather(5, (3, 1), infos), expected)


def test_metrics_have_the_same_names_where_nothing_has_finished():
    env = gym.make(
        "KVGym/Route-v0", horizon="truncate", scenario_overrides={"episode_requests": 1, "warmup_requests": 0}
    )
    env.reset(seed=0)
    metrics = env.step(0)[4]["episode_metrics"]
    assert metrics.pop("n") == 0
    assert tuple(metrics) == NAMES and np.isnan(list(metrics.values())).all()
    full = gym.make("KVGym/Route-v0", scenario_overrides={"episode_requests": 1, "warmup_requests": 0})
    full.reset(seed=0)
    assert tuple(full.step(0)[4]["episode_metrics"]) == ("n", *NAMES)
