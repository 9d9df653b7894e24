"""The simulator's state: plain NumPy tables, a row per thing, named fields with units.

Everything that changes while time passes is in these tables, so copying a simulator is copying arrays. Kernels
reach the tables through one integer, the address of a *handle*: a list of (data pointer, length) pairs in the order
of :data:`TABLES` (see ``access.py``).

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


def row_type(*fields: str) -> np.dtype:
    """Type of a table's rows: in each text a type, and the names of the fields that have it."""
    columns = [(name, dtype) for dtype, *names in map(str.split, fields) for name in names]
    return np.dtype(columns, align=True)


CONFIG = row_type(
    "i8 n_workers n_requests n_nodes n_shared page_size chunk_tokens max_running prefill_first by_priority",
    "i8 evict_full_request evictor router warmup_router shown warmup limit truncate leaf_capacity",
    "i8 n_candidates",  # slots of an EVICT decision; 0 = rules are named instead
    "i8 offers_unhit",  # of the first half of the slots, a half go by hits
    "i8 quantum",  # pages that one EVICT decision may free
    "i8 warmup_evictor",
    "i8 keeps",  # a bit per module of kvgym/sim/evictors that is told of what happens to pages
    "i8 dates_pages",  # each page enters by itself, with the time at which it was full
    "i8 log_iterations log_draws debug",
    "i8 transfers",  # requests may be fetched for
    "i8 takes_time",  # ROUTE decisions do
    "i8 n_faults",
    "f8 reserve_output",
    "i8 largest_kv_pages",  # of any worker
    "i8 history_pages metrics_period_ps",
)
"""Settings of one run; nothing in it changes after reset."""

CLASS = row_type(
    "i8 priority",
    "i8 slo_ttft_ps slo_tpot_ps",  # 0 = no target
    "f8 refusal_cost_ps",  # request picoseconds
)
"""Service classes by their number; a single one is for all requests, see `requests.class_of`."""

CLOCK = row_type(
    "i8 now_ps",
    "i8 request",  # the request of the ROUTE decision that is due, -1 = none
    "i8 n_may_start",  # idle workers with work
    "i8 asking",  # the worker whose EVICT decision is due, -1 = none
    "i8 next_open",  # the first open-loop request that has not arrived
    "i8 n_pending",  # closed-loop arrivals waiting for their time
    "i8 n_arrived n_finished",
    "i8 n_reported",  # finished requests that agents could pull before the last decision
    "i8 n_admitted n_log n_draws",
    "i8 n_decided",  # ROUTE decisions after the warm-up
    "i8 n_transfers",  # decided and not over
    "i8 next_transfer_ps",  # when the first of them starts or ends
    "i8 decision_ps",  # that the next ROUTE decision takes
    "i8 router_free_ps",  # when those that were taken have all taken effect
    "i8 first_way end_way",  # of the requests on their way, numbers of the first one and after the last one
    "i8 next_fault error error_worker",
    "i8 turn",  # next worker of round robin
    "i8 snapshot_ps",
    "i8 scored",  # scored requests in the system
    "i8 scored_waiting",  # those without a first token
    "f8 cost_e2e_ps",  # integral of `scored` over time
    "f8 cost_ttft_ps",
    "f8 paid_e2e_s",  # of it, what the rewards of an environment have paid
    "f8 paid_ttft_s",
    "i8 missed",  # scored requests that have missed a target, where an environment counts them
    "i8 paid_missed n_judged",  # finished requests that were looked at for this
    "f8 paid_gpu_s",
    "i8 n_steps",  # decisions of an environment's agent
    "i8 previous_route_ps",
    "i8 window_10",  # first arrival inside the last 10 s, an index into `arrived`
    "i8 window_60 next_page_id",
    "u8 s0",  # generator of the kernel's own router
    "u8 s1 s2 s3",
)

