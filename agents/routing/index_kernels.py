"""What `PromptIndex` does at each decision, compiled: a decision of a router in Python has some fifty microseconds."""

from __future__ import annotations

import numpy as np
from numba import njit

_IDS, _ROWS, _TABLE, _FLAGS, _FLOATS = "int64[::1]", "int32[::1]", "int32[:, ::1]", "boolean[:, ::1]", "float64[::1]"


@njit(f"int64({_IDS}, int64, int64, int64, {_ROWS}, {_FLAGS}, {_IDS}, {_ROWS}, {_FLOATS})", nogil=True, cache=True)
def match(pages, page, step, most, row_of, held, ids, rows, matched):  # type: ignore[no-untyped-def]
    """Splits a prompt into blocks of `step` pages, and says how much of it each worker holds.

    Writes the blocks' ids, their rows (0: none) and tokens by worker; returns the number of blocks.
    """
    n = min((len(pages) + step - 1) // step, most)
    for i in range(n):
        ids[i] = pages[min((i + 1) * step, len(pages)) - 1]
        rows[i] = row_of[ids[i]] if ids[i] < len(row_of) else 0
    holders = np.arange(held.shape[1])  # of all blocks so far: soon few
    left = len(holders)
    matched[:] = 0.0
    for i in range(n):
        if rows[i] == 0 or left == 0:
            break
        tokens = float(min((i + 1) * step, len(pages)) * page)
        kept = 0
        for place in range(left):
            worker = holders[place]
            if held[rows[i], worker]:
                matched[worker] = tokens
                holders[kept] = worker
                kept += 1
        left = kept
    return n


@njit(f"UniTuple(int64, 2)({_IDS}, {_ROWS}, int64, int64, {_ROWS}, {_FLAGS}, int64)", nogil=True, cache=True)
def hold(ids, rows, n, worker, row_of, held, end):  # type: ignore[no-untyped-def]
    """Notes that a worker has these blocks; those without a row get one from `end` on.

    Returns:
        The new end, and how many the worker did not have.
    """
    new = 0
    for i in range(n):
        if rows[i] == 0:
            rows[i] = row_of[ids[i]] = end
            end += 1
        new += not held[rows[i], worker]
        held[rows[i], worker] = True
    return end, new


@njit(
    f"void({_ROWS}, int64, boolean, int64, int64, int64, int64, {_TABLE}, {_TABLE}, int64[:, ::1], {_FLAGS})",
    nogil=True,
    cache=True,
)
def remember(  # type: ignore[no-untyped-def]
    rows, n, ends_first, number, place, worker, limit, sent, log, lists, held
):
    """Appends a send to the list of recency `place`, and forgets the oldest blocks above its limit.

    A row of `lists`: the places of the first entry and of the next one in the log, and how many blocks are remembered.
    An entry: a block's row and the number of the send; only the last one of a row counts. A negative worker: blocks are
    forgotten of all workers.
    """
    head, tail, used = lists[place]
    for i in range(n):
        row = rows[n - 1 - i if ends_first else i]
        used += sent[place, row] == 0
        sent[place, row] = number
        log[tail, 0], log[tail, 1] = row, number
        tail += 1
    while used > limit:
        row = log[head, 0]
        if sent[place, row] == log[head, 1]:
            sent[place, row] = 0
            used -= 1
            if worker < 0:
                held[row] = False
            else:
                held[row, worker] = False
        head += 1
    lists[place, 0], lists[place, 1], lists[place, 2] = head, tail, used
