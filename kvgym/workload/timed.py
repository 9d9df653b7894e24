"""What the readers of traces with a time in each line have in common."""

from __future__ import annotations

import math
import warnings
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvgym._check import choice, finite, whole
from kvgym.workload.checks import MAX_SECONDS, positive
from kvgym.workload.random import JITTER, Seed, Stream
from kvgym.workload.tables import Columns
from kvgym.workload.trace_file import Record
from kvgym.workload.workload import Workload

TimeUnit = Literal["ms", "s"]
Ints = NDArray[np.int64]
_LOW_BITS = np.uint64(40)
_LOW = np.uint64(2**40 - 1)
_BATCH = 2**20
PRIVATE = 2**61
"""Plus the row's number: segment of a prompt whose content is not known."""
_FAR_TOO_FAST = 2e6  # prompt tokens per second: some 50 H100 compute as many with a model of 8 billion weights


class Row(NamedTuple):
    """A request of a trace.

    Attributes:
        time: Seconds, of any clock.
        prompt: Tokens, >= 1.
        output: Tokens; 0 counts as 1.
        blocks: Ids of the prompt's blocks, 64 bits with or without a sign; () = not known.
        session: Equal for the requests of a session, -1 = a session of its own.
        tenant: Equal for those of a tenant.
        answer: The output's tokens, with blocks of one token; () = not known.
    """

    time: float
    prompt: int
    output: int
    blocks: Sequence[int] | Ints = ()
    session: int = -1
    tenant: int = 0
    answer: Sequence[int] | Ints = ()


def open_loop(
    rows: Iterable[Row],
    page_size: int,
    *,
    block_tokens: int,
    name: str,
    rate_scale: float = 1.0,
    window_s: tuple[float, float] = (0.0, math.inf),
    max_requests: int | None = None,
    jitter: float = 0.0,
    seed: Seed = 0,
    ascending: bool = False,
) -> Workload:
    """Requests that arrive at their times.

    Args:
        rows: requests; in order of time where `ascending`, when those after the last one that is wanted are not read.
        page_size: tokens per page.
        block_tokens: tokens per id of a block.
        name: of the workload.
        rate_scale: 2 = twice as fast.
        window_s: (start, end): only requests with start <= time < end; start becomes 0. Times that begin later than 46
            days after 0 are dates: the first one counts as 0.
        max_requests: only the first ones of the window.
        jitter: adds a uniform time in [0, jitter) to each time and sorts, before `rate_scale`.
        seed: of the jitter.
        ascending: see `rows`.

    Raises:
        ValueError: for another argument, or a window without requests.
    """
    positive("rate_scale", rate_scale)
    finite("jitter", jitter)
    limit = math.inf if max_requests is None else whole("max_requests", max_requests, 1)
    begin, end = window_s
    if not 0 <= begin < end:
        raise ValueError(f"window_s must be (start, end) with 0 <= start < end, got {window_s}")
    times, prompts, outputs, sessions, tenants = array("d"), array("q"), array("q"), array("q"), array("q")
    runs = _Runs(block_tokens)
    answers: list[Sequence[int] | Ints] = []
    zero = None
    for row in rows:
        zero = (row.time if row.time > MAX_SECONDS else 0.0) if zero is None else zero
        time = row.time - zero
        if ascending and (time >= end or len(times) == limit):
            break
        if begin <= time < end:
            times.append(time - begin)
            prompts.append(row.prompt)
            outputs.append(max(1, row.output))
            runs.add(row)
            sessions.append(row.session)
            tenants.append(row.tenant)
            answers.append(row.answer)
    if not times:
        raise ValueError(f"window_s must hold at least one request, got {window_s}")
    arrival = np.frombuffer(times)
    first = np.argsort(arrival, kind="stable")[: None if limit == math.inf else int(limit)]
    arrival = arrival[first] + jitter * Stream(seed, JITTER).uniform(len(first))
    again = np.argsort(arrival, kind="stable")
    order, arrival = first[again], arrival[again] / rate_scale
    prompt = np.frombuffer(prompts, np.int64)[order]
    _warn_if_too_fast(arrival, prompt)
    output = np.frombuffer(outputs, np.int64)[order]
    session, turn = _numbered(np.frombuffer(sessions, np.int64)[order])
    tenant = np.unique(np.frombuffer(tenants, np.int64)[order], return_inverse=True)[1]
    columns: Columns = {"sessions": session, "turns": turn, "tenants": tenant}
    splits, segments, offsets, lengths = runs.of(order)
    if any(len(answer) for answer in answers):
        told = [answers[i] if len(answers[i]) else int(tokens) for i, tokens in zip(order, output, strict=True)]
        return Workload.from_tokens(
            _tokens(splits, segments, offsets, lengths), told, arrival, page_size, name=name, **columns
        )
    return Workload.from_segments(splits, segments, offsets, lengths, output, arrival, page_size, name=name, **columns)


