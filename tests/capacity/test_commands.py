"""`kvgym capacity` and `kvgym sweep` as a user starts them."""

import csv
import json
import os
import signal

import pytest

from agents.capacity import sweep
from agents.capacity.__main__ import main
from agents.capacity.drive import drive
from agents.leaderboard.backends import Lost, backend, result
from agents.leaderboard.entries import Entry
from agents.leaderboard.plan import Case, Task
from kvgym.evaluation.runs import Store
from kvgym.evaluation.standings import Failure
from kvgym.scenarios import get_scenario
from tests.workload.samples import mooncake_rows, write

SMALL = ["--scenario", "gsp-stable", "--set", "warmup_requests=20", "episode_requests=100"]


@pytest.fixture
def trace(tmp_path):
    return str(write(tmp_path / "trace.jsonl", mooncake_rows(400, step_ms=500)))


@pytest.mark.slow
def test_a_capacity_of_a_trace(tmp_path, capsys, trace):
    """The whole way of an operator: trace, fleet, goal, table, JSON; the second time nothing is played."""
    fleet = tmp_path / "fleet.json"
    fleet.write_text(json.dumps({"gpu": "l40s", "count": 2, "slo_ttft_s": 1.0}))
    argv = ["--trace", trace, "--fleet", str(fleet), "--max-requests", "40", "--workers", "1"]
    argv += ["--agent", "session_affinity", "llmd", "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "8 seeds" in out and "goal: ttft_p95 <= 1" in out
    assert "arrivals are spread over 0.5 s" in out
    assert "session_affinity goes by sessions, and no session comes back here" in out
    value = json.loads((tmp_path / "out" / "capacity.json").read_text())
    for row in value["rows"]:
        tried = {one["at"]: one["metrics"]["ttft_p95"] <= 1.0 for one in row["found"]["tried"]}
        best = row["found"]["best"]
        assert tried[best] and not any(holds for at, holds in tried.items() if best < at)
        assert row["low"] <= row["rate"] * 1.01 and row["rate"] <= row["high"] * 1.01
        assert row["headroom"] == pytest.approx(value["offered_rate"] / row["rate"])
    played = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").iterdir()}
    assert main(argv) == 0
    assert played == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").iterdir()}


def test_the_fewest_workers(tmp_path, capsys):
    argv = [*SMALL, "--seeds", "2", "--agent", "round_robin", "--ttft-p95", "5", "--rate", "20", "--workers", "1"]
    assert main([*argv, "--out", str(tmp_path)]) == 0
    (row,) = json.loads((tmp_path / "capacity.json").read_text())["rows"]
    tried = {one["at"]: one["metrics"]["ttft_p95"] for one in row["found"]["tried"]}
    assert tried[row["workers"]] <= 5 < tried[row["workers"] - 1]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--attainment", "2"], "--attainment must be a finite number from 0 to 1"),
        (["--set", "slo_ttft_s=0", "slo_tpot_s=0"], "there is no goal"),
        (["--rate", "0"], "--rate must be above 0"),
        (["--rate", "5", "--count", "4"], "not both"),
        (["--agent", "nobody"], "agent must be one of"),
        (["--jitter", "3"], "--jitter says how to play a trace"),
    ],
)
def test_what_is_refused(capsys, argv, message):
    with pytest.raises(SystemExit):
        main([*SMALL, *argv])
    assert message in capsys.readouterr().err


def test_a_sweep(tmp_path, capsys):
    """A grid, its table, its plot, and rows of requests and iterations that agree with it."""
    pytest.importorskip("matplotlib")
    argv = [*SMALL, "--seeds", "2", "--agent", "llmd", "--workers", "1", "--over", "rate=4,8", "kv_tokens=60000,200000"]
    files = ["--plot", str(tmp_path / "a.png"), "--records", str(tmp_path / "r.csv"), "--log", str(tmp_path / "l.csv")]
    assert sweep.main([*argv, *files, "--metric", "ttft_mean", "hit_rate", "--out", str(tmp_path / "out")]) == 0
    value = json.loads((tmp_path / "out" / "sweep.json").read_text())
    at = [(row["at"]["rate"], row["at"]["kv_tokens"]) for row in value["rows"]]
    assert at == [(4, 60000), (4, 200000), (8, 60000), (8, 200000)]
    slow, _, fast, large = (row["metrics"] for row in value["rows"])
    assert fast["ttft_mean"] > slow["ttft_mean"] and large["hit_rate"] >= fast["hit_rate"]
    with (tmp_path / "r.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (row["rate"], row["kv_tokens"]) == ("4", "60000")]
    assert len(rows) == 2 * 120
    counted = [float(row["first_token"]) - float(row["arrival"]) for row in rows if int(row["request"]) >= 20]
    assert sum(counted) / len(counted) == pytest.approx(slow["ttft_mean"])
    with (tmp_path / "l.csv").open() as file:
        assert all(float(row["duration"]) > 0 for row in csv.DictReader(file))
    assert (tmp_path / "a.png").stat().st_size > 5_000


def test_records_as_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason='pyarrow is not installed (extra "parquet")')
    file = tmp_path / "r.parquet"
    argv = [*SMALL, "--seeds", "2", "--agent", "llmd", "lmetric", "--workers", "1", "--records", str(file)]
    assert sweep.main(argv) == 0
    table = parquet.read_table(file)
    assert table.num_rows == 2 * 2 * 120
    assert set(table.column("agent").to_pylist()) == {"llmd", "lmetric"}


def test_axes():
    assert sweep.make_axes(["rate=2:8:4", "engine.page_size=1,16", "view=exact,history"]) == {
        "rate": [2.0, 4.0, 6.0, 8.0],
        "engine.page_size": [1, 16],
        "view": ["exact", "history"],
    }
    for text in ("rate", "rate=", "=3", "rate=1:2", "rate=1:2:1", "rate=a:b:3"):
        with pytest.raises(ValueError, match="--over"):
            sweep.make_axes([text])


def die_once(path):
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return 7


def test_a_process_that_is_killed_is_replaced(tmp_path):
    with backend("local", 1) as submit:
        with pytest.raises(Lost):
            result(submit(die_once, str(tmp_path / "died")))
        assert result(submit(die_once, str(tmp_path / "died"))) == 7


def one(task):
    (episodes,) = yield [task]
    return episodes


def task(agent, seeds=(0, 1)):
    changes = {"warmup_requests": 5, "episode_requests": 20}
    scenario = get_scenario("gsp-stable", changes)
    return Task(Entry(agent), Case(scenario, changes, "gsp-stable"), seeds, "test")


@pytest.mark.slow
def test_whoever_kills_processes_fails_alone(tmp_path):
    """What its neighbours had begun is played again."""
    bad = tmp_path / "bad.py"
    bad.write_text(
        "import os\n\n\nclass Bad:\n    observation = 'scaled'\n\n    def reset(self, env, seed):\n"
        "        os._exit(1)\n\n    def act(self, observation, info):\n        return 0\n"
    )
    searches = {"good": one(task("llmd")), "bad": one(task(f"{bad}:Bad", (0,)))}
    with backend("local", 2) as submit:
        found = drive(searches, Store(None), submit, lambda played, ended: None)
    assert [episode.seed for episode in found["good"]] == [0, 1]
    assert isinstance(found["bad"], Failure) and "died" in found["bad"].reason


def test_ray_is_named_where_it_is_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="--backend ray needs Ray"), backend("ray", 1):
        pass
