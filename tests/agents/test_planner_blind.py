"""The planner that does not know the future."""

import numpy as np
import pytest

from agents import make_agent
from kvgym.evaluation import play
from kvgym.evaluation.stage import make_env
from tests.envs.helpers import SMALL

SHORT = {"episode_requests": 16}


def episode(agent, scenario, **options):
    return play(agent, scenario, 3, overrides={**SMALL[scenario], **SHORT}, split="train", **options)


@pytest.mark.parametrize("scenario", ["gsp-stable", "multi-turn", "failover"])
def test_it_plays_and_repeats_itself(scenario):
    once, again = (episode(make_agent("planner_blind", futures=3, ahead=8), scenario) for _ in range(2))
    assert once.actions_sha256 == again.actions_sha256 and once.n_invalid == 0
    assert np.isfinite(once.J) and once.oracle


class Said:
    """Stands for a look-ahead: the rule takes worker 0, and futures say in turn what the others cost."""

    def __init__(self, costs):
        self.costs_of = iter(costs)

    def choice(self, simulator, rule):
        return 0

    def costs(self, simulator, rule, ahead):
        return np.array(next(self.costs_of))[:, None] * np.ones(2)


@pytest.mark.parametrize(
    ("caution", "costs", "taken"),
    [
        (0.0, [[9, 5, 8, 20], [9, 11, 9, 20]], 1),  # d = 0, -1, -0.5
        (1.0, [[9, 5, 8, 20], [9, 11, 9, 20]], 0),  # d + e = 0, -1 + 3, -0.5 + 0.5: the first of equals
        (1.0, [[9, 5, 7, 20], [9, 11, 8, 20]], 2),  # -1.5 + 0.5
        (1.0, [[9, 5, np.inf, 20], [9, 11, np.inf, 20]], 0),  # worker 2 is down
    ],
)
def test_where_futures_disagree_the_rule_stands(caution, costs, taken):
    agent = make_agent("planner_blind", futures=2, caution=caution)
    env = make_env(agent, "gsp-stable", overrides={**SMALL["gsp-stable"], **SHORT}, split="train")
    observation, info = env.reset(seed=0)
    agent.reset(env, 0)
    agent._lookahead = Said(costs)
    info["action_mask"][:] = np.isfinite(costs).all(axis=0)
    assert agent.act(observation, info) == taken


def test_it_improves_a_bad_rule():
    blind = make_agent("planner_blind", rule="round_robin", futures=4, ahead=16)
    cost, bad = episode(blind, "mixed-fleet").J, episode(make_agent("round_robin"), "mixed-fleet").J
    assert cost < 0.9 * bad


@pytest.mark.parametrize(
    "arguments", [{"rule": "agent"}, {"futures": 1}, {"ahead": 0}, {"caution": -1.0}, {"caution": float("nan")}]
)
def test_refusals(arguments):
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} must be"):
        make_agent("planner_blind", **arguments)


def test_it_needs_an_environment_that_can_be_copied():
    with pytest.raises(ValueError, match="where a rule evicts"):
        make_agent("pair", router=make_agent("planner_blind"), evictor="lru")
        episode(make_agent("pair", router=make_agent("planner_blind"), evictor="lru"), "gsp-stable")
