"""KVGym/Joint-v0 as several agents: PettingZoo's own checks, and the same episode decision by decision."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from kvgym.envs.joint import JointEnv
from tests.envs.helpers import small

pytest.importorskip("pettingzoo", reason="the extra pettingzoo is not installed")
with warnings.catch_warnings():  # PettingZoo's test imports an environment of its own in a way that it warns of
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import api_test, seed_test

from kvgym.integrations.pettingzoo import ClusterAec

DOCS = Path(__file__).parents[2] / "docs"
FEW_PAGES = {"recipe_args": {"lengths": [512, 2048]}, "workers": [{"kv_tokens": 4096, "cost": {"c0": 20.0}}] * 3}
FAULTS = {"faults": {"crash_every_s": 1.0, "down_s": 0.5, "until_s": 20.0}}


def settings(**more):
    return {"scenario_overrides": small("gsp-stable", **FEW_PAGES, **more), "candidates": 4}


@pytest.mark.parametrize("observation", ["scaled", "physical"])
def test_pettingzoo_has_nothing_to_complain_of(observation):
    """Warnings are errors here."""
    api_test(ClusterAec(**settings(), observation=observation, render_mode="ansi"), num_cycles=60)
    seed_test(lambda: ClusterAec(**settings(), observation=observation), num_cycles=60)


@pytest.mark.parametrize("more", [{}, FAULTS], ids=["plain", "faulty"])
def test_the_same_decisions_are_the_same_episode(more):
    """Observations, masks, rewards, records and metrics; each agent gets the joint return."""
    env, joint = ClusterAec(**settings(**more)), JointEnv(action="leaf", **settings(**more))
    env.reset(seed=5)
    observation, info = joint.reset(seed=5)
    draws, over, metrics, total, asked = np.random.default_rng(0), False, None, 0.0, set()
    received = dict.fromkeys(env.agents, 0.0)
    for agent in env.agent_iter():
        seen, reward, terminated, truncated, own = env.last()
        received[agent] += reward
        assert np.array_equal(seen, observation) and seen in env.observation_space(agent)
        if terminated or truncated:
            assert over and own == {"episode_metrics": metrics}
            env.step(None)
            continue
        asked.add(agent)
        first = 0 if agent == "router_0" else env.joint.layout.n_workers
        assert (agent == "router_0") == bool(observation[0])
        mask = info["action_mask"][first : first + env.action_space(agent).n]
        assert np.array_equal(own["action_mask"], mask) and own["time"] == info["time"]
        assert info["action_mask"].sum() == mask.sum()
        action = int(draws.choice(np.flatnonzero(mask)))
        env.step(action)
        observation, reward, terminated, truncated, info = joint.step(first + action)
        assert env.rewards == dict.fromkeys(env.agents, reward)
        total += reward
        over, metrics = terminated or truncated, info.get("episode_metrics")
    assert env.agents == [] and asked == set(env.possible_agents)
    assert np.array_equal(env.joint.simulator.records(), joint.simulator.records())
    assert [received[agent] for agent in env.possible_agents] == pytest.approx([total] * 4, rel=1e-9)


def test_the_evictor_that_is_asked_is_that_of_the_worker():
    env = ClusterAec(**settings())
    env.reset(seed=1)
    seen = set()
    for agent in env.agent_iter(200):
        if env.terminations[agent]:
            break
        if agent != "router_0":
            asked = env.joint.simulator.tables["clock"]["asking"][0]
            assert agent == f"evictor_{asked}"
            seen.add(agent)
        env.step(env.action_space(agent).sample(env.infos[agent]["action_mask"]))
    assert len(seen) > 1


def test_what_is_not_allowed():
    with pytest.raises(ValueError, match='action is always "leaf" here'):
        ClusterAec(action="rule")
    env = ClusterAec(**settings())
    env.reset(seed=0)
    with pytest.raises(ValueError, match=rf"action of {env.agent_selection} must be in Discrete\(\d\), got 9"):
        env.step(9)
    with pytest.raises(ValueError, match="workload_seed must be"):
        env.reset(options={"workload_seed": -1})


def test_the_example_of_the_docs_runs(capsys):
    text = (DOCS / "training_elsewhere.md").read_text(encoding="utf-8")
    exec(text.rpartition("```python\n")[2].partition("```")[0], {})
    assert float(capsys.readouterr().out) > 0
