"""`python -m kvgym.evaluation.validate`: its tables, its bars, and bad input."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kvgym.cluster import load_catalogue
from kvgym.evaluation.validate import alone_rows, form_rows, loop_means, loop_rows, main, measured, pair_rows, room_rows


@pytest.fixture(scope="module")
def loops():
    return list(loop_rows(load_catalogue(), measured()["closed_loop"]))


def test_time_per_token_is_within_eight_per_cent_of_the_measured_figures(loops):
    means = {row[0]: row[1:] for row in loop_means(loops)}
    assert (means["8B"][0], means["70B"][0]) == (9, 6)
    for name in ("8B", "70B"):
        assert max(means[name][1:3]) <= 8, name


def test_means_skip_what_was_not_measured():
    nan = float("nan")
    rows = [["a", "", "", 1, 1, -2.0, 3.0, 1, 10.0, -20.0], ["a", "", "", 1, 1, 4.0, 5.0, nan, nan, nan]]
    assert loop_means(rows) == [["a", 2, 3.0, 4.0, 10.0, 20.0]]


def test_recorded_errors_are_those_of_the_published_table():
    rows = {(row[0], row[1]): row[2:] for row in form_rows(load_catalogue(), None)}
    published = {
        ("bf16 dense", "linear"): (44, 0.9945, 0.952, 5.1, 3.3, 7.1, 5.1, 13.0),
        ("bf16 dense", "roofline*"): (44, 0.9993, 0.997, 2.9, 2.9, 4.6, 2.9, 9.2),
        ("bf16 dense", "table"): (44, 0.9997, 0.998, 2.6, 1.8, 2.7, 2.6, 8.4),
        ("fp16 (2023-24)", "linear"): (9, 0.9891, 0.988, 5.5, 4.0, 8.8, 5.5, 11.7),
        ("fp16 (2023-24)", "roofline*"): (9, 0.9938, 0.991, 4.7, 2.7, 5.7, 4.7, 12.6),
        ("fp16 (2023-24)", "table"): (9, 0.9943, 0.992, 4.9, 1.1, 4.1, 4.9, 11.7),
    }
    for key, figures in published.items():
        r2, least, *errors = rows[key][1:]
        assert rows[key][0] == figures[0]
        assert (r2, least) == (pytest.approx(figures[1], abs=1e-4), pytest.approx(figures[2], abs=1e-3))
        assert errors == pytest.approx(figures[3:], abs=0.07)


def test_default_pairs_are_within_five_per_cent_in_the_median():
    rows = pair_rows(load_catalogue(), None)
    assert len(rows) == 64
    assert np.median([row[3] for row in rows]) <= 5


def test_what_is_known_of_prompts_alone_and_of_memory():
    catalogue, data = load_catalogue(), measured()
    alone = alone_rows(catalogue, data["alone"])
    assert len(alone) == 12
    assert np.mean([abs(row[4]) for row in alone]) < 30
    assert all(
        abs(row[4]) < 20
        for row in room_rows(catalogue, data["kv_room"])
        if "qwen" not in row[0] and "l40s" not in row[0]
    )


def test_every_measurement_has_a_source():
    assert all(len(e["source"]) > 20 for entries in measured().values() for e in entries if isinstance(e, dict))


def test_a_bad_grid_ends_the_command(capsys, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        main(["--grid", str(tmp_path / "none.csv")])
    assert stopped.value.code == 2
    assert "none.csv can't be read" in capsys.readouterr().err
    path = tmp_path / "other.csv"
    path.write_text("pair,prefill_tokens,n_chunks,hist,decode_batch,decode_ctx,t_ms\na:toy:a100:tp2:bf16,1,1,0,0,0,1\n")
    with pytest.raises(SystemExit):
        main(["--grid", str(path)])
    assert "has no pair of the catalogue; it has [('toy', 'a100-80g', 2, 'bf16')]" in capsys.readouterr().err


def test_the_command(reference):
    command = [sys.executable, "-m", "kvgym.evaluation.validate", "--grid", str(reference / "cost_grid.csv"), "--pairs"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for title in ("Forms on the points of", "Published figures", "Closed loops", "A prompt alone", "KV room"):
        assert title in done.stdout