PROGRESS = row_type(
    "i8 arrived_ps",
    "i8 admitted_ps",  # first admission
    "i8 first_token_ps finish_ps refused_ps",
    "i4 worker",
    "i4 decision",  # number of the last ROUTE decision about it, 0 = the first after the warm-up
    "i4 emitted",  # output tokens so far
    "i4 computed",  # tokens whose KV the worker holds
    "i4 chunk",  # prefill tokens in the iteration in progress
    "i2 decoding",
    "i2 awaited",  # no token has come since it was sent
    "i4 held_pages",  # locked tree pages + own pages not in the tree
    "i4 tree_pages",  # locked tree pages
    "i4 full_nodes",  # nodes of the path that the tree pages cover completely
    "i4 reserve_pages",  # pages that prefill_first reserves for the whole request
    "i4 hit_tokens",  # of the first admission
    "i4 preemptions",
    "i4 fetched_tokens",  # by transfers that came to their end
    "i4 next_waiting other_waiting",
    "i4 miss_estimate",  # the router's, made when it routed
    "i2 returns",  # crashes that sent it back to the router
    "i2 evictor",  # rule that does the evictions that this request forces, if the evictor is the agent
)
"""One row per request: where it is and how far it got."""

WORKER = row_type(
    "i8 event_ps",  # end of the iteration (or burst of iterations) in progress
    # the burst in progress: its j-th iteration ends at start + j first + slope j (j - 1) / 2
    "i8 start_ps first_ps slope_ps",
    "i8 burst",  # iterations of the burst
    "i8 prefill_tokens chunks decodes kv_tokens",
    "i8 pairs",  # S of the cost formula
    # start of an iteration, a small state machine
    "i8 stage cursor budget preempted wait_reason",
    "i8 admit_tokens",  # first chunk of the request that is being admitted
    "i8 admit_pages",
    # an allocation that waits for EVICT decisions
    "i8 evicting",
    "i8 asker",  # the request that it is for
    "i8 wanted",  # pages still to be evicted
    "i8 decisions_left",  # that the allocation may take
    # queue and running requests
    "i8 queue_head queue_tail n_queued n_running",
    "i8 prefill",  # the unfinished prefill, -1 = none
    "i8 head_refused prefill_waits queued_tokens",
    # memory, in pages
    "i8 kv_pages free evictable",
    "i8 reserved",  # pages that prefill_first has promised to running requests
    # evictor
    "i8 n_leaves n_unmarked phase marked",
    "i8 counter",  # recency: admissions and unlocks so far
    "u8 s0 s1 s2 s3",
    "i8 cost",  # row of `costs`
    "i8 current_cost",  # row of `costs` that iterations take now: another one during a slow-down
    "i8 up",
    "i8 node",  # of the network
    "i8 gpus",
    "i8 n_fetching",  # requests that wait for a transfer
    # totals
    "i8 loaded fetched lost hit evicted recomputed iterations busy_ps",
    # what the router counts itself
    "i8 inflight waiting n_sent prefill_estimate sent_since_snapshot active_tokens",
    "f8 ttft_ewma_s tpot_ewma_s",
    "i8 index_pages",
    # the last metrics snapshot
    "i8 seen_ps seen_queued seen_running seen_queued_tokens",
    "f8 seen_kv_use seen_gen_tps",
)

ROW = row_type(
    "i4 node",
    "i4 cached",  # resident pages: a prefix of the node's
    "i4 locks",  # running requests that cover the whole node
    "i4 part_locks",  # running requests that cover only its first pages
    "i4 part_pages",  # and how many
    "i4 children",  # child nodes with a resident page
    "i4 older",  # list of evictable nodes by recency; NOT_LISTED outside it
    "i4 newer",
    "i4 leaf",  # position in `leaves`, -1 = no unlocked leaf
    "i4 phase",  # the marks below are of this phase
    "i4 mark_to",  # pages [0, mark_to) and [mark_from, cached) are marked
    "i4 mark_from",
    "i4 shown",  # continuation seen after the last page, see evictors/splits.py
)
"""The cache: one row per (worker, shared node) and one per private node, see ``base/rows.py``."""

ENDS = row_type(
    "i8 oldest newest",
)
"""Ends of a linked list of rows, see ``base/lists.py``."""
RECENCY, INDEX = range(2)
"""The lists."""
N_LISTS = 2

