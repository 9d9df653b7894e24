"""The simulator's state: plain NumPy tables, a row per thing, named fields with units.

Everything that changes while time passes is in these tables, so copying a simulator is copying arrays. Kernels
reach the tables through one integer, the address of a *handle*: a list of (data pointer, length) pairs in the order
of :data:`TABLES` (see ``kernels/access.py``).

Times are int64 picoseconds (``_ps``); -1 stands for "not yet" or "none". Tables that grow with the workload have
narrow fields; all others are wide, so that kernels are compiled for one type of integer and not for two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kvgym.workload.tables import NODE, REQUEST

INFINITE = np.iinfo(np.int64).max
"""A time that never comes."""

CONFIG = np.dtype(
    [
        ("n_workers", "i8"),
        ("n_requests", "i8"),
        ("n_nodes", "i8"),
        ("n_shared", "i8"),
        ("page_size", "i8"),
        ("chunk_tokens", "i8"),
        ("max_running", "i8"),
        ("prefill_first", "i8"),
        ("evict_full_request", "i8"),
        ("evictor", "i8"),
        ("router", "i8"),
        ("warmup_router", "i8"),
        ("history_view", "i8"),
        ("warmup", "i8"),
        ("limit", "i8"),
        ("truncate", "i8"),
        ("leaf_capacity", "i8"),
        ("n_candidates", "i8"),  # slots of an EVICT decision; 0 = rules are named instead
        ("quantum", "i8"),  # pages that one EVICT decision may free
        ("warmup_evictor", "i8"),
        ("keeps", "i8"),  # a bit per module of kvgym/sim/evictors that is told of what happens to pages
        ("dates_pages", "i8"),  # each page enters by itself, with the time at which it was full
        ("log_iterations", "i8"),
        ("log_draws", "i8"),
        ("debug", "i8"),
        ("transfers", "i8"),  # requests may be fetched for
        ("n_faults", "i8"),
        ("reserve_output", "f8"),
        ("slo_ttft_s", "f8"),
        ("slo_tpot_s", "f8"),
        ("largest_kv_pages", "i8"),  # of any worker
        ("history_pages", "i8"),
        ("metrics_period_ps", "i8"),
    ],
    align=True,
)
"""Settings of one run; nothing in it changes after reset."""

CLOCK = np.dtype(
    [
        ("now_ps", "i8"),
        ("request", "i8"),  # the request of the ROUTE decision that is due, -1 = none
        ("n_may_start", "i8"),  # idle workers with work
        ("asking", "i8"),  # the worker whose EVICT decision is due, -1 = none
        ("next_open", "i8"),  # the first open-loop request that has not arrived
        ("n_pending", "i8"),  # closed-loop arrivals waiting for their time
        ("n_arrived", "i8"),
        ("n_finished", "i8"),
        ("n_reported", "i8"),  # finished requests that agents could pull before the last decision
        ("n_admitted", "i8"),
        ("n_log", "i8"),
        ("n_draws", "i8"),
        ("n_decided", "i8"),  # ROUTE decisions after the warm-up
        ("n_transfers", "i8"),  # decided and not over
        ("next_transfer_ps", "i8"),  # when the first of them starts or ends
        ("next_fault", "i8"),
        ("error", "i8"),
        ("error_worker", "i8"),
        ("turn", "i8"),  # next worker of round robin
        ("snapshot_ps", "i8"),
        ("scored", "i8"),  # scored requests in the system
        ("scored_waiting", "i8"),  # those without a first token
        ("cost_e2e_ps", "f8"),  # integral of `scored` over time
        ("cost_ttft_ps", "f8"),
        ("paid_e2e_s", "f8"),  # of it, what the rewards of an environment have paid
        ("paid_ttft_s", "f8"),
        ("n_steps", "i8"),  # decisions of an environment's agent
        ("previous_route_ps", "i8"),
        ("window_10", "i8"),  # first arrival inside the last 10 s, an index into `arrived`
        ("window_60", "i8"),
        ("next_page_id", "i8"),
        ("s0", "u8"),  # generator of the kernel's own router
        ("s1", "u8"),
        ("s2", "u8"),
        ("s3", "u8"),
    ],
    align=True,
)

PROGRESS = np.dtype(
    [
        ("arrived_ps", "i8"),
        ("admitted_ps", "i8"),  # first admission
        ("first_token_ps", "i8"),
        ("finish_ps", "i8"),
        ("worker", "i4"),
        ("decision", "i4"),  # number of the last ROUTE decision about it, 0 = the first after the warm-up
        ("emitted", "i4"),  # output tokens so far
        ("computed", "i4"),  # tokens whose KV the worker holds
        ("chunk", "i4"),  # prefill tokens in the iteration in progress
        ("decoding", "i2"),
        ("awaited", "i2"),  # no token has come since it was sent
        ("held_pages", "i4"),  # locked tree pages + own pages not in the tree
        ("tree_pages", "i4"),  # locked tree pages
        ("full_nodes", "i4"),  # nodes of the path that the tree pages cover completely
        ("reserve_pages", "i4"),  # pages that prefill_first reserves for the whole request
        ("hit_tokens", "i4"),  # of the first admission
        ("preemptions", "i4"),
        ("fetched_tokens", "i4"),  # by transfers that came to their end
        ("next_waiting", "i4"),
        ("miss_estimate", "i4"),  # the router's, made when it routed
        ("returns", "i2"),  # crashes that sent it back to the router
        ("evictor", "i2"),  # rule that does the evictions that this request forces, if the evictor is the agent
    ],
    align=True,
)
"""One row per request: where it is and how far it got."""

WORKER = np.dtype(
    [
        ("event_ps", "i8"),  # end of the iteration (or burst of iterations) in progress
        # the burst in progress: its j-th iteration ends at start + j first + slope j (j - 1) / 2
        ("start_ps", "i8"),
        ("first_ps", "i8"),
        ("slope_ps", "i8"),
        ("burst", "i8"),  # iterations of the burst
        ("prefill_tokens", "i8"),
        ("chunks", "i8"),
        ("decodes", "i8"),
        ("kv_tokens", "i8"),
        ("pairs", "i8"),  # S of the cost formula
        # start of an iteration, a small state machine
        ("stage", "i8"),
        ("cursor", "i8"),
        ("budget", "i8"),
        ("preempted", "i8"),
        ("wait_reason", "i8"),
        ("admit_tokens", "i8"),  # first chunk of the request that is being admitted
        ("admit_pages", "i8"),
        # an allocation that waits for EVICT decisions
        ("evicting", "i8"),
        ("asker", "i8"),  # the request that it is for
        ("wanted", "i8"),  # pages still to be evicted
        ("decisions_left", "i8"),  # that the allocation may take
        # queue and running requests
        ("queue_head", "i8"),
        ("queue_tail", "i8"),
        ("n_queued", "i8"),
        ("n_running", "i8"),
        ("prefill", "i8"),  # the unfinished prefill, -1 = none
        ("head_refused", "i8"),
        ("prefill_waits", "i8"),
        ("queued_tokens", "i8"),
        # memory, in pages
        ("kv_pages", "i8"),
        ("free", "i8"),
        ("evictable", "i8"),
        ("reserved", "i8"),  # pages that prefill_first has promised to running requests
        # evictor
        ("n_leaves", "i8"),
        ("n_unmarked", "i8"),
        ("phase", "i8"),
        ("marked", "i8"),
        ("counter", "i8"),  # recency: admissions and unlocks so far
        ("free_span", "i8"),
        ("accesses", "i8"),  # pages of the prompts admitted so far
        ("inflation", "f8"),  # of gdsf
        ("s0", "u8"),
        ("s1", "u8"),
        ("s2", "u8"),
        ("s3", "u8"),
        ("cost", "i8"),  # row of `costs`
        ("current_cost", "i8"),  # row of `costs` that iterations take now: another one during a slow-down
        ("up", "i8"),
        ("node", "i8"),  # of the network
        ("n_fetching", "i8"),  # requests that wait for a transfer
        # totals
        ("loaded", "i8"),
        ("fetched", "i8"),
        ("lost", "i8"),
        ("hit", "i8"),
        ("evicted", "i8"),
        ("recomputed", "i8"),
        ("iterations", "i8"),
        ("busy_ps", "i8"),
        # what the router counts itself
        ("inflight", "i8"),
        ("waiting", "i8"),
        ("n_sent", "i8"),
        ("prefill_estimate", "i8"),
        ("sent_since_snapshot", "i8"),
        ("active_tokens", "i8"),
        ("ttft_ewma_s", "f8"),
        ("tpot_ewma_s", "f8"),
        ("index_pages", "i8"),
        # the last metrics snapshot
        ("seen_ps", "i8"),
        ("seen_queued", "i8"),
        ("seen_running", "i8"),
        ("seen_queued_tokens", "i8"),
        ("seen_kv_use", "f8"),
        ("seen_gen_tps", "f8"),
    ],
    align=True,
)

ROW = np.dtype(
    [
        ("node", "i4"),
        ("cached", "i4"),  # resident pages: a prefix of the node's
        ("locks", "i4"),  # running requests that cover the whole node
        ("part_locks", "i4"),  # running requests that cover only its first pages
        ("part_pages", "i4"),  # and how many
        ("children", "i4"),  # child nodes with a resident page
        ("older", "i4"),  # list of evictable nodes by recency; NOT_LISTED outside it
        ("newer", "i4"),
        ("leaf", "i4"),  # position in `leaves`, -1 = no unlocked leaf
        ("phase", "i4"),  # the marks below are of this phase
        ("mark_to", "i4"),  # pages [0, mark_to) and [mark_from, cached) are marked
        ("mark_from", "i4"),
        ("shown", "i4"),  # continuation seen after the last page, see evictors/splits.py
    ],
    align=True,
)
"""The cache: one row per (worker, shared node) and one per private node, see ``base/rows.py``."""

ENDS = np.dtype([("oldest", "i8"), ("newest", "i8")], align=True)
"""Ends of a linked list of rows, see ``base/lists.py``."""
RECENCY, INDEX = range(2)
"""The lists."""
N_LISTS = 2

INDEX_ROW = np.dtype(
    [
        ("sent_ps", "i8"),  # when a prompt through this node was last sent to this worker
        ("pages", "i4"),  # pages in the router's own tree (history view)
        ("older", "i4"),
        ("newer", "i4"),
        ("active", "i4"),  # requests in flight on this worker whose prompt covers the node
    ],
    align=True,
)
"""Knowledge of the router, numbered like ROW."""

COST = np.dtype([("a_s", "f8"), ("c_n", "f8"), ("c_b", "f8"), ("q", "i8"), ("speed", "f8")], align=True)
PENDING = np.dtype([("time_ps", "i8"), ("request", "i8")], align=True)
SESSION = np.dtype(
    [
        ("arrived_ps", "i8"),  # of the last turn that was routed
        ("worker", "i4"),
        ("request", "i4"),
        ("turns", "i4"),  # routed so far
        ("tokens", "i4"),  # prompt of the last turn, and its output once it has finished
    ],
    align=True,
)
ITERATION = np.dtype(
    [
        ("worker", "i4"),
        ("burst", "i4"),
        ("start_ps", "i8"),
        ("first_ps", "i8"),
        ("slope_ps", "i8"),
        ("prefill_tokens", "i4"),
        ("chunks", "i4"),
        ("decodes", "i4"),
        ("queued", "i4"),
        ("kv_tokens", "i8"),
        ("wait_reason", "i4"),
        ("preempted", "i4"),
    ],
    align=True,
)
DRAW = np.dtype([("worker", "i4"), ("candidates", "i4"), ("index", "i4"), ("node", "i4"), ("page", "i4")], align=True)

TRANSFER = np.dtype(
    [
        ("request", "i8"),
        ("source", "i8"),
        ("target", "i8"),
        ("end_page", "i8"),  # pages of the request's path up to here are there afterwards
        ("pages", "i8"),  # to be moved: as planned, from its start on as they are
        ("stage", "i8"),
        ("start_ps", "i8"),
        ("end_ps", "i8"),
    ],
    align=True,
)
"""Transfers that are decided and not over, in the order of decisions."""
LINK = np.dtype([("latency_ps", "i8"), ("ps_per_token", "f8")], align=True)
"""Two rows: inside a node, between nodes."""
TRAFFIC = np.dtype([("transfers", "i8"), ("tokens", "i8"), ("ps", "i8"), ("given_up", "i8")], align=True)
"""Traffic from worker v to worker w: row v n_workers + w."""
FAULT = np.dtype([("time_ps", "i8"), ("worker", "i8"), ("kind", "i8"), ("current_cost", "i8")], align=True)
"""In the order in which they happen."""

TABLES: dict[str, np.dtype] = {
    "config": CONFIG,
    "clock": CLOCK,
    "requests": REQUEST,
    "nodes": NODE,
    "paths": np.dtype("i4"),
    "progress": PROGRESS,
    "workers": WORKER,
    "burst_ends": np.dtype("i8"),
    "idle_with_work": np.dtype("i1"),
    "rows": ROW,
    "ends": ENDS,
    "candidates": np.dtype("i8"),
    "index": INDEX_ROW,
    "running": np.dtype("i8"),
    "costs": COST,
    "g": np.dtype("i8"),
    "pending": PENDING,
    "finished": np.dtype("i8"),
    "arrived": np.dtype("i8"),
    "sessions": SESSION,
    "page_ids": np.dtype("i8"),
    "hints": np.dtype("i4"),
    "iterations": ITERATION,
    "draws": DRAW,
    "transfers": TRANSFER,
    "link_ends": np.dtype("i8"),
    "links": LINK,
    "traffic": TRAFFIC,
    "faults": FAULT,
}
"""Name and dtype of every table that each run has, in the order of the handle."""

READ_ONLY = ("config", "requests", "nodes", "paths", "costs", "g", "hints", "links", "faults")
"""Those that a run never writes: clones share them."""


class Sizes(NamedTuple):
    """Numbers that tell how many rows the tables of a run need.

    Attributes:
        workers: Workers.
        rows: Rows of the cache.
        pages: Pages of KV memory of all workers.
        leaves: Leaves that one worker may have.
    """

    workers: int
    rows: int
    pages: int
    leaves: int


class KeptTable(NamedTuple):
    """A table that is there only while an evictor keeps it, see `access.kept_table`."""

    module: str
    name: str
    dtype: np.dtype
    rows: Callable[[Sizes], int]
    read_only: bool


_declared: dict[str, KeptTable] = {}
_order: list[str] = []


def declare(table: KeptTable) -> None:
    """Gives a kept table its place in the handle."""
    if table.name in TABLES or table.name in _declared:
        raise ValueError(f"there is a table {table.name!r} already: name that of {table.module} otherwise")
    if _order:
        raise RuntimeError(f"{table.module} must be in the table of evictors, or be imported by one that is")
    _declared[table.name] = table


def seal() -> None:
    """All evictors are there: from now on nothing is declared, and each table has its place."""
    _order[:] = [*TABLES, *sorted(_declared)]


def kept_tables() -> list[KeptTable]:
    """All tables that evictors declare."""
    return list(_declared.values())


def handle_order() -> list[str]:
    """Names of all tables, in the order of the handle: the same whatever was imported first."""
    if not _order:
        raise RuntimeError("import kvgym.sim.evictors.dispatch first: it knows the tables of all evictors")
    return _order


def position(name: str) -> int:
    """Place of a table in the handle."""
    return handle_order().index(name)
