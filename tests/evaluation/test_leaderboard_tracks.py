"""The tracks on which evictors are compared."""

import json
from pathlib import Path

import pytest

from agents import AGENTS, EVICTION_AGENTS
from agents.leaderboard import __main__ as leaderboard
from agents.leaderboard import entries
from agents.leaderboard import plan as leaderboard_plan
from agents.leaderboard import run as leaderboard_run
from kvgym.evaluation.report import number
from kvgym.scenarios import SUITE_SCENARIOS
from kvgym.sim import EVICTORS

PLAYERS = str(Path(__file__).with_name("players.py"))
FAST = ["--scenario", "multi-turn", "--seeds", "2", "--workers", "1"]
EVICT = ["--track", "evict", *FAST]
JOINT = ["--track", "joint", *FAST]


@pytest.fixture
def board(capsys, tmp_path):
    """Runs the command line in this process: exit code, standard output, the JSON that it writes."""

    def call(*argv):
        code = leaderboard.main([*map(str, argv), "--out", str(tmp_path / "out")])
        return code, capsys.readouterr().out, json.loads((tmp_path / "out" / "leaderboard.json").read_text())

    return call


def costs(value, scenario=0):
    return {(row["agent"], row["evictor"]): row["J"] for row in value["scenarios"][scenario]["rows"]}


def test_evictors_and_evicting_agents_play_behind_one_router(board):
    code, out, value = board(*EVICT, "--evictor", "lru", "belady", "--agent", "lru", "random_leaf")
    assert code == 0
    found = costs(value)
    assert set(found) == {
        ("random", "lru"),
        ("lbgr_code", "rlt_code"),
        ("lbgr_code", "lru"),
        ("lbgr_code", "belady"),
        ("lbgr_code", "agents:lru"),
        ("lbgr_code", "agents:random_leaf"),
    }
    assert found["lbgr_code", "agents:lru"] == found["lbgr_code", "lru"] != found["lbgr_code", "agents:random_leaf"]
    assert value["track"] == "evict"
    assert "evict track: 2 test seeds" in out
    assert "belady (oracle)" in out
    assert 'Evictor "agents:NAME"' in out


@pytest.mark.slow
def test_another_router_may_be_fixed_and_an_oracle_is_marked(board):
    _, _, value = board(*EVICT, "--router", f"{PLAYERS}:Knows", "--evictor", "lru", "--agent", "lru")
    found = costs(value)
    assert found["players.py:Knows", "lru"] == found["players.py:Knows", "agents:lru"]
    assert len(found) == 4
    marked = {(row["agent"], row["evictor"]): row["oracle"] for row in value["scenarios"][0]["rows"]}
    assert marked["players.py:Knows", "lru"]
    assert marked["players.py:Knows", "agents:lru"]
    assert not marked["lbgr_code", "rlt_code"]


@pytest.mark.slow
def test_agents_of_ones_own_evict(board, tmp_path):
    """The one of the docs and one with arguments, from one file: they share a process."""
    text = (Path(__file__).parents[2] / "docs" / "leaderboard.md").read_text()
    path = tmp_path / "my_evictor.py"
    path.write_text(text.split("```python\n")[1].split("```")[0] + "\n\n" + Path(PLAYERS).read_text())
    mine = ["--agent", f"{path}:Mine", "--agent", f"{path}:Oldest", "--agent-args", '{"slot": 0}']
    _, _, value = board(*EVICT, *mine, "--evictor", "lru")
    found = costs(value)
    assert found["lbgr_code", "my_evictor.py:Mine"] == found["lbgr_code", "lru"]  # the first slot is the oldest leaf
    assert ("lbgr_code", "my_evictor.py:Oldest(slot=0)") in found
    (kept,) = (tmp_path / "out" / "runs").glob("*Oldest*")
    identity = json.loads(kept.read_text())["identity"]
    assert (identity["environment"], identity["router"], identity["evictor"]) == ("KVGym/Evict-v0", "lbgr_code", "")
    assert list(identity["files"]) == ["my_evictor.py"]


