import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents import AGENTS
from agents.leaderboard import __main__ as leaderboard
from agents.leaderboard import run as leaderboard_run
from agents.leaderboard.entries import DEFAULT_AGENTS, QUICK_AGENTS
from tests.interrupts import interruptible

ROOT = Path(__file__).parents[2]
PLAYERS = str(Path(__file__).with_name("players.py"))
FAST = ["--scenario", "sanity", "--seeds", "2", "--workers", "1"]

RUDE = """
import os


class Rude:
    observation = "physical"

    def reset(self, env, seed):
        os._exit(3)

    def act(self, observation, info):
        return 0
"""


@pytest.fixture
def board(capsys):
    """Runs the command line in this process: exit code, standard output."""

    def call(*argv):
        code = leaderboard.main([str(item) for item in argv])
        return code, capsys.readouterr().out

    return call


@pytest.fixture
def trace(tmp_path):
    """A small trace of the Mooncake format: two requests a second, one in two with a prompt seen before."""
    path = tmp_path / "trace.jsonl"
    rows = [
        {"timestamp": 500 * i, "input_length": 1024, "output_length": 8, "hash_ids": [i % 50, 1000 + i]}
        for i in range(400)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def lines(text, start):
    return [line for line in text.splitlines() if line.startswith(start)]


def test_anchors_are_played_with_whoever_is_asked_for(board):
    code, out = board(*FAST, "--agent", "least_loaded")
    assert code == 0
    assert len(lines(out, "least_loaded")) >= 1
    assert lines(out, "random  ")
    assert "1.00 [" in next(line for line in lines(out, "lbgr_code") if "rlt_code" in line)


def test_evictors_are_crossed_with_agents(board):
    _, out = board(*FAST, "--agent", "least_loaded", "round_robin", "--evictor", "rlt", "belady")
    for agent in ("least_loaded", "round_robin"):
        rows = lines(out.split("Scores over")[0], agent)
        assert sorted(line.split()[1] for line in rows) == ["belady", "rlt"]
        assert all(("(oracle)" in line) == ("belady" in line) for line in rows)


def test_arguments_belong_to_the_agent_before_them(board):
    argv = ["--agent", "llmd", "--agent-args", '{"prefix": 0}', "--agent", "llmd", "--agent-args", '{"queue": 9}']
    _, out = board(*FAST, *argv)
    assert lines(out, "llmd(prefix=0)")
    assert lines(out, "llmd(queue=9)")
    assert not lines(out, "llmd ")


def test_rows_say_which_view_an_agent_asks_for(board):
    _, out = board(*FAST, "--agent", "dynamo", "dynamo_scenario")
    assert lines(out, "dynamo [exact view]")
    assert lines(out, "dynamo_scenario ")


@pytest.mark.slow
def test_an_agent_that_fails_does_not_take_the_others_with_it(board):
    code, out = board(*FAST, "--agent", f"{PLAYERS}:Says", "--agent-args", '{"answer": 5}', "--agent", "round_robin")
    assert code == leaderboard.FAILED
    assert "FAILED" in lines(out, "players.py:Says(answer=5)")[0]
    assert "seed 0: ValueError: action must be a worker from 0 to 1, got 5" in out
    assert lines(out, "round_robin")


@pytest.mark.slow
def test_an_agent_that_kills_its_process_does_not_take_the_others_with_it(board, tmp_path):
    path = tmp_path / "rude.py"
    path.write_text(RUDE)
    argv = ["--scenario", "sanity", "--seeds", "5", "--workers", "1"]  # two tasks: both are played alone afterwards
    code, out = board(*argv, "--agent", f"{path}:Rude", "round_robin")
    assert code == leaderboard.FAILED
    assert "FAILED rude.py:Rude + lru: seed 0: its process died" in out
    assert lines(out, "round_robin")


def test_results_are_written_and_not_played_again(board, tmp_path, monkeypatch):
    argv = [*FAST, "--agent", "round_robin", "--out", tmp_path]
    board(*argv)
    assert {path.name for path in tmp_path.iterdir()} == {
        "leaderboard.html",
        "leaderboard.md",
        "leaderboard.json",
        "plan.json",
        "runs",
    }
    assert len(list((tmp_path / "runs").iterdir())) == 3
    first = (tmp_path / "leaderboard.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(leaderboard_run, "record", lambda *args, **kwargs: pytest.fail("played again"))
        board(*argv)
    assert (tmp_path / "leaderboard.json").read_bytes() == first
    played = []
    real = leaderboard_run.record
    monkeypatch.setattr(leaderboard_run, "record", lambda *args, **kw: played.append(kw["seed"]) or real(*args, **kw))
    board(*argv, "--seeds", 3)
    assert played == [2, 2, 2]
    assert len(list((tmp_path / "runs").iterdir())) == 3


@pytest.mark.slow
def test_an_agent_of_ones_own_is_named_by_file_and_class_and_played_again_when_the_file_changes(board, tmp_path):
    path = tmp_path / "mine.py"
    source = Path(PLAYERS).read_text()
    path.write_text(source)
    argv = [*FAST, "--agent", f"{path}:Turns", "--out", tmp_path / "out"]
    code, out = board(*argv)
    assert code == 0
    assert lines(out, "mine.py:Turns ")
    board(*argv)
    assert len(list((tmp_path / "out" / "runs").glob("*mine.py*"))) == 1
    path.write_text(source + "\n# changed\n")
    board(*argv)
    assert len(list((tmp_path / "out" / "runs").glob("*mine.py*"))) == 2


@pytest.mark.slow
def test_results_hold_no_folders(board, tmp_path, trace):
    out = tmp_path / "out"
    board(
        "--trace",
        trace,
        "--max-requests",
        40,
        "--seeds",
        1,
        "--agent",
        f"{PLAYERS}:First",
        "--workers",
        1,
        "--out",
        out,
    )
    for path in (out / "runs").iterdir():
        assert str(tmp_path) not in path.read_text()
        assert str(ROOT) not in path.read_text()
        assert json.loads(path.read_text())["identity"]["files"]["trace.jsonl"]


def test_a_trace_is_played(board, trace, tmp_path):
    argv = ["--trace", trace, "--rate-scale", 2, "--max-requests", 64, "--seeds", 2, "--agent", "round_robin"]
    code, out = board(*argv, "--workers", 1, "--out", tmp_path / "out")
    assert code == 0
    assert "trace (version 1, load x 2, with overrides)" in out
    assert "no intervals: 1 of 8 parts of a trace that they need" in out
    value = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    (scenario,) = value["scenarios"]
    assert scenario["overrides"]["rate_scale"] == 2.0
    assert (scenario["load"], scenario["not_ranked"]) == ("x 2", "its fields were changed")
    assert value["provenance"]["command"].endswith(
        "--trace trace.jsonl --rate-scale 2 --max-requests 64 --seeds 2 --agent round_robin"
    )
    assert (scenario["overrides"]["warmup_requests"], scenario["rows"][0]["metrics"]["n"]) == (8, 56.0)


@pytest.mark.slow
def test_several_processes_give_what_one_gives(board, tmp_path):
    argv = ["--scenario", "multi-turn", "--seeds", 5, "--agent", "round_robin"]
    for workers in (1, 2):
        board(*argv, "--workers", workers, "--out", tmp_path / str(workers))

    def costs(workers):
        value = json.loads((tmp_path / workers / "leaderboard.json").read_text())
        return [(row["agent"], row["J"]) for row in value["scenarios"][0]["rows"]]

    assert costs("1") == costs("2")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--scenario", "gpt"], "--scenario must be one of "),
        (["--scenario", "trace"], "--scenario trace needs a trace file"),
        (["--agent", "clever"], "--agent clever: agent must be one of random, round_robin"),
        (["--agent", "nowhere.py:Agent"], "nowhere.py"),
        (["--agent", f"{PLAYERS}:Nobody"], "Nobody"),
        (["--agent", "llmd", "--agent-args", '{"speed": 1}'], "speed"),
        (["--agent", "llmd", "--agent-args", "{prefix}"], "--agent-args is no JSON"),
        (["--agent", "llmd", "--agent-args", "[1]"], "--agent-args must be a JSON object"),
        (["--agent-args", "{}"], "--agent-args belongs to the --agent before it"),
        (["--evictor", "best"], "--evictor must be one of own, lru, lru_node"),
        (["--seeds", "0"], "--seeds must be an integer >= 1, or the first and the last one as in 16-31; got 0"),
        (["--seeds", "3-1"], "--seeds must be an integer >= 1, or the first and the last one as in 16-31; got 3-1"),
        (["--seeds", "many"], "or the first and the last one as in 16-31; got many"),
        (["--workers", "0"], "--workers must be an integer >= 1, got 0"),
        (["--split", "holdout"], "'validation', 'test'"),
        (["--trace", "nowhere.jsonl"], "--trace: there is no file nowhere.jsonl"),
        (["--trace", __file__], "test_leaderboard.py"),
        (["--format", "mooncake"], "--format says how to play a trace"),
        (["--jitter", "2"], "--jitter says how to play a trace"),
        (["--set", "slo_ttft_s"], "--set must be FIELD=VALUE"),
        (["--fleet", "fleet.txt"], "--fleet must be a mapping of fields, or a file"),
        (["--set", "speed=3"], "scenario_overrides key must be one of text, recipe,"),
        (["--max-requests", "2"], "--max-requests says how to play a trace"),
        (["--anchors", "--quick"], "--anchors is played as it must be; it takes no --quick"),
    ],
)
def test_bad_input_is_refused_before_any_work(argv, message, capsys, monkeypatch):
    monkeypatch.setattr(leaderboard, "run", lambda *args: pytest.fail("work has started"))
    with pytest.raises(SystemExit) as exit_:
        leaderboard.main(argv)
    assert exit_.value.code == leaderboard.USAGE
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--rate-scale", "0"], "--rate-scale must be a finite number > 0"),
        (["--rate-scale", "nan"], "--rate-scale must be a finite number"),
        (["--max-requests", "0"], "--max-requests must be an integer >= 1, got 0"),
        (["--max-requests", "1000"], "the test share of"),
        (["--format", "agent-sessions"], "trace.jsonl"),
        (["--format", "csv"], "'mooncake', 'bailian'"),
    ],
)
def test_bad_trace_options_are_refused_before_any_work(argv, message, trace, capsys):
    with pytest.raises(SystemExit) as exit_:
        leaderboard.main(["--trace", str(trace), *argv])
    assert exit_.value.code == leaderboard.USAGE
    assert message in capsys.readouterr().err


