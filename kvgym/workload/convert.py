"""Writes workloads as traces, for clusters of other sizes if wanted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvgym import _atomic
from kvgym._check import choice
from kvgym.workload.checks import positive
from kvgym.workload.measure import nominal_arrivals, session_numbers
from kvgym.workload.workload import Workload

Ints = NDArray[np.int64]


class _Copy(NamedTuple):
    """Requests of one copy of a workload."""

    rows: Ints
    times: NDArray[np.float64]
    ids: Ints  # first id of each node in this copy


def _mooncake(workload: Workload, copies: list[_Copy], fresh: int) -> Iterator[str]:
    """JSON lines; a page is a block, and a block that is not full has an id of its own."""
    times, rows, of = _in_order(copies)
    for time, row, copy in zip(times.tolist(), rows.tolist(), of.tolist(), strict=True):
        request = workload.requests[row]
        path = workload.paths[request["path_start"] : request["path_start"] + request["path_nodes"]]
        first, count = copies[copy].ids[path], workload.nodes["n_pages"][path]
        blocks = [one for a, n in zip(first.tolist(), count.tolist(), strict=True) for one in range(a, a + n)]
        blocks = blocks[: int(request["prompt_pages"])]
        if request["prompt_tokens"] % workload.page_size:
            blocks.append(fresh)
            fresh += 1
        record = {
            "timestamp": round(1e3 * time, 6),
            "input_length": int(request["prompt_tokens"]),
            "output_length": int(request["output_tokens"]),
            "hash_ids": blocks,
        }
        yield json.dumps(record) + "\n"


def _lengths(workload: Workload, copies: list[_Copy], fresh: int) -> Iterator[str]:
    """A table with the columns of Azure's."""
    yield "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    times, rows, _ = _in_order(copies)
    for time, request in zip(times.tolist(), workload.requests[rows], strict=True):
        yield f"{time:.9f},{request['prompt_tokens']},{request['output_tokens']}\n"


WRITERS: dict[str, Callable[[Workload, list[_Copy], int], Iterator[str]]] = {"mooncake": _mooncake, "lengths": _lengths}
"""Format -> what makes its lines."""


def write_trace(
    workload: Workload, path: str | Path, *, format: str = "mooncake", rate_scale: float = 1.0, tile: float = 1.0
) -> int:
    """Writes a workload as a trace of requests that arrive on their own; whole or not at all.

    A closed loop's times are those of `nominal_arrivals`. In "mooncake" a page of the workload is a block: read the
    trace with `block_tokens` = its page size. That later prompts repeat an answer is kept (they share its blocks among
    them), that the answer itself leaves them in a cache is not.

    To tile: copy k of K begins k / K of the span later, and goes round: sessions that would start after the end start
    at the beginning. Blocks that only one session uses are others in each copy, those of several (system prompts,
    templates, documents) are the same ones. Where no sessions are recorded they are inferred, see
    `kvgym.workload.measure.continued`. Of a part of a copy as many sessions are taken, evenly.

    Args:
        workload: The workload.
        path: The file; .jsonl or .csv is usual.
        format: One of `WRITERS`.
        rate_scale: 2 = twice as fast: times are divided by it.
        tile: So many times the requests in the same time; 0.5 = half of the sessions.

    Returns:
        The number of requests written.

    Raises:
        ValueError: For another argument.
    """
    lines = WRITERS[choice("format", format, WRITERS)]
    positive("rate_scale", rate_scale)
    copies, fresh = _tiled(workload, positive("tile", tile, 1e6))
    copies = [copy._replace(times=copy.times / rate_scale) for copy in copies]
    with _atomic.replacing(Path(path)) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(lines(workload, copies, fresh))
    return sum(len(copy.rows) for copy in copies)


def _tiled(workload: Workload, tile: float) -> tuple[list[_Copy], int]:
    """The copies, and the first id that none of them uses."""
    times = nominal_arrivals(workload)
    times -= times.min()
    pages = workload.nodes["n_pages"].astype(np.int64)
    first = np.cumsum(pages) - pages
    copies = [_Copy(np.arange(len(workload)), times, first)]
    if tile == 1.0:
        return copies, int(pages.sum())
    session = session_numbers(workload, times)
    number = int(session.max()) + 1
    start = np.full(number, np.inf)
    np.minimum.at(start, session, times)
    span = float(times.max())
    entry_session = np.repeat(session, workload.requests["path_nodes"])
    lowest, highest = np.full(len(pages), number), np.full(len(pages), -1)
    np.minimum.at(lowest, workload.paths, entry_session)
    np.maximum.at(highest, workload.paths, entry_session)
    private = lowest == highest
    copies = []
    for k in range(int(np.ceil(tile))):
        share = min(1.0, tile - k)
        taken = np.floor(np.arange(1, number + 1) * share) > np.floor(np.arange(number) * share)
        rows = np.flatnonzero(taken[session])
        begin = (start + span * k / np.ceil(tile)) % span if span else start
        ids = np.where(private, first + k * int(pages.sum()), first)
        copies.append(_Copy(rows, (times - start[session] + begin[session])[rows], ids))
    return copies, len(copies) * int(pages.sum())


def _in_order(copies: list[_Copy]) -> tuple[NDArray[np.float64], Ints, Ints]:
    """Times, requests and copies, in order of time."""
    times = np.concatenate([copy.times for copy in copies])
    rows = np.concatenate([copy.rows for copy in copies])
    of = np.repeat(np.arange(len(copies)), [len(copy.rows) for copy in copies])
    order = np.argsort(times, kind="stable")
    return times[order], rows[order], of[order]
