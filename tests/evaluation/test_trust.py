"""What an agent may not do, and what comes of it."""

import copy
import gc
import io
import json
import pickle
import shutil
import types
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from agents import make_agent
from agents.joint.pair import Pair
from agents.joint.rule_pair import RulePair
from agents.leaderboard import __main__ as leaderboard
from agents.leaderboard import run as leaderboard_run
from agents.leaderboard.plan import make_plan
from kvgym.envs.base import ClusterEnv
from kvgym.envs.view import PUBLIC, RuleBroken, View, sealed
from kvgym.evaluation import guard, play, replay
from kvgym.evaluation.episode import record
from kvgym.evaluation.runs import Store
from kvgym.scenarios import Scenario, get_scenario
from kvgym.sim import Simulator
from tests.evaluation import cheats

CHEATS = Path(__file__).with_name("cheats.py")
SHORT = {"warmup_requests": 20, "episode_requests": 100}

REFUSED = {
    cheats.WritesTables: "has no simulator",
    cheats.TakesMemory: "has no simulator",
    cheats.RewritesRecords: "has no simulator",
    cheats.Copies: "can't be copied",
    cheats.CopiesFlatly: "can't be copied",
    cheats.Clones: "has no simulator",
    cheats.Pickles: "can't be pickled",
    cheats.Steps: "has no step",
    cheats.ReadsArrivals: "has no workload",
    cheats.ReadsSchedule: "has no faults",
    cheats.SetsAttributes: "layout can't be set",
    cheats.SetsSettings: "episode_requests can't be set",
    cheats.EvictsFromTables: "has no simulator",
}


@pytest.mark.parametrize("cheat", REFUSED)
def test_a_view_refuses_and_names_the_rule(cheat):
    scenario = "multi-turn" if issubclass(cheat, cheats.Evicts) else "sanity"
    with pytest.raises(RuleBroken, match=f"{REFUSED[cheat]}.*declares `oracle = True`"):
        play(cheat(), scenario, 0)


def records_of(agent):
    return record(agent, "sanity", 0, overrides=SHORT).records_sha256


def test_what_an_agent_is_given_is_a_copy():
    assert records_of(cheats.ChangesSettings()) == records_of(cheats.Honest())
    assert get_scenario("sanity").workers[0]


def test_callers_of_an_agent_hold_no_environment():
    agent = cheats.WalksFrames()
    assert records_of(agent) == records_of(cheats.Honest())
    assert agent.found == []


@pytest.mark.parametrize(
    ("kind", "options"), [("Route", {}), ("Evict", {"router": "tests.envs.spy:physical"}), ("Joint", {})]
)
def test_no_attribute_of_a_view_leads_to_the_environment(kind, options):
    env = gym.make(f"kvgym:KVGym/{kind}-v0", scenario="multi-turn", **options).unwrapped
    env.reset(seed=0)
    views = [View(env)] + ([env.adapter.view] if options else [])
    for view in views:
        for name in ("finished", "prompt_pages", "action_masks", "n_finished"):
            getattr(view, name)()
        assert reached(view) > 100


ATTRIBUTES = ("__self__", "__func__", "__closure__", "__wrapped__", "__dict__", "cell_contents", "args", "func")
SAFE = (str, bytes, int, float, type(None), type, type(io), np.generic, np.dtype, np.random.Generator)


def reached(start):
    """How many objects can be reached by attributes, items and closures, none of them the environment's."""
    todo, seen = [start], {}
    while todo:
        value = todo.pop()
        if id(value) in seen or isinstance(value, SAFE):
            continue
        seen[id(value)] = value
        assert not isinstance(value, (ClusterEnv, Simulator, Scenario)), value
        if isinstance(value, np.ndarray):
            todo.append(value.base)
            continue
        # What is bound has new wrappers at each look, without end.
        bound = isinstance(value, (types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType))
        for name in ATTRIBUTES if bound else [*dir(value), *ATTRIBUTES]:
            if name in ("__globals__", "__builtins__"):
                continue  # modules lead everywhere, as an import does
            try:
                todo.append(getattr(value, name))
            except Exception:
                continue
        if isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, (list, tuple)):
            todo += value
    return len(seen)


def test_a_sealed_function_shows_nothing():
    secret = ["future"]
    seal = sealed(lambda: len(secret))
    assert seal() == 1
    assert not any(hasattr(seal, name) for name in ("__closure__", "__self__", "__wrapped__", "__code__"))
    assert gc.get_referents(seal)  # what is walked is found: a rule, not a wall


def test_settings_are_those_of_the_scenario_and_can_be_kept():
    class Keeps(cheats.Honest):
        def reset(self, env, seed):
            self.kept = pickle.loads(pickle.dumps(copy.deepcopy(env.unwrapped.scenario)))

    agent, scenario = Keeps(), get_scenario("mixed-fleet")
    play(agent, "mixed-fleet", 0, overrides=SHORT)
    for name in set(PUBLIC) - {"cluster", "warmup_requests", "episode_requests"}:
        assert getattr(agent.kept, name) == getattr(scenario, name)
    assert not hasattr(agent.kept, "workload")


