"""Features of a candidate of an EVICT decision: the one list, for `Simulator.candidates()` and environments."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from keyword import iskeyword
from typing import Any

import numpy as np

CANDIDATE = np.dtype(
    [
        ("valid", "?"),  # there is a leaf in the slot
        ("drawn", "?"),  # second half: drawn from the unmarked leaves
        ("marked", "?"),
        ("tail_pages", "i4"),  # the pages that go if all of them are wanted
        ("depth", "i4"),  # tokens up to the end of the leaf
        ("recompute_s", "f8"),  # of the tail
        ("idle_s", "f8"),
        ("age_s", "f8"),
        ("hits", "i4"),
        ("reuse_gap_s", "f8"),  # mean idle time before a hit, 0 = no hit yet
        ("sessions", "i4"),
        ("siblings", "i4"),
        ("session_idle_s", "f8"),
        ("session_turns", "i4"),
    ]
)


def columns(names: Sequence[str]) -> Any:
    """A named tuple of 0, 1, ..: kernels write `out[COLUMN.depth]`, and the order stands in one place.

    A name that Python keeps for itself gets an underscore: `class_`.
    """
    fields = [f"{name}_" if iskeyword(name) else name for name in names]
    return namedtuple("Columns", fields)(*range(len(fields)))


COLUMN = columns(CANDIDATE.names or ())
