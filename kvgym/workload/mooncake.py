"""Readers of traces that hold ids of the blocks of each prompt: Mooncake's and Qwen-Bailian's."""

from __future__ import annotations

import math
from collections.abc import Iterator

from kvgym._check import whole
from kvgym.workload.random import Seed
from kvgym.workload.timed import Row, TimeUnit, from_zero, open_loop, seconds
from kvgym.workload.trace_file import Record, TraceSource, read_records
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
    time_unit: TimeUnit = "ms",
    skip_bad: bool = False,
    header_lines: int = 0,
) -> Workload:
    """Open-loop requests from JSON lines with `timestamp` (ms), `input_length`, `output_length` and `hash_ids`.

    Two prompts share the tokens of a block exactly if its ids are equal. Any page size works, since a token is (block
    id, place in the block): pages inside a shared block are shared, as are pages that span several. Outputs are
    private: the trace does not say which later blocks hold them. An output of length 0 counts as 1.

    Args:
        source: a path, a folder or an open file; plain or gzip.
        page_size: tokens per page.
        rate_scale: 2 = twice as fast.
        window_s: (start, end): only requests with start <= timestamp < end, in seconds of the trace; start becomes 0.
        max_requests: only the first ones of the window.
        jitter: adds a uniform time in [0, jitter) to each timestamp and sorts, before `rate_scale`. The published
            conversation trace has steps of 3 s: 3.0 spreads them.
        seed: of the jitter.
        block_tokens: tokens per hash id.
        time_unit: of `timestamp`, "ms" or "s".
        skip_bad: skips, and counts in a warning, lines that are not in the format.
        header_lines: lines at the beginning that are skipped.

    Raises:
        TraceError: for a trace not in this format.
        ValueError: for another argument, or a window without requests.
    """
    whole("block_tokens", block_tokens, 1)
    previous = 0.0

    def parse(record: Record) -> Row:
        nonlocal previous
        time = seconds(record, "timestamp", time_unit)
        if time < previous:
            raise record.error(f"expected timestamps in ascending order, got {time} s after {previous} s")
        previous = time
        prompt, output = record.whole("input_length", 1), record.whole("output_length", 0)
        return Row(time, prompt, output, _block_ids(record, -(-prompt // block_tokens)))

    rows = read_records(source, parse, skip_bad=skip_bad, header_lines=header_lines)
    return open_loop(
        rows,
        page_size,
        block_tokens=block_tokens,
        name="mooncake",
        rate_scale=rate_scale,
        window_s=window_s,
        max_requests=max_requests,
        jitter=jitter,
        seed=seed,
        ascending=True,
    )


def read_bailian(
    source: TraceSource,
    page_size: int,
    *,
    rate_scale: float = 1.0,
    window_s: tuple[float, float] = (0.0, math.inf),
    max_requests: int | None = None,
    jitter: float = 0.0,
    seed: Seed = 0,
    block_tokens: int = 16,
    time_unit: TimeUnit = "s",
    skip_bad: bool = False,
    header_lines: int = 0,
) -> Workload:
    """Open-loop requests from JSON lines as in qwen-bailian-usagetraces-anon.

    Fields: `chat_id`, `parent_chat_id` (-1: none), `timestamp` (s), `input_length`, `output_length`, `type`, `hash_ids`
    (a block of 16 tokens each; equal blocks count as shared where all before them are equal, too). A request belongs to
    the session of its parent; tenants are the types. The rest is as in `read_mooncake`; times may be unsorted, and the
    first one becomes 0.

    Args:
        source: as in `read_mooncake`, like the other arguments.
        page_size: tokens per page.
        rate_scale: see there.
        window_s: see there.
        max_requests: see there.
        jitter: see there.
        seed: see there.
        block_tokens: tokens per hash id.
        time_unit: of `timestamp`, "ms" or "s".
        skip_bad: see there.
        header_lines: see there.

    Raises:
        TraceError: for a trace not in this format.
        ValueError: for another argument, or a window without requests.
    """
    whole("block_tokens", block_tokens, 1)
    types: dict[str, int] = {}

    def parse(record: Record) -> tuple[int, int, Row]:
        prompt, output = record.whole("input_length", 1), record.whole("output_length", 0)
        tenant = types.setdefault(str(record.get("type")), len(types))
        row = Row(
            seconds(record, "timestamp", time_unit),
            prompt,
            output,
            _block_ids(record, -(-prompt // block_tokens)),
            tenant=tenant,
        )
        return record.whole("chat_id", 0), record.whole("parent_chat_id", -1), row

    found = list(read_records(source, parse, skip_bad=skip_bad, header_lines=header_lines))
    root = {chat: chat for chat, _, _ in found}

    def rows() -> Iterator[Row]:
        for chat, parent, row in sorted(found, key=lambda one: one[2].time):
            root[chat] = root.get(parent, chat)
            yield row._replace(session=root[chat])

    return open_loop(
        from_zero(rows()),
        page_size,
        block_tokens=block_tokens,
        name="bailian",
        rate_scale=rate_scale,
        window_s=window_s,
        max_requests=max_requests,
        jitter=jitter,
        seed=seed,
    )


def _block_ids(record: Record, expected: int) -> list[int]:
    ids = record.items("hash_ids", "integers")
    if len(ids) != expected:
        raise record.error(f"expected {expected} 'hash_ids' for this input_length, got {len(ids)}")
    if set(map(type, ids)) != {int} or max(ids) >= 2**64 or min(ids) < -(2**63):
        wrong = next(one for one in ids if type(one) is not int or not -(2**63) <= one < 2**64)
        raise record.error(f"expected 'hash_ids' to be integers of 64 bits, got {wrong!r}")
    return ids