def test_a_strange_number_is_looked_at_where_the_environment_is_not():
    class Strange(int):
        def _look(self, other=0):
            cheats.WalksFrames.reset(agent, None, None)
            return 0

        __index__ = __int__ = __lt__ = __le__ = __eq__ = __hash__ = __rsub__ = _look

    class Answers(cheats.Honest):
        found = ()

        def act(self, observation, info):
            self.env.finished(Strange(0))
            return Strange(0)

    agent = Answers()
    play(agent, "sanity", 0, overrides=SHORT)
    assert list(agent.found) == []


def test_an_oracle_is_given_the_environment():
    episode = play(cheats.Oracle(), "sanity", 0, overrides=SHORT)
    assert episode.oracle
    assert not play(cheats.Honest(), "sanity", 0, overrides=SHORT).oracle


def test_a_pair_is_an_oracle_if_a_part_is_one():
    assert Pair(cheats.Oracle(), "lru").oracle
    assert RulePair(cheats.Oracle(), "lru").oracle
    assert not Pair("lbgr_code", "lru").oracle
    assert play(RulePair(cheats.Oracle(), "lru"), "sanity", 0, overrides=SHORT).oracle


@pytest.mark.parametrize("oracle", [False, True])
def test_an_oracle_behind_an_adapter_is_given_the_adapter(oracle, monkeypatch):
    monkeypatch.setattr(cheats, "make_agent", lambda name: getattr(cheats, name)(), raising=False)
    monkeypatch.setattr(cheats.RoutesFromTables, "oracle", oracle, raising=False)
    env = gym.make("KVGym/Evict-v0", scenario="multi-turn", router="tests.evaluation.cheats:RoutesFromTables")
    if oracle:
        env.reset(seed=0)
    else:
        with pytest.raises(RuleBroken, match="has no env"):
            env.reset(seed=0)


PLAYED = [
    ("lbgr", "gsp-stable", {"evictor": "rlt"}, {}),
    ("power_of_two", "failover", {}, {}),
    ("lru", "multi-turn", {"router": "agents:lbgr_code"}, {}),
    ("random_leaf", "long-doc", {"router": "agents:power_of_two"}, {}),
    ("pair", "multi-turn", {}, {"router": "lbgr_code", "evictor": "gdsf"}),
    ("rule_pair", "gsp-stable", {}, {"router": "lbgr", "rule": "lfu"}),
]


@pytest.mark.parametrize(("name", "scenario", "options", "arguments"), PLAYED)
def test_what_is_played_again_is_the_same(name, scenario, options, arguments):
    recording = record(make_agent(name, **arguments), scenario, 3, overrides=SHORT, **options)
    again = replay.replay(recording, scenario, 3, overrides=SHORT, **options)
    assert repr(again) == repr(recording.episode)  # NaN is not equal to itself


def changed(recording, **changes):
    for name, value in changes.items():
        object.__setattr__(recording, name, value)
    return recording


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actions": lambda r: r.actions[:-1]}, "not over after its last action"),
        ({"actions": lambda r: np.append(r.actions, 0)}, "over before its last action"),
        ({"actions": lambda r: np.where(np.arange(100) == 50, 7, r.actions)}, "0 to 1, got 7"),
        ({"actions": lambda r: 1 - r.actions * 0}, "J was .* the same actions played again give"),
        ({"episode": lambda r: replace(r.episode, workload_sha256="0")}, "the workload that was played is not"),
        (
            {"episode": lambda r: replace(r.episode, metrics={**r.episode.metrics, "J": 0.1})},
            "J was 0.1 s.* other metrics",
        ),
        ({"records_sha256": lambda r: "0"}, "other records of its requests"),
        ({"env_kwargs": lambda r: {"evictor": "belady"}}, "env_kwargs must be one of action"),
    ],
)
def test_what_is_not_the_same_is_not_ranked(change, message):
    recording = record(cheats.Turns(), "sanity", 0, overrides=SHORT)
    changed(recording, **{name: make(recording) for name, make in change.items()})
    with pytest.raises((RuleBroken, ValueError), match=message):
        replay.replay(recording, "sanity", 0, overrides=SHORT)


def test_answers_of_a_router_are_checked_too():
    options = {"overrides": SHORT, "router": "agents:power_of_two"}
    recording = record(make_agent("lru"), "multi-turn", 0, **options)
    assert len(recording.answers) == 100
    with pytest.raises(RuleBroken, match="can't be played again: StopIteration"):
        replay.replay(changed(recording, answers=recording.answers[:-1]), "multi-turn", 0, **options)