def test_results_of_the_tracks_are_not_played_again(board, monkeypatch):
    argv = [*EVICT, "--evictor", "lru", "--agent", "lru"]
    first = board(*argv)[2]
    monkeypatch.setattr(leaderboard_run, "play_task", lambda task: pytest.fail("played again"))
    assert board(*argv)[2] == first


def test_a_scenario_on_which_nothing_is_evicted_says_so(board):
    argv = ["--track", "evict", "--scenario", "long-doc", "--seeds", "1", "--workers", "1"]
    code, out, value = board(*argv, "--evictor", "lfu", "--agent", "random_leaf")
    assert code == 0
    assert "note: all evictors are equal here" in out
    found = costs(value)
    assert found["lbgr_code", "lfu"] == found["lbgr_code", "agents:random_leaf"] == found["lbgr_code", "rlt_code"]
    _, out, _ = board(*EVICT, "--evictor", "lfu", "mru")
    assert "all evictors are equal here" not in out


def test_routers_and_evictors_make_a_matrix(board, tmp_path):
    argv = [*JOINT, "--router", "least_loaded", "lbgr_code", "--evictor", "lru", "belady", "agents:lru"]
    pair = ["--agent", "pair", "--agent-args", '{"router": "least_loaded", "evictor": "lru"}']
    code, out, value = board(*argv, *pair)
    assert code == 0
    assert value["matrix"] == {"routers": ["least_loaded", "lbgr_code"], "evictors": ["lru", "belady", "agents:lru"]}
    found = costs(value)
    assert len(found) == 2 + 6 + 1
    assert found["lbgr_code", "agents:lru"] == found["lbgr_code", "lru"]
    assert found["pair(evictor=lru, router=least_loaded)", "joint"] == found["least_loaded", "lru"]
    speeds = {(row["agent"], row["evictor"]): row["speed_up"]["mean"] for row in value["scenarios"][0]["rows"]}
    expected = [number(speeds["least_loaded", evictor]) for evictor in ("lru", "belady", "agents:lru")]
    assert [line.split()[1:] for line in out.splitlines() if line.startswith("least_loaded ")].count(expected) == 1
    text = (tmp_path / "out" / "leaderboard.md").read_text()
    assert f"| least_loaded |{''.join(f' {cell} |' for cell in expected)}" in " ".join(text.split())


def test_joint_agents_need_no_matrix(board):
    _, _, value = board(*JOINT, "--agent", "rule_pair", "--agent-args", '{"router": "lbgr_code", "rule": "lru"}')
    assert value["matrix"] is None
    assert len(costs(value)) == 3


@pytest.mark.slow
def test_files_inside_a_pair_are_hashed_and_named_without_folders(board, tmp_path):
    args = json.dumps({"router": f"{PLAYERS}:Turns", "evictor": f"{PLAYERS}:Oldest"})
    _, _, value = board(*JOINT, "--agent", "pair", "--agent-args", args)
    assert ("pair(evictor=players.py:Oldest, router=players.py:Turns)", "joint") in costs(value)
    (path,) = (tmp_path / "out" / "runs").glob("*pair*")
    assert str(Path(PLAYERS).parent) not in path.read_text()
    assert list(json.loads(path.read_text())["identity"]["files"]) == ["players.py"]


def plan(*argv):
    options = leaderboard.make_parser().parse_args([*argv, "--split", "test"])
    return entries.make_entries(options)


def test_the_evict_track_has_all_evictors_and_agents():
    rows, axes = plan("--track", "evict")
    assert {row.evictor for row in rows if row.agent == "lbgr_code"} == set(EVICTORS)
    assert {row.agent for row in rows if row.router == "lbgr_code"} == set(entries.DEFAULT_EVICTION_AGENTS)
    assert axes is None
    quick, _ = plan("--track", "evict", "--quick")
    assert set(quick) < set(rows)
    assert {row.evictor for row in rows} - {row.evictor for row in quick} == {"belady"}


