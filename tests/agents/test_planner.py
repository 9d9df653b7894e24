"""The clairvoyant planner: it does what it planned, and is never worse than what it began with."""

import numpy as np
import pytest

from agents import make_agent
from agents.bounds.planner import RULES, kin_of
from kvgym.evaluation import play
from kvgym.evaluation.episode import record
from kvgym.scenarios import get_scenario
from tests.envs.helpers import SMALL

SHORT = {"episode_requests": 24}


def episode(agent, scenario, **options):
    return play(agent, scenario, 3, overrides={**SMALL[scenario], **SHORT}, split="train", **options)


@pytest.mark.parametrize(
    ("scenario", "evictor"),
    [
        ("gsp-stable", "rlt"),
        ("multi-turn", "lru"),
        ("mixed-fleet", "belady"),
        ("failover", "ghost_slru"),
        ("multi-node-agents", "lru"),
    ],
)
def test_it_is_at_least_as_good_as_what_it_began_with(scenario, evictor):
    incumbents = ["lbgr_code", "chwbl"]
    agent = make_agent("planner", incumbents=incumbents, ahead=(8, 64))
    planned = episode(agent, scenario, evictor=evictor)
    assert planned.J * SHORT["episode_requests"] == pytest.approx(agent.plan.cost, rel=1e-9)
    assert planned.n_actions == len(agent.plan.actions) and planned.n_invalid == 0
    first = [make_agent(name) for name in incumbents]
    first += [make_agent("planner", rules=[rule], ahead=()) for rule in RULES]
    best = min(episode(one, scenario, evictor=evictor).J for one in first)
    cost = planned.J
    assert cost <= best * (1 + 1e-12)


@pytest.mark.parametrize("scenario", ["multi-turn", "failover"])
def test_a_plan_without_passes_is_what_the_incumbent_does(scenario):
    overrides = {**SMALL[scenario], "warmup_router": "least_loaded"}
    for name in ("lbgr_code", "lpwl_aged", "dynamo"):  # the last one has another view
        own, planned = (
            record(agent, scenario, 5, overrides=overrides, split="train")
            for agent in (make_agent(name), make_agent("planner", rules=(), incumbents=[name], ahead=()))
        )
        assert own.actions.tolist() == planned.actions.tolist()
        assert own.episode.records_sha256 == planned.episode.records_sha256


def test_it_gains_where_a_rule_does_badly():
    agent = make_agent("planner", rules=["random"], ahead=(64,))
    assert episode(agent, "gsp-stable").J < 0.8 * episode(make_agent("random"), "gsp-stable").J


@pytest.mark.parametrize(("name", "labels"), [("gsp-stable", 2), ("multi-turn", 2), ("sanity", 1)])
def test_labels_of_kin_that_say_the_same_are_there_once(name, labels):
    scenario = get_scenario(name)
    kin = kin_of(scenario.workload(scenario.seeds(0, "train", 0)[0], "train"))
    assert len(kin) == labels
    assert all(np.array_equal(one[one], one) for one in kin)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rules": ["best"]}, "rules must be one of random, .*; got 'best'"),
        ({"rules": ()}, "rules must name a rule, or incumbents an agent"),
        ({"ahead": (0,)}, "ahead must be .* 1"),
        ({"incumbents": ["nobody"]}, "agent must be one of"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        episode(make_agent("planner", **arguments), "gsp-stable")