@pytest.mark.parametrize("cheat", [cheats.ReadsTheFuture, cheats.WalksMemory, cheats.WalksWithoutAsking])
def test_a_watched_process_refuses(cheat):
    play(cheats.Honest(), "sanity", 0, overrides=SHORT)
    with guard.watch():
        play(cheats.Honest(), "sanity", 0, overrides=SHORT)
        with pytest.raises(RuleBroken, match=r"leads to what is behind the view|which is the future"):
            play(cheat(), "sanity", 0, overrides=SHORT)
    gc.get_objects()
    get_scenario("sanity").workload(np.random.SeedSequence(0), "test")


def test_a_watched_agent_may_train_on_other_workloads():
    with guard.watch():
        for split in ("train", "validation"):
            get_scenario("sanity").workload(np.random.SeedSequence(0), split)


@pytest.fixture
def table(tmp_path, capsys):
    """Runs the leaderboard; who patches has a file of its own. Rows and errors by name, and what is printed."""

    def call(*kinds):
        names = []
        for kind in kinds:
            stem = kind.__name__ if kind.__name__.startswith("Patches") else "mine"
            shutil.copy(CHEATS, tmp_path / f"{stem}.py")
            names.append(f"{tmp_path}/{stem}.py:{kind.__name__}")
        argv = ["--scenario", "sanity", "--seeds", "1", "--workers", "2", "--out", str(tmp_path / "out")]
        code = leaderboard.main([*argv, "--agent", *names])
        (scenario,) = json.loads((tmp_path / "out" / "leaderboard.json").read_text())["scenarios"]
        rows, errors = ({row["agent"].rpartition(":")[2]: row for row in scenario[key]} for key in ("rows", "errors"))
        return code, rows, errors, capsys.readouterr().out

    return call


@pytest.mark.slow
def test_cheats_are_not_ranked_and_oracles_are_marked(table):
    reasons = {
        cheats.WritesTables: "has no simulator",
        cheats.ReadsTheFuture: "which is the future",
        cheats.WalksMemory: "gc.get_objects",
        cheats.PatchesStep: "the same actions played again give",
        cheats.PatchesMetrics: "J was 0.001 s, and the same actions played again give",
        cheats.PatchesNumpy: "the same actions played again give",
        cheats.PatchesEvaluation: "J was 0.001 s",
        cheats.PatchesChecks: "quantum, rules, admission, view; got 'evictor'",
    }
    oracles = (cheats.Oracle, cheats.Hides)
    code, rows, errors, out = table(*reasons, cheats.Honest, *oracles)
    assert code == leaderboard.FAILED
    assert set(rows) == {"random", "lbgr_code", "Honest", "Oracle", "Hides"}
    assert rows["Honest"]["J"] == play(cheats.Honest(), "sanity", 0).J  # the others did nothing to it
    for cheat, reason in reasons.items():
        error = errors.pop(cheat.__name__)
        assert error["broke_rule"]
        assert reason in error["error"]
        row = next(line for line in out.splitlines() if f".py:{cheat.__name__} " in line)
        assert "NOT RANKED" in row
        assert f"NOT RANKED {error['agent']} + lru: {error['error']}" in out
    assert errors == {}
    for oracle in oracles:
        assert rows[oracle.__name__]["oracle"]
        line = next(line for line in out.splitlines() if line.startswith(f"mine.py:{oracle.__name__} "))
        assert "(oracle)" in line
    assert not rows["Honest"]["oracle"]


def test_whatever_a_process_hands_in_is_no_more_than_not_ranked():
    options = leaderboard.make_parser().parse_args(["--scenario", "sanity", "--seeds", "1", "--split", "test"])
    options.track = "route"
    task = leaderboard_run.open_tasks(make_plan(options), Store(None))[0]
    assert not leaderboard_run.check(task, leaderboard_run.play_task(task)).failure
    for rubbish in (None, 7, changed(leaderboard_run.play_task(task).done[0], actions="left")):
        outcome = leaderboard_run.check(task, leaderboard_run.Played([rubbish]))
        assert (outcome.done, outcome.failure.broke_rule) == ([], True)
        assert "seed 0: what was recorded can't be checked" in outcome.failure.reason


@pytest.mark.slow
def test_memory_that_is_not_there_is_noticed(tmp_path, capsys):
    """On sanity nobody lacks memory; here it is all that matters."""
    shutil.copy(CHEATS, tmp_path / "mine.py")
    argv = [
        "--scenario",
        "gsp-stable",
        "--seeds",
        "1",
        "--workers",
        "1",
        "--agent",
        f"{tmp_path}/mine.py:PatchesMemory",
    ]
    assert leaderboard.main(argv) == leaderboard.FAILED
    assert "NOT RANKED mine.py:PatchesMemory + lru: seed 0: J was" in capsys.readouterr().out
