"""Tokens as canonical runs, compiled.

A run (segment, shift, end) holds a request's tokens from the end of the run before it to its own end; the token at
position t is (segment, shift + t). Runs are canonical: none is empty, and no two neighbours could be one. So requests
that agree up to a position have the same runs up to there, whatever way their tokens were given.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def canonical_runs(
    splits: Ints, segments: Ints, offsets: Ints, lengths: Ints, tail_tokens: Ints, tail_segments: Ints
) -> tuple[Ints, tuple[Ints, Ints, Ints]]:
    """Canonical runs of each request: its given ones, then `tail_tokens` of its tail segment (-1: private).

    Returns (row starts, (segment, shift, end)). Private segments are negative, given ones are not.
    """
    n = len(splits) - 1
    rows = np.empty(n + 1, np.int64)
    segment = np.empty(len(segments) + n, np.int64)
    shift = np.empty(len(segments) + n, np.int64)
    end = np.empty(len(segments) + n, np.int64)
    k = 0
    for r in range(n):
        rows[r] = k
        position = np.int64(0)
        for i in range(splits[r], splits[r + 1] + 1):
            if i < splits[r + 1]:
                s, first, tokens = segments[i], offsets[i], lengths[i]
            else:
                s, first, tokens = tail_segments[r], np.int64(0), tail_tokens[r]
                if s < 0:
                    s = np.int64(-1 - r)
            if tokens == 0:
                continue
            if k == rows[r] or segment[k - 1] != s or shift[k - 1] != first - position:
                segment[k] = s
                shift[k] = first - position
                k += 1
            position += tokens
            end[k - 1] = position
    rows[n] = k
    return rows, (segment[:k], shift[:k], end[:k])
