"""Reader of traces in the Mooncake format: times, lengths, and a hash id per block of 512 tokens."""

from __future__ import annotations

import math

import numpy as np

from kvgym._check import finite, whole
from kvgym.workload.checks import positive
from kvgym.workload.random import JITTER, Seed, Stream
from kvgym.workload.trace_file import Record, TraceSource, is_whole, read_records
from kvgym.workload.workload import Workload


def read_mooncake(
    source: TraceSource,
    page_size: int,
    *,
    rate_scale: float = 1.0,
    window_s: tuple[float, float] = (0.0, math.inf),
    max_requests: int | None = None,
    jitter: float = 0.0,
    seed: Seed = 0,
    block_tokens: int = 512,
) -> Workload:
    """Open-loop requests from JSON lines with `timestamp` (ms), `input_length`, `output_length` and `hash_ids`.

    Two prompts share the tokens of a block exactly if its ids are equal. Any page size works, since a token is (block
    id, place in the block): pages inside a shared block are shared, as are pages that span several. Outputs are
    private: the trace does not say which later blocks hold them. An output of length 0 counts as 1.

    Args:
        source: a path or an open file; plain or gzip.
        page_size: tokens per page.
        rate_scale: 2 = twice as fast.
        window_s: (start, end): only requests with start <= timestamp < end, in seconds of the trace; start becomes 0.
        max_requests: only the first ones of the window.
        jitter: adds a uniform time in [0, jitter) to each timestamp and sorts, before `rate_scale`. The published
            conversation trace has steps of 3 s: 3.0 spreads them.
        seed: of the jitter.
        block_tokens: tokens per hash id.

    Raises:
        TraceError: for a trace not in this format.
        ValueError: for another argument, or a window without requests.
    """
    positive("rate_scale", rate_scale)
    finite("jitter", jitter)
    whole("block_tokens", block_tokens, 1)
    limit = math.inf if max_requests is None else whole("max_requests", max_requests, 1)
    begin, end = window_s
    if not 0 <= begin < end:
        raise ValueError(f"window_s must be (start, end) with 0 <= start < end, got {window_s}")

    times: list[float] = []
    sizes: list[tuple[int, int]] = []
    blocks: list[list[int]] = []
    previous = 0.0
    for record in read_records(source):
        time = record.seconds("timestamp", "milliseconds") / 1e3
        if time < previous:
            raise record.error(f"expected timestamps in ascending order, got {time} s after {previous} s")
        previous = time
        row = record.whole("input_length", 1), max(1, record.whole("output_length", 0))
        ids = _block_ids(record, -(-row[0] // block_tokens))
        if time >= end or len(times) == limit:
            break
        if time >= begin:
            times.append(time - begin)
            sizes.append(row)
            blocks.append(ids)
    if not times:
        raise ValueError(f"window_s must hold at least one request, got {window_s}")
    arrival = np.array(times) + jitter * Stream(seed, JITTER).uniform(len(times))
    order = np.argsort(arrival, kind="stable")
    prompt, output = np.array(sizes)[order].T
    kept = [blocks[i] for i in order]
    splits = np.append(0, np.cumsum([len(ids) for ids in kept]))
    segments = np.concatenate([np.array(ids, np.int64) for ids in kept])
    lengths = np.full(len(segments), block_tokens)
    lengths[splits[1:] - 1] = prompt - block_tokens * (np.diff(splits) - 1)
    offsets, arrivals = np.zeros_like(segments), arrival[order] / rate_scale
    return Workload.from_segments(splits, segments, offsets, lengths, output, arrivals, page_size, name="mooncake")


def _block_ids(record: Record, expected: int) -> list[int]:
    ids = record.items("hash_ids", "integers")
    if len(ids) != expected:
        raise record.error(f"expected {expected} 'hash_ids' for this input_length, got {len(ids)}")
    for block in ids:
        if not is_whole(block) or block < 0:
            raise record.error(f"expected 'hash_ids' to be integers >= 0, got {block!r}")
    return ids
