"""The planner that does not know the future."""

import numpy as np
import pytest

from agents import make_agent
from kvgym.evaluation import play
from tests.envs.helpers import SMALL

SHORT = {"episode_requests": 16}


def episode(agent, scenario, **options):
    return play(agent, scenario, 3, overrides={**SMALL[scenario], **SHORT}, split="train", **options)


@pytest.mark.parametrize("scenario", ["gsp-stable", "multi-turn", "failover"])
def test_it_plays_and_repeats_itself(scenario):
    once, again = (episode(make_agent("planner_blind", futures=3, ahead=8), scenario) for _ in range(2))
    assert once.actions_sha256 == again.actions_sha256 and once.n_invalid == 0
    assert np.isfinite(once.J) and once.oracle


def test_with_much_caution_it_is_the_rule():
    rule = make_agent("planner", rules=["prefix_affinity"], ahead=())
    blind = make_agent("planner_blind", rule="prefix_affinity", futures=2, ahead=8, caution=1e9)
    assert episode(blind, "mixed-fleet").actions_sha256 == episode(rule, "mixed-fleet").actions_sha256


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
