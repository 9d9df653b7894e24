"""Traces that are written: what is read again is the same; other paces and sizes."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvgym.workload import Workload, coding_agents, figures, nominal_arrivals, read_mooncake, read_trace
from kvgym.workload.convert import write_trace
from tests.workload.samples import mooncake_rows, write

prompts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=14), min_size=1, max_size=10)


@given(prompts, st.integers(1, 4), st.lists(st.floats(0, 1000), min_size=10, max_size=10))
def test_what_was_written_is_read_again(tmp_path_factory, rows, page_size, times):
    workload = Workload.from_tokens(rows, [3] * len(rows), sorted(times[: len(rows)]), page_size)
    path = tmp_path_factory.mktemp("traces") / "a.jsonl"
    assert write_trace(workload, path) == len(rows)
    again = read_mooncake(path, page_size, block_tokens=page_size)
    assert np.array_equal(again.nodes, workload.nodes) and np.array_equal(again.paths, workload.paths)
    for column in ("prompt_tokens", "output_tokens", "prompt_pages", "path_pages"):
        assert np.array_equal(again.requests[column], workload.requests[column])
    late = again.requests["arrival_ps"] - workload.requests["arrival_ps"]
    assert np.all(np.abs(late - late[0]) <= 2000)  # times of a trace are rounded to nanoseconds


def test_lengths_and_paces(tmp_path):
    whole = read_trace(write(tmp_path / "a.jsonl", mooncake_rows(50)), 512)
    write_trace(whole, tmp_path / "b.csv", format="lengths", rate_scale=2.0)
    again = read_trace(tmp_path / "b.csv", 512)
    assert again.requests["prompt_tokens"].tolist() == whole.requests["prompt_tokens"].tolist()
    assert (2 * again.requests["arrival_ps"]).tolist() == whole.requests["arrival_ps"].tolist()


def test_a_closed_loop_becomes_an_open_one(tmp_path):
    agents = coding_agents(0, 64, requests=200)
    write_trace(agents, tmp_path / "a.jsonl")
    again = read_trace(tmp_path / "a.jsonl", 64, block_tokens=64)
    times = np.sort(nominal_arrivals(agents))
    np.testing.assert_allclose(again.requests["arrival_ps"] * 1e-12, times - times[0], atol=1e-6)
    hit = figures(again).infinite_hit
    assert 0.5 < hit <= figures(agents).infinite_hit


@pytest.mark.parametrize("tile", [0.5, 1.5, 3.0])
def test_tiles(tmp_path, tile):
    one = coding_agents(0, 512, requests=1500, session_rate=0.5, time_scale=0.1)
    n = write_trace(one, tmp_path / "a.jsonl", tile=tile)
    many = read_trace(tmp_path / "a.jsonl", 512, block_tokens=512)
    assert len(many) == n == pytest.approx(tile * len(one), rel=0.15)
    a, b = figures(one), figures(many)
    assert b.infinite_hit == pytest.approx(a.infinite_hit, rel=0.15)
    assert b.reuse_s.p50 == pytest.approx(a.reuse_s.p50, rel=0.2)
    if tile > 1:  # private blocks are others in each copy, shared prefixes are not
        write_trace(one, tmp_path / "b.jsonl")
        once = figures(read_trace(tmp_path / "b.jsonl", 512, block_tokens=512)).distinct_tokens
        assert once < b.distinct_tokens < tile * once
    ids = [set(json.loads(line)["hash_ids"]) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert max(map(max, ids)) < 2**40


def test_refusals(tmp_path):
    whole = read_mooncake(io.StringIO(json.dumps(mooncake_rows(1)[0])), 512)
    path = Path(tmp_path / "a.jsonl")
    for arguments, message in (
        ({"format": "csv"}, "format must be one of mooncake, lengths; got 'csv'"),
        ({"rate_scale": 0.0}, "rate_scale must be > 0"),
        ({"tile": -1.0}, "tile must be a finite number from 0"),
    ):
        with pytest.raises(ValueError, match=message):
            write_trace(whole, path, **arguments)
    assert not list(tmp_path.iterdir())
