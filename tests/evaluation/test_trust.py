"""What an agent may not do, and what comes of it."""

import copy
import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import pytest

from agents import make_agent
from agents.joint.pair import Pair
from agents.joint.rule_pair import RulePair
from agents.leaderboard import __main__ as leaderboard
from agents.leaderboard.entries import Entry
from agents.leaderboard.plan import Case, Task
from agents.leaderboard.run import play_task
from agents.leaderboard.seats import Terms
from kvgym.envs.view import PUBLIC, RuleBroken
from kvgym.evaluation import intact, play
from kvgym.evaluation.remote import agent_seed
from kvgym.scenarios import Scenario, get_scenario
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


def test_what_an_agent_is_given_is_a_copy():
    changes, honest = (play(kind(), "sanity", 0, overrides=SHORT) for kind in (cheats.ChangesSettings, cheats.Honest))
    assert changes.records_sha256 == honest.records_sha256
    assert get_scenario("sanity").workers[0]


def test_settings_are_those_of_the_scenario_and_can_be_kept():
    class Keeps(cheats.Honest):
        def reset(self, env, seed):
            self.kept = pickle.loads(pickle.dumps(copy.deepcopy(env.unwrapped.scenario)))

    agent, scenario = Keeps(), get_scenario("mixed-fleet")
    play(agent, "mixed-fleet", 0, overrides=SHORT)
    for name in set(PUBLIC) - {"cluster", "warmup_requests", "episode_requests"}:
        assert getattr(agent.kept, name) == getattr(scenario, name)
    assert not hasattr(agent.kept, "workload")


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


def mine(folder, kind, name="mine"):
    """An agent of `cheats` as one that comes with a file."""
    shutil.copy(CHEATS, folder / f"{name}.py")
    return f"{folder}/{name}.py:{kind.__name__}"


def outcome(folder, kind, scenario="sanity", timeout_s=10.0, **entry):
    """What comes of such an agent."""
    played = Case(get_scenario(scenario, SHORT), SHORT, scenario)
    terms = Terms(salt="salt", timeout_s=timeout_s)
    return play_task(Task(Entry(mine(folder, kind), **entry), played, (0,), "test", terms))


LOST = {
    cheats.WritesTables: ("has no simulator", True),
    cheats.CallsUnbound: ("has no", True),
    cheats.ReadsTheFuture: ("which is the future", True),
    cheats.PatchesStep: ("kvgym.envs.route.RouteEnv.step was replaced", True),
    cheats.PatchesMemory: ("kvgym.scenarios.scenario.Scenario.simulator was replaced", True),
    cheats.Floods: ("sent what nobody asked for", True),
    cheats.Hides: ("has no simulator", True),
    cheats.Raises: ("KeyError: 'no such worker' (mine.py:", False),
    cheats.Dies: ("its process died, exit code 3", False),
    cheats.Stalls: ("no answer within 0.5 s", False),
    cheats.StallsAtReset: ("no answer within 0.5 s", False),
}


@pytest.mark.slow
@pytest.mark.parametrize("cheat", LOST)
def test_whoever_breaks_a_rule_stalls_or_dies_loses_its_episode(tmp_path, cheat):
    reason, broke_rule = LOST[cheat]
    done, failure = outcome(tmp_path, cheat, timeout_s=0.5)
    assert not done
    assert reason in failure.reason
    assert failure.broke_rule == broke_rule


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [cheats.WalksMemory, cheats.PatchesNumpy, cheats.PatchesArrivals, cheats.ChangesSettings, cheats.TellsSeed],
)
def test_in_the_process_of_an_agent_there_is_nothing_to_find_or_to_change(tmp_path, kind):
    """The agent's own numbers are its own affair; worker 0 is what it gets."""
    (episode,) = outcome(tmp_path, kind).done
    honest = play(cheats.Honest(), "sanity", 0, overrides=SHORT)
    assert episode.records_sha256 == honest.records_sha256
    assert repr(episode.metrics) == repr(honest.metrics)  # NaN is not equal to itself
    assert episode.salt == "salt"