def test_the_joint_track_crosses_its_rosters():
    rows, axes = plan("--track", "joint")
    assert (axes.routers, axes.evictors) == (entries.JOINT_ROUTERS, entries.JOINT_EVICTORS)
    assert len([row for row in rows if row.environment == "KVGym/Route-v0"]) == 5 * 9 + 1  # and random + lru
    assert [row.label for row in rows if row.environment != "KVGym/Route-v0"] == [
        "pair(evictor=random_leaf, router=lbgr_code)"
    ]
    quick, axes = plan("--track", "joint", "--quick")
    assert set(quick) < set(rows)
    assert (axes.routers, axes.evictors) == (entries.QUICK_ROUTERS, entries.QUICK_EVICTORS)


def test_the_rosters_exist():
    assert set(entries.JOINT_ROUTERS) | set(entries.QUICK_ROUTERS) <= set(AGENTS)
    assert set(entries.JOINT_EVICTORS) | set(entries.QUICK_EVICTORS) <= set(EVICTORS)
    assert set(entries.DEFAULT_EVICTION_AGENTS) <= set(EVICTION_AGENTS)
    assert set(leaderboard_plan.QUICK_SCENARIOS) <= set(SUITE_SCENARIOS)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--track", "both"], "'route', 'evict', 'joint'"),
        (["--router", "lmetric"], "--router is for --track evict and --track joint"),
        (["--agent", "rlt"], "--agent rlt: it plays KVGym/Evict-v0, an agent of KVGym/Route-v0 is needed here"),
        (["--track", "evict", "--agent", "lmetric"], "it plays KVGym/Route-v0, an agent of KVGym/Evict-v0 is needed"),
        (["--track", "evict", "--agent", f"{PLAYERS}:First"], "(--track route is for those of KVGym/Route-v0)"),
        (["--track", "joint", "--agent", "rlt"], "(--track evict is for those of KVGym/Evict-v0)"),
        (["--track", "evict", "--router", "lmetric", "lpwl"], "one --router, got lmetric, lpwl: use --track joint"),
        (["--track", "evict", "--router", "rlt"], "--router rlt: it plays KVGym/Evict-v0"),
        (["--track", "evict", "--router", "best"], "--router best: agent must be one of random"),
        (["--track", "evict", "--evictor", "own"], "--evictor own is for --track route"),
        (["--track", "joint", "--evictor", "own"], "--evictor own is for --track route"),
        (["--track", "evict", "--evictor", "agents:rlt"], "--evictor must be one of lru, lru_node"),
        (["--track", "joint", "--evictor", "best"], "--evictor must be one of lru, lru_node"),
        (["--track", "joint", "--evictor", "agents:best"], "--evictor best: agent must be one of"),
        (["--track", "joint", "--evictor", "agents:lmetric"], "--evictor lmetric: it plays KVGym/Route-v0"),
        (["--track", "joint", "--agent", "pair"], "--agent pair: arguments of agent 'pair'"),
        (["--anchors", "--track", "evict"], "--anchors is played as it must be; it takes no --track"),
    ],
)
def test_bad_input_is_refused_before_any_work(argv, message, capsys, monkeypatch):
    monkeypatch.setattr(leaderboard, "run", lambda *args: pytest.fail("work has started"))
    with pytest.raises(SystemExit) as exit_:
        leaderboard.main(argv)
    assert exit_.value.code == leaderboard.USAGE
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("track", ["evict", "joint"])
def test_quick_shows_every_scenario(board, track, monkeypatch):
    short, case = {"episode_requests": 400, "warmup_requests": 40}, leaderboard_plan._case
    monkeypatch.setattr(leaderboard_plan, "_case", lambda name, more, split: case(name, {**more, **short}, split))
    code, out, value = board("--track", track, "--quick", "--seeds", "1", "--workers", "1")
    assert code == 0
    assert "SMOKE TEST" in out
    names = [scenario["name"] for scenario in value["scenarios"]]
    assert names == list(leaderboard_plan.QUICK_SCENARIOS)
