"""Agents in the environment itself."""

import gymnasium as gym
import numpy as np
import pytest

from agents import AGENTS, make_agent
from kvgym.evaluation import play
from studies.lbgr_study import FORMS

SMALL = {"warmup_requests": 20, "episode_requests": 300, "recipe_args": {"groups": 16, "prompts_per_group": 20}}


@pytest.mark.parametrize("scenario", ["gsp", "gsp-stable"])
@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_plays_300_decisions(name, scenario):
    agent = make_agent(name)
    env = gym.make("kvgym:KVGym/Route-v0", scenario=scenario, scenario_overrides=SMALL, observation=agent.observation)
    observation, info = env.reset(seed=0)
    agent.reset(env, 0)
    for step in range(300):
        action = agent.act(observation, info)
        assert env.action_space.contains(np.int64(action))
        observation, _, terminated, truncated, info = env.step(action)
        assert terminated == (step == 299)
        assert not truncated
    assert info["episode_metrics"]["n"] == 300


def test_affinity_pays_on_shared_prefixes():
    options = {"overrides": SMALL, "split": "validation"}
    hit_rate = {name: play(make_agent(name), "gsp-stable", 0, **options).metrics["hit_rate"] for name in AGENTS}
    assert min(hit_rate["lbgr"], hit_rate["lbgr_code"], hit_rate["llmd"]) > hit_rate["least_loaded"] + 0.02
    assert hit_rate["cache_aware_03"] > hit_rate["cache_aware"]


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["gsp-stable", "long-doc"])
def test_a_regression_with_a_bias_and_no_bound_herds_and_the_default_does_not(scenario):
    def median(form, seed):
        name, arguments = FORMS[form]
        return play(make_agent(name, **arguments), scenario, seed, split="validation").metrics["e2e_p50"]

    for seed in (0, 1):
        none, default = median("no regression", seed), median("lbgr (default)", seed)
        assert default < 1.15 * none
        assert median("bias, no bound", seed) > 5 * default
        assert median("lbgr_code, true costs", seed) > 5 * default
        assert median("lbgr_code", seed) < 1.3 * none