def test_two_agents_of_one_name_are_refused(tmp_path, capsys):
    (tmp_path / "players.py").write_text(Path(PLAYERS).read_text())
    with pytest.raises(SystemExit):
        leaderboard.main([*FAST, "--agent", f"{PLAYERS}:First", f"{tmp_path / 'players.py'}:First"])
    assert "two agents would be called players.py:First" in capsys.readouterr().err


def test_a_broken_result_file_is_named(tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "x.json").write_text("{}")
    with pytest.raises(SystemExit) as exit_:
        leaderboard.main([*FAST, "--out", str(tmp_path)])
    assert exit_.value.code == leaderboard.USAGE
    assert "x.json: schema_version is None" in capsys.readouterr().err


def test_bad_input_ends_the_program_with_2():
    done = subprocess.run(
        [sys.executable, "-m", "agents.leaderboard", "--scenario", "gpt"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == leaderboard.USAGE
    assert "--scenario must be one of" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="sends a signal to a group of processes")
@pytest.mark.parametrize(("workers", "whole_group"), [("1", True), ("2", False)])
def test_an_interrupt_keeps_what_is_finished(tmp_path, workers, whole_group):
    """Ctrl-C in a terminal reaches the whole group; a signal to the one process ends the others too."""
    argv = ["--scenario", "sanity", "--seeds", "24", "--workers", workers, "--agent", f"{PLAYERS}:Slow"]
    process = subprocess.Popen(
        [sys.executable, "-m", "agents.leaderboard", *argv, "--out", str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # What a shell starts in the background ignores this signal, and so would this process.
        preexec_fn=interruptible,
    )
    try:
        give_up = time.monotonic() + 240
        while not list(tmp_path.glob("runs/*Slow*.json")) and time.monotonic() < give_up:
            time.sleep(0.1)
        if whole_group:
            os.killpg(process.pid, signal.SIGINT)
        else:
            os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
        with pytest.raises(ProcessLookupError):
            for _ in range(100):  # those that it started may take a moment to be gone
                os.killpg(process.pid, 0)
                time.sleep(0.1)
    finally:
        process.kill()
    assert process.returncode == leaderboard.INTERRUPTED
    assert "interrupted: run again with the same --out to go on" in err
    assert "Traceback" not in err
    (path,) = tmp_path.glob("runs/*Slow*.json")
    assert 0 < len(json.loads(path.read_text())["episodes"]) < 24


def test_an_interrupt_before_anything_is_played_is_no_error(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(leaderboard, "make_plan", interrupted)
    assert leaderboard.main([]) == leaderboard.INTERRUPTED
    assert "interrupted: nothing is kept without --out" in capsys.readouterr().err


@pytest.mark.slow
def test_a_file_is_told_now_and_then_how_far_work_is(monkeypatch, capfd):
    monkeypatch.setattr(leaderboard_run, "EVERY_S", 0.05)
    assert leaderboard.main([*FAST, "--agent", f"{PLAYERS}:Slow"]) == 0
    said = capfd.readouterr().err.splitlines()
    told = [re.fullmatch(r"(\d+) of 6 episodes in 0:\d\d, (no estimate yet|about 0:\d\d to go)", one) for one in said]
    assert len(told) > 2
    counts = [int(match[1]) for match in told]
    assert counts == sorted(counts)
    assert {match[2] for match in told if match[1] == "0"} <= {"no estimate yet"}
    assert all(match[2].startswith("about") for match in told if match[1] != "0")


def test_the_estimate_is_at_the_pace_so_far():
    assert leaderboard_run.line(30, 120, "episode", 100.0) == "30 of 120 episodes in 1:40, about 5:00 to go"
    assert leaderboard_run.line(0, 120, "episode", 4000.0) == "0 of 120 episodes in 1:06:40, no estimate yet"
    assert leaderboard_run.EVERY_S == 10


def test_a_terminal_has_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with leaderboard_run.progress(3, "episode") as advance:
        advance(2)
    assert "0/3" in capsys.readouterr().err


def test_the_rosters_exist():
    assert set(QUICK_AGENTS) | set(DEFAULT_AGENTS) <= set(AGENTS)