INDEX_ROW = row_type(
    "i8 sent_ps",  # when a prompt through this node was last sent to this worker
    "i4 pages",  # pages in the router's own tree (history view)
    "i4 older newer",
    "i4 active",  # requests in flight on this worker whose prompt covers the node
    "i4 parts",  # those whose prompt ends within it; of a shared node
    "i4 part_pages",  # the most pages that one of these has of it
)
"""Knowledge of the router, numbered like ROW."""

COST = row_type(
    "f8 a_s c_n c_b",
    "i8 q",
    "f8 speed",
)
ARRIVAL = row_type(
    "i8 time_ps request",
)
SESSION = row_type(
    "i8 arrived_ps",  # of the last turn that was routed
    "i4 worker request",
    "i4 turns",  # routed so far
    "i4 tokens",  # prompt of the last turn, and its output once it has finished
)
ITERATION = row_type(
    "i4 worker burst",
    "i8 start_ps first_ps slope_ps",
    "i4 prefill_tokens chunks decodes queued",
    "i8 kv_tokens",
    "i4 wait_reason preempted",
)
DRAW = row_type(
    "i4 worker candidates index node page",
)

TRANSFER = row_type(
    "i8 request source target",
    "i8 end_page",  # pages of the request's path up to here are there afterwards
    "i8 pages",  # to be moved: as planned, from its start on as they are
    "i8 stage start_ps end_ps",
    "i8 ready_ps",  # when the request joins its queue: the end, or before it if computing may overlap with the rest
)
"""Transfers that are decided and not over, in the order of decisions."""
LINK = row_type(
    "i8 latency_ps",
    "i8 page_ps",  # of each page, besides its tokens
    "i8 overlap",
    "f8 ps_per_token",
)
"""Two rows: inside a node, between nodes."""
TRAFFIC = row_type(
    "i8 transfers tokens ps given_up",
)
"""Traffic from worker v to worker w: row v n_workers + w."""
FAULT = row_type(
    "i8 time_ps worker kind current_cost",
)
"""In the order in which they happen."""

TABLES: dict[str, np.dtype] = {
    "config": CONFIG,
    "clock": CLOCK,
    "classes": CLASS,
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
    "pending": ARRIVAL,
    "ways": ARRIVAL,
    "finished": np.dtype("i8"),
    "arrived": ARRIVAL,
    "deadlines": np.dtype("i8"),
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

READ_ONLY = ("config", "classes", "requests", "nodes", "paths", "costs", "g", "hints", "links", "faults")
"""Those that a run never writes: clones share them."""


class Sizes(NamedTuple):
    """Numbers that tell how many rows the tables of a run need.

    Attributes:
        workers: Workers.
        rows: Rows of the cache.
        pages: Pages of KV memory of all workers.
        leaves: Leaves that one worker may have.
        heaps: Heaps of leaves of all workers.
        sessions: Sessions.
    """

    workers: int
    rows: int
    pages: int
    leaves: int
    heaps: int
    sessions: int


class KeptTable(NamedTuple):
    """A table that is there only while an evictor keeps it, see `access.kept_table`."""

    module: str
    name: str
    dtype: np.dtype
    rows: Callable[[Sizes], int]
    read_only: bool


KEPT_TABLES: dict[str, KeptTable] = {}
"""All tables that evictors declare, by name."""
_order: list[str] = []


def seal() -> None:
    """All evictors are there: from now on nothing is declared, and each table has its place."""
    _order[:] = [*TABLES, *sorted(KEPT_TABLES)]


def declare(table: KeptTable) -> None:
    """Gives a kept table its place in the handle."""
    if table.name in TABLES or table.name in KEPT_TABLES:
        raise ValueError(f"there is a table {table.name!r} already: name that of {table.module} otherwise")
    if _order:
        raise RuntimeError(f"{table.module} must be in the table of evictors, or be imported by one that is")
    KEPT_TABLES[table.name] = table


def handle_order() -> list[str]:
    """Names of all tables, in the order of the handle: the same whatever was imported first."""
    if not _order:
        raise RuntimeError("import kvgym.sim.evictors.dispatch first: it knows the tables of all evictors")
    return _order
