"""The page is made of the JSON files alone, and a run goes on where it stopped."""

import json

import pytest

from benchmarks import __main__ as program
from benchmarks.timing import machine, report
from kvgym import _command

PAYLOAD = {
    "title": "speed of things",
    "rows": [
        {"thing": "hare", "per second": 1234567, "ratio": 2.5},
        {"thing": "hedgehog", "per second": 3, "ratio": 1},
    ],
    "machine": {"processor": "abacus", "cores": 2},
    "command": "python -m benchmarks.hare",
    "seconds": 61.6,
}


def test_the_page():
    other = {**PAYLOAD, "title": "second", "machine": {"processor": "loom"}, "more": {"by size": [{"size": 4096}]}}
    assert program.markdown([PAYLOAD, other]).splitlines() == [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks`. Figures depend on the machine; ratios less so.",
        "",
        "- Machine 1: processor abacus, cores 2",
        "- Machine 2: processor loom",
        "",
        "## Speed of things",
        "",
        "`python -m benchmarks.hare` (62 s, machine 1)",
        "",
        "| thing    |   per second |   ratio |",
        "|----------|--------------|---------|",
        "| hare     |    1,234,567 |    2.50 |",
        "| hedgehog |            3 |    1.00 |",
        "",
        "## Second",
        "",
        "`python -m benchmarks.hare` (62 s, machine 2)",
        "",
        "| thing    |   per second |   ratio |",
        "|----------|--------------|---------|",
        "| hare     |    1,234,567 |    2.50 |",
        "| hedgehog |            3 |    1.00 |",
        "",
        "By size:",
        "",
        "|   size |",
        "|--------|",
        "|  4,096 |",
    ]


def test_the_page_is_written_whole_or_not_at_all(tmp_path):
    page = tmp_path / "RESULTS.md"
    page.write_text("old")
    command = " ".join(["python", *program.arguments("scale", False)])
    path = tmp_path / "scale.json"
    path.write_text(json.dumps({"title": "half", "command": command}))
    with pytest.raises(KeyError):
        program.main(["--only", "scale", "--out", str(tmp_path)])
    assert page.read_text() == "old"
    path.write_text(json.dumps({**PAYLOAD, "command": command}))
    assert program.main(["--only", "scale", "--out", str(tmp_path)]) == 0
    assert page.read_text() == program.markdown([{**PAYLOAD, "command": command}])
    assert sorted(tmp_path.iterdir()) == [page, path]


def test_report_writes_what_it_prints(tmp_path, capsys):
    report("title", PAYLOAD["rows"], tmp_path / "x.json", {"more of it": [{"a": 1}]})
    shown = capsys.readouterr().out
    assert "title" in shown and "more of it" in shown and "1,234,567" in shown
    written = json.loads((tmp_path / "x.json").read_text())
    assert written == {
        "title": "title",
        "rows": PAYLOAD["rows"],
        "machine": machine(),
        "more": {"more of it": [{"a": 1}]},
    }


@pytest.fixture
def ran(monkeypatch):
    """Names of the benchmarks that the program ran; nothing is measured, "peers" fails."""
    names = []

    def run(name, quick, out):
        names.append(name)
        if name != "peers":
            command = " ".join(["python", *program.arguments(name, quick)])
            (out / f"{name}.json").write_text(json.dumps({**PAYLOAD, "title": name, "command": command}))
        return name != "peers"

    monkeypatch.setattr(program, "run", run)
    return names


def test_it_goes_on_where_it_stopped(ran, tmp_path, capsys):
    out = ["--out", str(tmp_path)]
    assert program.main(["--only", "scale", "memory", *out]) == 0
    assert ran == ["scale", "memory"]
    ran.clear()
    assert program.main(out) == 1
    assert "scale" not in ran and "memory" not in ran and len(ran) == len(program.QUICK) - 2
    assert "failed: ['peers']" in capsys.readouterr().out
    ran.clear()
    program.main(out)
    assert ran == ["peers"]
    ran.clear()
    program.main(["--again", "--only", "scale", *out])
    assert ran == ["scale"]
    program.main(["--quick", "--only", "scale", *out])
    assert ran == ["scale", "scale"]  # the smallest form is no substitute, nor the other way round
    program.main(["--only", "scale", *out])
    assert ran == ["scale"] * 3
    page = (tmp_path / "RESULTS.md").read_text()
    assert [line[3:].lower() for line in page.splitlines() if line.startswith("## ")] == [
        name for name in program.QUICK if name != "peers"
    ]


def test_an_interruption_keeps_what_is_done(monkeypatch, tmp_path):
    def run(name, quick, out):
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "run", run)
    assert program.main(["--out", str(tmp_path)]) == _command.INTERRUPTED
    assert not (tmp_path / "RESULTS.md").exists()


def test_every_module_that_writes_json_is_in_the_plan():
    modules = {path.stem for path in program.FOLDER.glob("*.py") if "report(" in path.read_text(encoding="utf-8")}
    assert modules - {"timing", "checkouts", "pooled_replay"} == set(program.QUICK)
