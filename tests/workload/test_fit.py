"""A generator fitted to a workload makes others like it; figures of the two real traces."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from kvgym.scenarios import get_scenario
from kvgym.workload import Workload, coding_agents, figures, nominal_arrivals, read_trace
from kvgym.workload.__main__ import main
from kvgym.workload.fit import fit, law
from kvgym.workload.sessions import sessions
from tests.workload.samples import mooncake_rows, write

TEN = (
    *("prompt_tokens.p50", "prompt_tokens.p90", "output_tokens.p50", "output_tokens.p90"),
    *("infinite_hit", "reuse_s.p50", "reuse_s.p90", "lru.1048576", "lru.4194304", "opt.1048576"),
)


def value(found, name):
    one = asdict(found)
    for part in name.split("."):
        one = one[int(part) if part.isdigit() else part]
    return one


def errors(workload, names=TEN, seeds=2):
    """Relative error of each figure, of the mean over generated workloads."""
    made = json.loads(json.dumps(fit(workload)))  # JSON values
    assert made["recipe"] == "sessions"
    again = [
        figures(sessions(seed, workload.page_size, requests=len(workload), **made["recipe_args"]))
        for seed in range(100, 100 + seeds)
    ]
    own = figures(workload)
    return {name: np.mean([value(one, name) for one in again]) / value(own, name) - 1 for name in names}


def close(found, but=()):
    return {name: round(error, 3) for name, error in found.items() if abs(error) > 0.15 and name not in but}


def while_sessions_start(workload):
    """The first requests, so many as come before the last session starts: later on it is others' that lack."""
    last = workload.requests["arrival_ps"].max() * 1e-12
    return workload.head(int((nominal_arrivals(workload) <= last).sum()))


def test_open_sessions():
    source = {
        "rate": 5.0,
        "arrivals": {"process": "cox", "sigma": 0.4, "correlation": 0.7},
        "system_tokens": 1024,
        "lead_s": 300.0,
        "kinds": [
            {"share": 0.6, "first": {"lognormal": [8.0, 1.0]}, "output": {"lognormal": [5.0, 0.8]}},
            {
                "share": 0.4,
                "first": {"lognormal": [8.5, 0.5]},
                "growth": {"lognormal": [6.0, 0.7]},
                "output": {"lognormal": [4.0, 0.8]},
                "turns": {"geometric": 4.0},
                "gap_s": {"lognormal": [3.5, 0.8]},
            },
        ],
    }
    workload = sessions(0, 64, requests=3000, **source)
    assert not close(errors(workload))


def test_closed_sessions():
    found = errors(while_sessions_start(coding_agents(0, 512, requests=8000, prefixes=4, session_rate=0.05)))
    assert len(close(found)) <= 2, found


def test_what_a_fit_finds():
    made = fit(sessions(1, 16, requests=2000, system_tokens=640, kinds=[{"turns": 3, "first": 2000, "output": 7}]))
    args = made["recipe_args"]
    assert args["system_tokens"] == 640 and args["loop"] == "open"
    assert {kind["output"] for kind in args["kinds"]} == {7.0}


def test_laws():
    assert law(np.array([3, 3, 3])) == 3.0
    assert law(np.array([1, 2, 2, 2])) == {"mixture": [[0.25, 1.0], [0.75, 2.0]]}
    spread = law(np.arange(1, 101))["quantiles"]
    assert spread[0] == [0.0, 1.0] and spread[-1] == [1.0, 100.0] and [0.5, 50.5] in spread


def test_refusals():
    few = Workload.from_tokens([[1]] * 5, [1] * 5, np.arange(5), 1)
    with pytest.raises(ValueError, match="20 requests at least to be fitted, got 5"):
        fit(few)
    with pytest.raises(ValueError, match="must not arrive at one moment"):
        fit(Workload.from_tokens([[1]] * 30, [1] * 30, np.zeros(30), 1))


def test_the_command(tmp_path, capsys):
    path = write(tmp_path / "mine.jsonl", mooncake_rows(600, step_ms=900))
    assert main(["describe", str(path), "--json", "--capacity", "100000"]) == 0
    assert json.loads(capsys.readouterr().out)["requests"] == 600
    assert main(["describe", str(path)]) == 0
    assert "mooncake: 600 requests in" in capsys.readouterr().out
    assert main(["convert", str(path), str(tmp_path / "b.jsonl"), "--page-size", "512", "--tile", "2"]) == 0
    assert len(read_trace(tmp_path / "b.jsonl", 512)) == 1200
    assert main(["fit", str(path), str(tmp_path / "fitted.json")]) == 0
    scenario = get_scenario(str(tmp_path / "fitted.json"))
    assert scenario.name == "fitted-mine" and scenario.recipe == "sessions"
    hashes = {scenario.workload(scenario.seeds(seed, "train", 0)[0], "train").content_hash() for seed in range(3)}
    assert len(hashes) == 3


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    path = tmp_path / "a.jsonl"
    for arguments, message in (
        ([str(tmp_path / "none")], "No such file"),
        ([str(write(path, mooncake_rows(5))), "--reader-args", "[]"], "--reader-args must be a JSON object, got []"),
        ([str(path), "--format", "bailian"], "expected a field 'type', which is missing"),
    ):
        assert main(["describe", *arguments]) == 2
        assert message in capsys.readouterr().err
    path.write_text(path.read_text() + "{}\n")
    assert main(["describe", str(path), "--skip-bad"]) == 0
    assert "note: skipped 1 of 6 lines" in capsys.readouterr().err


def test_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    path = write(tmp_path / "mine.jsonl", mooncake_rows(100))
    assert main(["describe", str(path), "--plot", str(tmp_path / "a.png")]) == 0
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_the_conversations_of_mooncake(trace):
    workload = read_trace(trace("mooncake_fast25/conversation_trace.jsonl.gz"), 512)
    found = errors(workload, (*TEN, "dispersion.60"))
    assert len(close(found)) <= 2, found


@pytest.mark.slow
def test_the_sessions_of_coding_agents(trace):
    workload = read_trace(trace("kv_cache_tester_agentic/sessions.jsonl.gz"), 64)
    found = errors(while_sessions_start(workload), seeds=1)
    assert len(close(found)) <= 2, found
