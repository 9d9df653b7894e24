"""`agents.tune`: what is searched, within which budget, and that a search goes on as if it had not been interrupted."""

import json

import numpy as np
import pytest

from agents import AGENTS, NAMED, make_agent
from agents.tune import __main__ as tune
from agents.tune import search, space

SMALL = ["--scenario", "sanity", "--requests", "40", "--seeds", "1", "--validation-seeds", "2"]
DECLARED = {name: cls for name, cls in AGENTS.items() if cls.tunable}


@pytest.mark.parametrize("name", DECLARED)
def test_an_agent_accepts_all_of_its_ranges(name):
    ranges = space.ranges_of(NAMED[name], name, {})
    for end in (0, 1):
        make_agent(name, **{key: value[end] for key, value in ranges.items()})
    for key, value in ranges.items():
        for choice in value if isinstance(value, list) else ():
            make_agent(name, **{key: choice})


def test_rules_that_have_constants_say_so():
    assert {"lpwl", "lmetric", "chwbl", "llmd", "dynamo", "cache_aware", "kthena", "aibrix", "lbgr"} <= set(DECLARED)


@pytest.mark.parametrize(
    "value", [(1.0,), (2.0, 1.0), (0.0, 1.0, "log"), (1.0, 2.0, "linear"), [], [1, 2], 3.0, (0.0, float("inf"))]
)
def test_what_is_no_range(value):
    with pytest.raises(ValueError, match=r"x\.tunable\['a'\] must be "):
        space.ranges_of(type("X", (), {"tunable": {"a": value}}), "x", {})


class Trial:
    """Stands in for optuna's: suggests the middle."""

    def suggest_float(self, name, low, high, log):
        return (low * high) ** 0.5 if log else (low + high) / 2

    def suggest_int(self, name, low, high, log):
        return round(self.suggest_float(name, low, high, log))

    def suggest_categorical(self, name, choices):
        return choices[-1]


def test_constants_are_drawn_with_three_digits_within_their_ranges():
    ranges = {"a": (0.001, 0.0123456, "log"), "b": (1, 9), "c": ["x", "y"], "d": (1.23456, 1.23457)}
    assert space.draw(Trial(), ranges) == {"a": 0.00351, "b": 5, "c": "y", "d": 1.23456}


def plan(**changes):
    fields = {"agent": "lpwl", "fixed": {}, "ranges": {"x": (0.01, 100.0, "log")}, "seed": 0, "requests": 10}
    settings = (search.Setting("a", {}), search.Setting("b", {"count": 2}))
    return search.Plan(**{**fields, "settings": settings, "seeds": 2, "validation_seeds": 3, **changes})


@pytest.fixture
def played(monkeypatch):
    """What was played, in a world where J is least at x = 3 and the agent as it is has x = 1."""
    episodes = []

    def play(episode):
        episodes.append(episode)
        x = episode.form.get("x", 1.0)
        return (2.0 if episode.setting.scenario == "a" else 5.0) * np.exp(abs(np.log(x / 3.0))), 10

    monkeypatch.setattr(search, "play_episode", play)
    return episodes


def test_a_search_keeps_to_its_budget_and_finds_what_is_better(played):
    pytest.importorskip("optuna", reason="needs the extra tune")
    counts = []
    player = search.Player(plan(), None, None, "code")
    best, n, used = search.search(player, 40 * 25 + 39, counts.append)
    assert (n, used) == (24, 1000)
    assert sum(counts) == used
    assert best.form["x"] == pytest.approx(3.0, rel=0.3)
    assert {one.setting.overrides["episode_requests"] for one in played} == {10}
    assert {one.split for one in played} == {"train"}
    base = player.play({}, "train")
    assert search.gain(best, base).tolist() == pytest.approx(
        [np.log(max(best.form["x"] / 3, 3 / best.form["x"]) / 3)] * 2
    )
    checked = player.play(best.form, "validation")
    assert checked.costs.shape == (2, 3) and "episode_requests" not in played[-1].setting.overrides
    with pytest.raises(ValueError, match="--budget must be at least 80 decisions, of two forms; got 79"):
        search.search(search.Player(plan(), None, None, "code"), 79, counts.append)


def test_a_search_goes_on_as_if_it_had_not_been_interrupted(played, tmp_path):
    pytest.importorskip("optuna", reason="needs the extra tune")
    whole = search.search(search.Player(plan(), None, None, "code"), 40 * 20, lambda n: None)
    path = tmp_path / "trials.json"
    search.search(search.Player(plan(), None, path, "code"), 40 * 12, lambda n: None)
    del played[:]
    again = search.search(search.Player(plan(), None, path, "code"), 40 * 20, lambda n: None)
    assert len(played) == 4 * 8
    assert (again[0].form, again[1:]) == (whole[0].form, whole[1:])
    for other in ({"seed": 1}, {"fixed": {"max_age_s": 3}}):
        with pytest.raises(ValueError, match="holds another search"):
            search.Player(plan(**other), None, path, "code")
    with pytest.raises(ValueError, match="by other code"):
        search.Player(plan(), None, path, "other")


def test_a_small_search_writes_what_the_leaderboard_takes(tmp_path, capsys):
    pytest.importorskip("optuna", reason="needs the extra tune")
    options = [*SMALL[:2], "--evictor", "lru", "rlt", "--budget", "200", *SMALL[2:]]
    command = ["lpwl", "--agent-args", '{"max_age_s": 9}', *options]
    assert tune.main([*command, "--workers", "1", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    best = json.loads((tmp_path / "best.json").read_text())
    assert best["decisions"] <= best["budget"] == 200 and best["trials"] == 4
    assert best["agent_args"]["max_age_s"] == 9
    assert best["command"] == f"python -m agents.tune lpwl --agent-args '{command[2]}' {' '.join(options)}"
    make_agent(best["agent"], **best["agent_args"])
    assert f"--agent lpwl --agent-args '{json.dumps(best['agent_args'])}'" in said
    assert best["versions"]["optuna"] and best["plan"]["ranges"]["evictor"] == ["lru", "rlt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lpwl", "--scenario", "drift"], "--scenario drift is held out for tests"),
        (["round_robin"], "agent 'round_robin' has no constants to search"),
        (["lpwl", "--agent-args", "{"], "--agent-args must be JSON, got '{'"),
        (["lpwl", "--agent-args", '{"x": 1}'], "arguments of agent 'lpwl'"),
        (["lpwl", "--seeds", "0"], "--seeds must be an integer >= 1, got 0"),
        (["lru", "--evictor", "rlt"], "--evictor is for agents that route"),
    ],
)
def test_options_that_are_refused(arguments, message, capsys):
    pytest.importorskip("optuna", reason="needs the extra tune")
    with pytest.raises(SystemExit) as exit:
        tune.main(arguments)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err
