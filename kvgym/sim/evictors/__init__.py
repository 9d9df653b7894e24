"""Evictors: which cached pages of a worker go when memory is short.

Rules: docs/semantics.md#c6-victims, #c7-keys, #c8-queues; docs/evictors.md.

An evictor is a row of the table below and, in its module, a kernel that chooses. Its name says how:

- ``NAME_victim(s, w, n)``: a leaf, and how many pages of its tail go (`n` are wanted);
- ``NAME_pool(s, w, q, wanted, left)``: how many leaves, from the first of ``leaves`` on, each page is drawn from;
- ``NAME_key(s, w, r)``: key and tie of leaf `r`; the tail page of the leaf with the smallest goes;
  where the module has KEYS_OF_SPANS, pages of one history have the same key, and go together;
  if there is a kernel ``NAME_took(s, w, key)``, it is told the key of each page that goes;
- ``NAME_score(s, w, r)``: the same where keys change with time, so that every leaf is looked at.

Where leaves stand in several queues (``queued``), ``NAME_queue(s, w, r)`` says in which of its QUEUES leaf `r` stands,
with which key and tie; ``NAME_victim`` takes the first one of a queue.

Who chooses never evicts: the room `cache` does. The modules that an evictor *keeps* are told what happens to pages, if
they have a kernel of the name (a *hook*, see ``dispatch.HOOKS``), and have tables of their own (``access.kept_table``).
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple


class Evictor(NamedTuple):
    """A row of the table.

    Attributes:
        text: The page that goes: the one with the smallest key, or as it says.
        module: Module of this folder that chooses.
        keeps: Modules of this folder that are told what happens while it is in use.
        alone: Whether it can't take turns with others on one cache: what it keeps contradicts theirs or follows from
            its own choices, or it is an oracle.
    """

    text: str
    module: str
    keeps: tuple[str, ...] = ()
    alone: bool = False


TABLE = {
    "lru": Evictor("smallest stamp", "recency"),
    "lru_node": Evictor("the same, and the pages above it up to a branch or split", "recency", ("splits",)),
    "random": Evictor("a leaf at random", "leaves", ("leaves",)),
    "rlt": Evictor(
        "a leaf at random among the unmarked; no such leaf: all marks go", "rlt", ("leaves", "marks", "rlt")
    ),
    "rlt_code": Evictor(
        "as `rlt`, with the marks and phases of the authors' program",
        "rlt_code",
        ("leaves", "marks", "splits", "rlt_code"),
        alone=True,
    ),
    "belady": Evictor("farthest next use: an oracle", "belady", ("belady", "heap", "keyed"), alone=True),
    "fifo": Evictor("first to enter", "age", ("histories", "heap", "keyed")),
    "lfu": Evictor("fewest hits", "frequency", ("histories", "heap", "keyed")),
    "mru": Evictor("largest stamp", "age", ("histories", "heap", "keyed")),
    "slru": Evictor("key 1 if it was hit, else 0", "frequency", ("histories", "heap", "keyed")),
    "ghost_slru": Evictor(
        "key 1 if it was hit or entered as a ghost, else 0",
        "frequency",
        ("departed", "ghosts", "histories", "heap", "keyed"),
    ),
    "wlfu": Evictor(
        "page accesses of the worker at the last stamp + 3000 ln(1 + hits)", "frequency", ("histories", "heap", "keyed")
    ),
    "tail_lru": Evictor(
        "key 0 if it lies beyond token max(0, L + 500 - 4096) of its session, else 1",
        "tail_lru",
        ("histories", "tail_lru", "heap", "keyed"),
    ),
    "gdsf": Evictor("inflation + uses x seconds to compute it again", "gdsf", ("histories", "heap", "keyed")),
    "workload_aware": Evictor(
        "probability that it is used within 300 s", "workload_aware", ("leaves", "workload_aware", "histories")
    ),
    "slru_two_hits": Evictor("key 1 if it was hit twice or more, else 0", "frequency", ("histories", "heap", "keyed")),
    "priority": Evictor(
        "largest priority number of those that used it: the least urgent", "priority", ("histories", "heap", "keyed")
    ),
    "lru_k": Evictor("used once; else the oldest use before the last one", "lru_k", ("histories", "heap", "keyed")),
    "arc": Evictor(
        "smallest stamp: of the pages used once if these are more than a target, else of the others",
        "arc",
        ("departed", "histories", "heap", "queued", "arc"),
        alone=True,
    ),
    "s3_fifo": Evictor(
        "first of a small queue or of the main one; pages in use since have another chance",
        "s3_fifo",
        ("departed", "histories", "heap", "queued", "s3_fifo"),
        alone=True,
    ),
    "lhd": Evictor(
        "the oldest of a class by hits: where hits are expected to be fewest for the time that they take",
        "lhd",
        ("histories", "heap", "queued", "lhd"),
        alone=True,
    ),
    "continuum": Evictor(
        "smallest stamp of those that are not held any more for their session to come back",
        "continuum",
        ("histories", "heap", "queued", "continuum"),
        alone=True,
    ),
}
"""Evictors by name, in the order of their numbers."""

EVICTORS = tuple(TABLE)
"""Names of all evictors."""
RULES = tuple(name for name, row in TABLE.items() if not row.alone)
"""Evictors that can take turns on one cache."""
ASK = -1
"""Evictor: the agent, in EVICT decisions."""
LRU = EVICTORS.index("lru")

_KEPT = dict.fromkeys(name for row in TABLE.values() for name in row.keeps)
KEPT = (*(name for name in _KEPT if name != "histories"), "histories")
"""Modules that are told what happens, in this order: the others see histories as they were. Each has a bit in
`config.keeps`."""
_OF_CANDIDATES = ("leaves", "marks", "rlt", "splits", "histories")
"""Kept where an agent chooses among leaves, for the phase rule of `rlt`, the tails and the features."""


def bit(module: str) -> int:
    """Bit of a module in `config.keeps`."""
    return 1 << KEPT.index(module)


def kept(evictor: int, candidates: int) -> tuple[str, ...]:
    """Modules that are kept for an evictor, by number; an agent is shown `candidates` leaves, or names rules."""
    if evictor != ASK:
        return TABLE[EVICTORS[evictor]].keeps
    rules = () if candidates else (name for rule in RULES for name in TABLE[rule].keeps)
    return tuple(dict.fromkeys((*_OF_CANDIDATES, *rules)))


def module(name: str) -> ModuleType:
    """A module of this folder; it needs numba."""
    return import_module(f"{__name__}.{name}")


def choosers(how: str) -> dict[int, Any]:
    """Number and kernel of each evictor that chooses in one way: "victim", "pool", "key" or "score".

    "took" gives those that are told the key of each page that goes.
    """
    kernels = (getattr(module(row.module), f"{name}_{how}", None) for name, row in TABLE.items())
    return {number: kernel for number, kernel in enumerate(kernels) if kernel is not None}
