"""The smallest form of each benchmark runs and has the rows that it promises."""

import json
from importlib import import_module

import pytest

from benchmarks import __main__ as program
from benchmarks import memory, scale


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the libraries' own
@pytest.mark.parametrize("name", program.QUICK)
def test_it_runs(name, tmp_path):
    """In this process: a start, imports and kernels for each would take most of the time."""
    if name == "evict_time":
        pytest.importorskip("matplotlib")
    place = tmp_path if name == "evict_time" else tmp_path / f"{name}.json"
    import_module(f"benchmarks.{name}").main([*program.QUICK[name], "--out", str(place)])
    payload = json.loads((tmp_path / f"{name}.json").read_text())
    assert payload["rows"] and payload["machine"]["cores"] >= 1


def test_the_program_runs_them_in_processes_of_their_own(tmp_path):
    assert program.run("simulate", True, tmp_path)
    payload = json.loads((tmp_path / "simulate.json").read_text())
    assert payload["rows"] and payload["command"].startswith("python -m benchmarks.simulate")
    assert payload["seconds"] > 0


def test_what_fails_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(program.QUICK, "memory", ["--no-such-option"])
    assert not program.run("memory", True, tmp_path)
    assert "--no-such-option" in capsys.readouterr().out


def test_the_cells_of_scale():
    for full in (False, True):
        cells = scale.cells(False, full)
        assert cells[-1] == {"workers": 256, "requests": 200_000, "page": 16}
        assert {cell["workers"] for cell in cells} == set(scale.WORKERS)
        assert {cell["page"] for cell in cells} == set(scale.PAGES)
        assert (max(cell["requests"] for cell in cells) == 1_000_000) == full
        assert len({tuple(cell.values()) for cell in cells}) == len(cells)


def test_a_cell_of_scale_plays_what_it_says():
    cell = {"workers": 5, "requests": 100, "page": 64}
    simulated = scale.measure_simulator(cell)
    assert simulated["us/request"] > 0 and simulated["peak MB"] > 10
    assert scale.measure_route(cell)["us/decision"] > 0


def test_a_cell_that_fails_is_no_row(monkeypatch):
    with pytest.raises(RuntimeError, match=r"benchmarks\.scale"):
        scale.in_process("benchmarks.scale", "measure_simulator", {})

    def interrupted(module, function, cell):
        raise KeyboardInterrupt

    monkeypatch.setattr(scale, "in_process", interrupted)
    assert scale.measure(scale.QUICK) == ([], False)


def test_the_tables_of_memory_add_up():
    rows = memory.table_rows()
    for name in memory.EPISODES:
        assert sum(row[name] for row in rows[:-1]) == rows[-1][name]
    training, whole = (rows[-1][name] for name in memory.EPISODES)
    assert 100_000 < training < whole < 10_000_000
