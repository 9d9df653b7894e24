"""The reader of Mooncake traces, on made-up traces and on the real one where there is one."""

import gzip
import io
import json

import numpy as np
import pytest

from kvgym.workload import TraceError, read_mooncake
from tests.workload.samples import mooncake_rows, write

ROW = {"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [1, 2]}


@pytest.fixture
def rows():
    return mooncake_rows()


@pytest.fixture
def path(tmp_path, rows):
    return write(tmp_path / "trace.jsonl", rows)


def lines(*changes, **common):
    """An open text file of rows that differ from ROW."""
    return io.StringIO("".join(json.dumps({**ROW, **common, **change}) + "\n" for change in changes))


def test_rows_become_requests(path, rows):
    w = read_mooncake(path, 16)
    assert w.requests["arrival_ps"].tolist() == [row["timestamp"] * 10**9 for row in rows]
    assert w.requests["prompt_tokens"].tolist() == [row["input_length"] for row in rows]
    assert w.requests["output_tokens"].tolist() == [row["output_length"] for row in rows]
    assert set(w.requests["predecessor"].tolist()) == {-1}
    assert w.name == "mooncake"


@pytest.mark.parametrize("page_size", [1, 16, 48, 512, 700, 1024])
def test_pages_are_shared_as_far_as_blocks_are(path, rows, page_size):
    pages = {}  # (page before, tokens of this one) -> number: a page is its whole prefix
    for row in rows:
        position = np.arange(row["input_length"])
        tokens = np.array(row["hash_ids"])[position // 512] * 512 + position % 512
        page = -1
        for start in range(0, len(tokens) - page_size + 1, page_size):
            page = pages.setdefault((page, tokens[start : start + page_size].tobytes()), len(pages))
    w = read_mooncake(path, page_size)
    in_prompt = w.requests["prompt_pages"][w.nodes["first_request"]] - w.nodes["start_page"]
    shared = w.nodes["n_requests"] > 1
    assert np.all(in_prompt[shared] >= w.nodes["n_pages"][shared])  # outputs are private
    # A page across a prompt's end belongs to the output; those of private outputs are not in `pages`.
    assert np.clip(in_prompt, 0, w.nodes["n_pages"]).sum() == len(pages)


def test_all_ways_to_pass_a_file_agree(path, tmp_path, rows):
    packed = write(tmp_path / "trace.gz", rows, compress=True)
    digest = read_mooncake(path, 16).content_hash()
    assert read_mooncake(str(packed), 16).content_hash() == digest
    for name in (path, packed):
        with name.open("rb") as file:
            assert read_mooncake(file, 16).content_hash() == digest
            assert not file.closed
    with path.open() as file:
        assert read_mooncake(file, 16).content_hash() == digest
    assert read_mooncake(io.BytesIO(packed.read_bytes()), 16).content_hash() == digest


def test_rate_scale(path):
    slow, fast = read_mooncake(path, 16).requests, read_mooncake(path, 16, rate_scale=2.0).requests
    assert (2 * fast["arrival_ps"]).tolist() == slow["arrival_ps"].tolist()


def test_max_requests_and_window(path, rows):
    whole = read_mooncake(path, 16)
    assert read_mooncake(path, 16, max_requests=50).requests["prompt_tokens"].tolist() == (
        whole.requests["prompt_tokens"][:50].tolist()
    )
    part = read_mooncake(path, 16, window_s=(30.0, 60.0))
    inside = [row for row in rows if 30_000 <= row["timestamp"] < 60_000]
    assert part.requests["prompt_tokens"].tolist() == [row["input_length"] for row in inside]
    assert part.requests["arrival_ps"].tolist() == [(row["timestamp"] - 30_000) * 10**9 for row in inside]
    assert len(read_mooncake(path, 16, window_s=(30.0, 60.0), max_requests=3)) == 3


def test_jitter_spreads_steps_and_sorts(path):
    plain, spread = read_mooncake(path, 16), read_mooncake(path, 16, jitter=3.0, seed=1)
    times = spread.requests["arrival_ps"]
    assert len(np.unique(times)) == len(times)
    assert np.all(np.diff(times) >= 0)
    shift = times - plain.requests["arrival_ps"]  # steps are 3 s, so that a jitter below 3 s keeps their order
    assert shift.min() >= 0 and shift.max() < 3 * 10**12
    assert sorted(spread.requests["prompt_tokens"].tolist()) == sorted(plain.requests["prompt_tokens"].tolist())
    assert read_mooncake(path, 16, jitter=3.0, seed=2).content_hash() != spread.content_hash()
    assert read_mooncake(path, 16, jitter=3.0, seed=1).content_hash() == spread.content_hash()
    fast = read_mooncake(path, 16, jitter=3.0, seed=1, rate_scale=2.0).requests
    np.testing.assert_allclose(2 * fast["arrival_ps"], times, atol=2)


def test_an_output_of_length_zero_counts_as_one():
    assert read_mooncake(lines({"output_length": 0}), 16).requests["output_tokens"].tolist() == [1]


def test_blank_lines_are_skipped():
    assert len(read_mooncake(io.StringIO("\n" + json.dumps(ROW) + "\n\n"), 16)) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timestamp": -1}, "expected 'timestamp' to be milliseconds >= 0, got -1"),
        ({"timestamp": float("nan")}, "expected 'timestamp' to be milliseconds >= 0, got nan"),
        ({"timestamp": float("inf")}, "expected 'timestamp' to be milliseconds >= 0, got inf"),
        ({"timestamp": "0"}, "expected 'timestamp' to be milliseconds >= 0, got '0'"),
        ({"timestamp": True}, "expected 'timestamp' to be milliseconds >= 0, got True"),
        ({"input_length": 0}, "expected 'input_length' to be an integer >= 1, got 0"),
        ({"input_length": -5}, "expected 'input_length' to be an integer >= 1, got -5"),
        ({"input_length": 600.0}, "expected 'input_length' to be an integer >= 1, got 600.0"),
        ({"input_length": 10**12}, "expected 'input_length' to be an integer >= 1, got 1000000000000"),
        ({"output_length": -1}, "expected 'output_length' to be an integer >= 0, got -1"),
        ({"output_length": None}, "expected 'output_length' to be an integer >= 0, got None"),
        ({"hash_ids": 7}, "expected 'hash_ids' to be a list of integers, got 7"),
        ({"hash_ids": [1]}, "expected 2 'hash_ids' for this input_length, got 1"),
        ({"hash_ids": [1, "2"]}, "expected 'hash_ids' to be integers of 64 bits, got '2'"),
        ({"hash_ids": [1, True]}, "expected 'hash_ids' to be integers of 64 bits, got True"),
        ({"hash_ids": [1, 2**64]}, "expected 'hash_ids' to be integers of 64 bits, got 18446744073709551616"),
    ],
)
def test_wrong_values_are_named_with_their_line(change, message):
    with pytest.raises(TraceError) as caught:
        read_mooncake(lines({}, change), 16)
    assert str(caught.value) == f"the file, line 2: {message}"


