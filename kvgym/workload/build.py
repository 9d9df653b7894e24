"""From tokens or segments to a workload's tables: checks, times, labels; `assemble_kernels` makes the tree itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kvgym import _compile
from kvgym._check import whole
from kvgym.workload.checks import MAX_INT32, MAX_SEGMENT, check_keywords, check_length, picoseconds, wholes
from kvgym.workload.subset import link_successors
from kvgym.workload.tables import REQUEST, Columns, Table

Ints = NDArray[np.int64]
Given = tuple[Ints, Ints, Ints, Ints, Ints, Ints]
Built = tuple[Table, Table, NDArray[np.int32], int, int]
"""Requests, nodes, paths, tokens per page, number of shared nodes."""
KERNELS = "kvgym.workload.assemble_kernels"


def build_from_segments(
    row_splits: ArrayLike,
    segments: ArrayLike,
    offsets: ArrayLike,
    lengths: ArrayLike,
    output_tokens: ArrayLike,
    arrivals: ArrayLike,
    page_size: int,
    output_segments: ArrayLike | None = None,
    **columns: Unpack[Columns],
) -> Built:
    """See `Workload.from_segments`."""
    output = wholes("output_tokens", output_tokens, None, 1)
    n = len(output)
    segment = wholes("segments", segments, None, 0, MAX_SEGMENT)
    offset = wholes("offsets", offsets, len(segment), 0, MAX_SEGMENT)
    length = wholes("lengths", lengths, len(segment), 0)
    splits = wholes("row_splits", row_splits, n + 1, 0)
    if splits[0] != 0 or splits[-1] != len(segment) or (splits[1:] < splits[:-1]).any():
        raise ValueError(f"row_splits must ascend from 0 to {len(segment)}, the number of runs; got {splits}")
    tails = _column("output_segments", output_segments, n, -1, MAX_SEGMENT)
    ends = np.append(0, np.cumsum(length))
    requests = _request_rows(ends[splits[1:]] - ends[splits[:-1]], output, arrivals, page_size, columns)
    return _assemble(requests, (splits, segment, offset, length, output, tails), page_size)


def build_from_tokens(
    prompts: Sequence[Sequence[int]],
    outputs: Sequence[int | Sequence[int]],
    arrivals: ArrayLike,
    page_size: int,
    **columns: Unpack[Columns],
) -> Built:
    """See `Workload.from_tokens`."""
    check_length("outputs", len(outputs), len(prompts))
    rows: list[Ints] = []
    known = np.zeros(len(prompts), np.int64)  # output tokens that are given
    output = np.zeros(len(prompts), np.int64)
    for i, (prompt_row, output_row) in enumerate(zip(prompts, outputs, strict=True)):
        rows.append(wholes(f"prompts[{i}]", prompt_row, None, 0, MAX_SEGMENT))
        if isinstance(output_row, (int, np.integer)):
            output[i] = whole(f"outputs[{i}]", output_row, 1)
        else:
            rows.append(wholes(f"outputs[{i}]", output_row, None, 0, MAX_SEGMENT))
            output[i] = known[i] = whole(f"the length of outputs[{i}]", len(output_row), 1)
    prompt = np.array([len(row) for row in prompts], np.int64)
    requests = _request_rows(prompt, output, arrivals, page_size, columns)
    # Token t is (segment 0, offset t), so that equal tokens are equal; a private output is a segment of its own.
    tokens = np.concatenate(rows)
    splits = np.append(0, np.cumsum(prompt + known))
    runs = (splits, np.zeros_like(tokens), tokens, np.ones_like(tokens), output - known, np.full_like(output, -1))
    return _assemble(requests, runs, page_size)


def _request_rows(prompt: Ints, output: Ints, arrivals: ArrayLike, page_size: int, columns: Columns) -> Table:
    """The request table, all but the columns that come from the tree."""
    check_keywords(columns, Columns.__annotations__)
    n = len(prompt)
    whole("the number of requests", n, 1)
    if whole("page_size", page_size, 1) > MAX_INT32:
        raise ValueError(f"page_size must be at most {MAX_INT32}, got {page_size}")
    if (prompt < 1).any():
        raise ValueError(f"each prompt must have at least one token, but prompt {np.argmax(prompt < 1)} is empty")
    if (prompt + output > MAX_INT32).any():
        i = int(np.argmax(prompt + output > MAX_INT32))
        raise ValueError(
            f"prompt + output tokens must be at most {MAX_INT32}, got {prompt[i] + output[i]} in request {i}"
        )
    rows = np.zeros(n, REQUEST)
    rows["prompt_tokens"], rows["output_tokens"] = prompt, output
    rows["prompt_pages"] = prompt // page_size
    rows["path_pages"] = (prompt + output - 1) // page_size
    rows["predecessor"] = predecessor = _column("predecessors", columns.get("predecessors"), n, -1)
    late = predecessor >= np.arange(n)
    if late.any():
        i = int(np.argmax(late))
        raise ValueError(f"predecessors[{i}] must be smaller than the request's own index, got {predecessor[i]}")
    _fill_times(rows, arrivals, columns.get("think_times"))
    session, turn = _default_sessions(predecessor)
    rows["session"] = _column("sessions", columns.get("sessions"), n, 0, default=session)
    rows["turn"] = _column("turns", columns.get("turns"), n, 0, default=turn)
    rows["tenant"] = _column("tenants", columns.get("tenants"), n, 0, default=0)
    rows["service_class"] = _column("service_classes", columns.get("service_classes"), n, 0, default=0)
    link_successors(rows)
    return rows


def _fill_times(rows: Table, arrivals: ArrayLike, think_times: ArrayLike | None) -> None:
    first = rows["predecessor"] < 0
    rows["arrival_ps"] = arrival = picoseconds("arrivals", arrivals, len(rows), first)
    surplus = ~first & ~np.isnan(np.asarray(arrivals, np.float64))
    if surplus.any():
        i = int(np.argmax(surplus))
        raise ValueError(f"arrivals[{i}] must be NaN or None, because the request has a predecessor")
    starts = arrival[first]
    early = starts[1:] < starts[:-1]
    if early.any():
        i = int(np.flatnonzero(first)[1:][np.argmax(early)])
        raise ValueError(f"arrivals must be sorted by time, but arrivals[{i}] = {arrival[i] / 1e12} goes back")
    if think_times is not None:
        rows["think_ps"] = np.maximum(0, picoseconds("think_times", think_times, len(rows), ~first))


def _column(
    name: str, values: ArrayLike | None, n: int, low: int, high: int = MAX_INT32, default: int | Ints = -1
) -> Ints:
    return np.full(n, default, np.int64) if values is None else wholes(name, values, n, low, high)


def _default_sessions(predecessor: Ints) -> tuple[Ints, Ints]:
    """A session for each chain, numbered by first appearance, and the depth in the chain."""
    follows = predecessor >= 0
    session = np.cumsum(~follows) - 1
    turn = np.zeros(len(predecessor), np.int64)
    for i in np.flatnonzero(follows):
        session[i], turn[i] = session[predecessor[i]], turn[predecessor[i]] + 1
    return session, turn


def _assemble(requests: Table, given: Given, page_size: int) -> Built:
    """Adds the tree.

    Args:
        requests: All columns but those that come from the tree.
        given: Per run, after the row splits (n + 1,): segments, offsets and lengths; then, per request, how many tokens
            follow them and of which segment (-1: a private one).
        page_size: Tokens per page.
    """
    nodes, paths, n_shared = _compile.load(KERNELS).assemble(requests, given, page_size)
    return requests, nodes, paths, page_size, n_shared