class _Runs:
    """The runs of all prompts so far: those of ids that follow each other are one.

    Token t of block b is (b >> 40, (b mod 2^40) x tokens of a block + t).
    """

    def __init__(self, block_tokens: int) -> None:
        self._block = block_tokens
        self._ids, self._counts, self._prompts = array("Q"), array("q"), array("q")  # not yet runs
        self._numbers: list[Ints] = []  # runs of each request
        self._parts: list[tuple[Ints, Ints, Ints]] = []  # segments, offsets, lengths

    def add(self, row: Row) -> None:
        """Adds a request's."""
        held = len(self._ids)
        try:
            self._ids.extend(row.blocks)
        except OverflowError:  # with a sign
            del self._ids[held:]
            self._ids.extend(int(block) & 2**64 - 1 for block in row.blocks)
        self._counts.append(len(row.blocks))
        self._prompts.append(row.prompt)
        if len(self._ids) + len(self._counts) > _BATCH:
            self._flush()

    def of(self, order: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """Row splits, segments, offsets and lengths of the requests in an order."""
        self._flush()
        number = np.concatenate(self._numbers)
        splits = np.append(0, np.cumsum(number[order]))
        place = np.arange(splits[-1]) + np.repeat((np.cumsum(number) - number)[order] - splits[:-1], number[order])
        segment, offset, length = (np.concatenate(part)[place] for part in zip(*self._parts, strict=True))
        return splits, segment, offset, length

    def _flush(self) -> None:
        count, prompt = np.array(self._counts, np.int64), np.array(self._prompts, np.int64)
        done = sum(map(len, self._numbers))
        known = count > 0
        last = np.cumsum(np.maximum(1, count)) - 1  # of each request, where one whose blocks are not known has one
        ids = np.zeros(int(np.maximum(1, count).sum()), np.uint64)
        ids[np.repeat(known, np.maximum(1, count))] = np.array(self._ids, np.uint64)
        segment, offset = (ids >> _LOW_BITS).astype(np.int64), (ids & _LOW).astype(np.int64)
        segment[last[~known]] = PRIVATE + done + np.flatnonzero(~known)
        begins = np.ones(len(ids), np.bool_)
        begins[1:] = (segment[1:] != segment[:-1]) | (offset[1:] != offset[:-1] + 1)
        begins[last[:-1] + 1] = True
        first = np.flatnonzero(begins)
        length = np.diff(np.append(first, len(ids))) * self._block
        number = np.add.reduceat(begins.astype(np.int64), np.append(0, last[:-1] + 1)) if len(count) else count
        length[np.cumsum(number) - 1] += prompt - np.maximum(1, count) * self._block
        self._numbers.append(number)
        self._parts.append((segment[first], offset[first] * self._block, length))
        self._ids, self._counts, self._prompts = array("Q"), array("q"), array("q")


def _tokens(splits: Ints, segments: Ints, offsets: Ints, lengths: Ints) -> list[Ints]:
    """The runs as tokens, of blocks of one."""
    ends = np.cumsum(lengths)
    tokens = np.repeat((segments << int(_LOW_BITS)) + offsets - (ends - lengths), lengths) + np.arange(ends[-1])
    return np.split(tokens, ends[splits[1:-1] - 1])


def seconds(record: Record, field: str, unit: TimeUnit) -> float:
    """A field that holds a time: a number in the unit, or a date (ISO 8601; of Greenwich where it names no zone)."""
    value = record.get(field)
    if isinstance(value, str):
        with suppress(ValueError):
            time = datetime.fromisoformat(value.strip())
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    name = {"ms": "milliseconds", "s": "seconds"}[choice("time_unit", unit, ("ms", "s"))]
    return record.seconds(field, name) / (1e3 if unit == "ms" else 1.0)


def from_zero(rows: Iterable[Row]) -> list[Row]:
    """The same in order of time, the first one at 0."""
    found = sorted(rows, key=lambda row: row.time)
    return [row._replace(time=row.time - found[0].time) for row in found]


def _numbered(session: Ints) -> tuple[Ints, Ints]:
    """Sessions 0, 1, .. by first appearance, and turns."""
    alone = session < 0
    key = np.where(alone, -1 - np.arange(len(session)), session)
    _, first, number = np.unique(key, return_index=True, return_inverse=True)
    place = np.empty_like(first)
    place[np.argsort(first)] = np.arange(len(first))
    number = place[number]
    order = np.argsort(number, kind="stable")
    counts = np.bincount(number)
    turn = np.empty_like(number)
    turn[order] = np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts, counts)
    return number, turn


def _warn_if_too_fast(arrival: NDArray[np.float64], prompt: Ints) -> None:
    span = float(arrival[-1] - arrival[0])
    if len(arrival) >= 100 and prompt.sum() > _FAR_TOO_FAST * span:
        rate = f"{prompt.sum() / span:,.0f} prompt tokens a second" if span else "all requests at one moment"
        warnings.warn(
            f"the trace offers {rate}, far more than is served anywhere: are its times in seconds (time_unit='s')?",
            stacklevel=3,
        )
