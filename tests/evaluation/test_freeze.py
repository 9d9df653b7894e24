"""The anchors: found on validation seeds, played on test seeds, kept."""

import argparse

import numpy as np
import pytest

from agents import make_agent
from agents.leaderboard import freeze
from agents.leaderboard.entries import causal_routers
from kvgym.evaluation import RANDOM, REFERENCE, anchors, play

SHORT = "multi-turn"


@pytest.fixture
def small(monkeypatch):
    """A search among few, with few seeds."""
    monkeypatch.setattr(anchors, "N_SEEDS", 2)
    monkeypatch.setattr(freeze, "SEARCH_SEEDS", 1)
    monkeypatch.setattr(freeze, "FINAL_SEEDS", 1)
    monkeypatch.setattr(freeze, "N_BEST", 1)
    monkeypatch.setattr(freeze, "STRONG_EVICTOR", "lfu")
    monkeypatch.setattr(freeze, "CAUSAL_EVICTORS", ("lru", "lfu", "random"))
    monkeypatch.setattr(freeze, "causal_routers", lambda: [("round_robin", ""), ("least_loaded", "")])


def options(**given):
    names = (
        "anchors",
        "scenario",
        "load",
        "rate_scale",
        "out",
        "planner_seeds",
        "planner_requests",
        "fleet",
        "set",
        "trace",
    )
    more = dict.fromkeys((*names, "format", "jitter", "max_requests", "quick", "ray_address"))
    places = {"backend": "local", "workers": 1}
    return argparse.Namespace(**{**more, **places, "anchors": True, **given})


def test_the_best_pair_is_looked_for_on_validation_seeds_and_played_on_test_seeds(small, capsys, monkeypatch):
    kept = {}
    monkeypatch.setattr(anchors, "load", lambda: {"gsp": "as it was"})
    monkeypatch.setattr(anchors, "save", lambda found, version: kept.update(found))
    monkeypatch.setattr(freeze, "_headroom", lambda *case: None)  # the planner has a test of its own
    assert freeze.freeze(options(scenario=[SHORT])) == 0
    assert kept["gsp"] == "as it was"
    one = kept[SHORT]
    first = {
        (router, evictor): play(make_agent(router), SHORT, 0, evictor=evictor, split="validation").J
        for router in ("round_robin", "least_loaded")
        for evictor in ("lru", "lfu")
    }
    router = min(first, key=first.get)[0]
    second = {
        name: play(make_agent(router), SHORT, 0, evictor=name, split="validation").J
        for name in ("lru", "lfu", "random")
    }
    assert (one.frontier.pair.agent, one.frontier.pair.evictor) == (router, min(second, key=second.get))
    assert ((one.random.pair.agent, one.random.pair.evictor), one.seeds) == (RANDOM, (0, 1))
    assert (one.reference.pair.agent, one.reference.pair.evictor) == REFERENCE
    played = [play(make_agent(router), SHORT, seed, evictor=one.frontier.pair.evictor).J for seed in (0, 1)]
    assert one.frontier.J.tolist() == played
    assert one.planner is None and "no planner was played" in capsys.readouterr().out


def test_the_planner_plays_the_episodes_of_the_frontier(small, monkeypatch):
    found = []
    monkeypatch.setattr(anchors, "load", dict)
    monkeypatch.setattr(anchors, "save", lambda found_, version: found.append(found_[SHORT]))
    freeze.freeze(options(scenario=[SHORT], planner_seeds=1, planner_requests=20))
    planner, pair = found[0].planner, found[0].frontier.pair
    short = {"episode_requests": 20}  # it is not 10 % below without a look-ahead
    assert (planner.overrides, planner.seeds, planner.pair.args["ahead"]) == (short, (0,), [32])
    assert planner.pair.evictor == f"{pair.evictor} or belady"
    assert [*planner.frontier] == [play(make_agent(pair.agent), SHORT, 0, evictor=pair.evictor, overrides=short).J]
    planned = [
        play(make_agent("planner", **planner.pair.args), SHORT, 0, evictor=evictor, overrides=short).J
        for evictor in (pair.evictor, "belady")
    ]
    assert [*planner.J] == [min(planned)]


def test_without_planner_seeds_the_best_pair_is_known_and_nothing_is_ranked(small, monkeypatch):
    found = []
    monkeypatch.setattr(anchors, "load", dict)
    monkeypatch.setattr(anchors, "save", lambda found_, version: found.append(found_[SHORT]))
    freeze.freeze(options(scenario=[SHORT], planner_seeds=0))
    assert found[0].frontier is not None and found[0].planner is None
    assert found[0].why_not_ranked.startswith("no planner was played")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"quick": True}, "--anchors is played as it must be; it takes no --quick"),
        ({"set": ["count=8"], "scenario": ["gsp"]}, "it takes no --set"),
        ({"scenario": ["gsp"], "planner_seeds": -1}, "--planner-seeds must be an integer >= 0, got -1"),
        ({"scenario": ["tests.scenarios.own:shop"]}, "--anchors is for scenarios of the suite, got 'shop'"),
    ],
)
def test_what_is_refused(small, given, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        freeze.freeze(options(**given))


def test_no_oracle_is_among_the_routers():
    names = dict(causal_routers())
    assert "lpwl_aged" in names and names["dynamo"] == "exact"
    assert not {"random", "least_work", "planner"} & set(names)
    assert not any(np.any(getattr(make_agent(name), "oracle", False)) for name in names)