PLAYED = {
    "lbgr": ("agents.routing.lbgr:Lbgr", "gsp-stable", {"evictor": "rlt"}, {}),
    "llmd": ("agents.routing.llmd:LlmD", "failover", {}, {}),
    "gdsf": ("agents.eviction.gdsf:Gdsf", "multi-turn", {"evictor": "", "router": "lbgr_code"}, {}),
    "pair": ("agents.joint.pair:Pair", "multi-turn", {"evictor": ""}, {"router": "llmd", "evictor": "gdsf"}),
    "rule_pair": ("agents.joint.rule_pair:RulePair", "gsp-stable", {"evictor": ""}, {"router": "lbgr", "rule": "lfu"}),
}
"""A name -> its class, a scenario, who else plays, arguments."""


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAYED)
def test_an_agent_does_the_same_in_a_process_of_its_own(tmp_path, name):
    place, scenario, others, arguments = PLAYED[name]
    module, _, cls = place.partition(":")
    (tmp_path / "mine.py").write_text(f"from {module} import {cls} as Base\n\n\nclass Mine(Base):\n    pass\n")
    case = Case(get_scenario(scenario, SHORT), SHORT, scenario)
    environment = make_agent(name, **arguments).environment
    args = json.dumps(arguments)
    made = [Entry(one, args, environment=environment, **others) for one in (name, f"{tmp_path}/mine.py:Mine")]
    here, apart = (play_task(Task(entry, case, (3, 4), "test")) for entry in made)
    assert not here.failure and not apart.failure
    for one, other in zip(here.done, apart.done, strict=True):
        timings = {"decision_us": 0.0, "env_s": 0.0}
        assert repr(replace(one, **timings)) == repr(replace(other, **timings))


@pytest.mark.slow
def test_a_router_with_a_file_sits_apart_from_the_environment_that_asks_it(tmp_path):
    case = Case(get_scenario("multi-turn", SHORT), SHORT, "multi-turn")
    entry = Entry("lru", evictor="", router=mine(tmp_path, cheats.WalksMemory), environment="KVGym/Evict-v0")
    done, failure = play_task(Task(entry, case, (0,), "test"))
    assert not failure and len(done) == 1
    dies = replace(entry, router=mine(tmp_path, cheats.Dies))
    assert "its process died" in play_task(Task(dies, case, (0,), "test")).failure.reason


def test_the_seed_of_an_agent_tells_nothing_and_can_be_had_again():
    seeds = [agent_seed(salt, seed) for salt in ("a", "b") for seed in range(32)]
    assert len(set(seeds)) == 64
    assert min(seeds) > 32 and max(seeds) < 2**63
    assert seeds[0] == agent_seed("a", 0)
    assert agent_seed("", 7) == 7  # of the suite's own agents


def test_suite_code_that_was_replaced_is_named(monkeypatch):
    before = intact.parts()
    intact.check(before)
    monkeypatch.setattr(Scenario, "workload", lambda self, *rest: None)
    with pytest.raises(RuleBroken, match=r"kvgym.scenarios.scenario.Scenario.workload was replaced"):
        intact.check(before)


@pytest.fixture
def table(tmp_path, capsys):
    """Runs the leaderboard. Rows and errors by name, and what is printed."""

    def call(*kinds, more=()):
        names = [mine(tmp_path, kind) for kind in kinds]
        argv = ["--scenario", "sanity", "--seeds", "1", "--workers", "2", "--out", str(tmp_path / "out"), *more]
        code = leaderboard.main([*argv, "--agent", *names])
        (scenario,) = json.loads((tmp_path / "out" / "leaderboard.json").read_text())["scenarios"]
        rows, errors = ({row["agent"].rpartition(":")[2]: row for row in scenario[key]} for key in ("rows", "errors"))
        return code, rows, errors, capsys.readouterr().out

    return call


@pytest.mark.slow
def test_cheats_are_not_ranked_and_oracles_are_marked(table):
    reasons = {
        cheats.WritesTables: ("has no simulator", True),
        cheats.ReadsTheFuture: ("which is the future", True),
        cheats.Stalls: ("no answer within 1 s", False),
        cheats.Dies: ("its process died", False),
    }
    oracles = (cheats.Oracle,)
    code, rows, errors, out = table(*reasons, cheats.Honest, *oracles, more=("--decision-timeout", "1"))
    assert code == leaderboard.FAILED
    assert set(rows) == {"random", "lbgr_code", "Honest", "Oracle"}
    assert rows["Honest"]["J"] == play(cheats.Honest(), "sanity", 0).J  # the others did nothing to it
    for cheat, (reason, broke_rule) in reasons.items():
        error = errors.pop(cheat.__name__)
        assert error["broke_rule"] == broke_rule
        assert reason in error["error"]
        verdict = "NOT RANKED" if broke_rule else "FAILED"
        row = next(line for line in out.splitlines() if f".py:{cheat.__name__} " in line)
        assert verdict in row
        assert f"{verdict} {error['agent']} + lru: {error['error']}" in out
    assert errors == {}
    for oracle in oracles:
        assert rows[oracle.__name__]["oracle"]
        line = next(line for line in out.splitlines() if line.startswith(f"mine.py:{oracle.__name__} "))
        assert "(oracle)" in line
    assert not rows["Honest"]["oracle"]


@pytest.mark.slow
def test_an_agent_that_asks_for_more_than_it_may_is_refused_before_anything_is_played(tmp_path, capsys):
    with pytest.raises(SystemExit):
        leaderboard.main(["--scenario", "sanity", "--seeds", "1", "--agent", mine(tmp_path, cheats.Asks)])
    assert "quantum, rules, admission, view; got 'evictor'" in capsys.readouterr().err