@pytest.mark.parametrize("field", sorted(ROW))
def test_missing_fields_are_named(field):
    row = {key: value for key, value in ROW.items() if key != field}
    with pytest.raises(TraceError, match=f"the file, line 1: expected a field '{field}', which is missing; got"):
        read_mooncake(io.StringIO(json.dumps(row)), 16)


def test_unsorted_timestamps():
    message = r"line 3: expected timestamps in ascending order, got 1.0 s after 2.0 s"
    with pytest.raises(TraceError, match=message):
        read_mooncake(lines({}, {"timestamp": 2000}, {"timestamp": 1000}), 16)


@pytest.mark.parametrize("text", ["[1, 2]", "3", "null"])
def test_a_line_that_is_no_object(text):
    with pytest.raises(TraceError, match="the file, line 1: expected a JSON object, got"):
        read_mooncake(io.StringIO(text), 16)


def test_a_truncated_line(tmp_path, rows):
    path = write(tmp_path / "cut.jsonl", rows[:3])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TraceError, match=r"cut.jsonl, line 3: expected a JSON object, got"):
        read_mooncake(path, 16)


def test_a_truncated_gzip_file(tmp_path, rows):
    path = write(tmp_path / "cut.gz", rows, compress=True)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(TraceError, match=r"cut.gz, after line \d+: expected a complete gzip file"):
        read_mooncake(path, 16)


def test_a_damaged_gzip_file(tmp_path, rows):
    path = write(tmp_path / "bad.gz", rows, compress=True)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(TraceError, match=r"bad.gz,"):
        read_mooncake(path, 16)


@pytest.mark.parametrize("data", [b"", b"\n \n", gzip.compress(b"", mtime=0)], ids=["nothing", "blank lines", "gzip"])
def test_an_empty_file(data):
    with pytest.raises(TraceError, match="the file: expected at least one record, got an empty file"):
        read_mooncake(io.BytesIO(data), 16)


def test_a_binary_file():
    with pytest.raises(TraceError, match="the file, after line 0: expected UTF-8 text"):
        read_mooncake(io.BytesIO(b"\xff\xfe\x00"), 16)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_mooncake(tmp_path / "none.jsonl", 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate_scale": 0.0}, "rate_scale must be > 0"),
        ({"max_requests": 0}, "max_requests must be an integer >= 1"),
        ({"jitter": -1.0}, "jitter must be a finite number >= 0"),
        ({"block_tokens": 0}, "block_tokens must be an integer >= 1"),
        ({"window_s": (2.0, 1.0)}, r"window_s must be \(start, end\) with 0 <= start < end"),
        ({"window_s": (5.0, 6.0)}, "window_s must hold at least one request"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        read_mooncake(lines({}), 16, **arguments)


def test_the_real_conversation_trace(trace):
    w = read_mooncake(trace("mooncake_fast25/conversation_trace.jsonl.gz"), 16)
    assert len(w) == 8940
    assert w.infinite_hit_rate() == pytest.approx(0.366, abs=0.01)
    assert w.requests["arrival_ps"][-1] == 2_699_999 * 10**9
    assert w.head(2000).infinite_hit_rate() < w.infinite_hit_rate()


def test_the_real_synthetic_trace(trace):
    w = read_mooncake(trace("mooncake_fast25/synthetic_trace.jsonl.gz"), 16)
    assert len(w) == 3993
    assert w.infinite_hit_rate() == pytest.approx(0.65, abs=0.02)
