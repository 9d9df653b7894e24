"""The simulator's state: plain NumPy tables, a row per thing, named fields with units.

Everything that changes while time passes is in these tables, so copying a simulator is copying arrays. Kernels
reach the tables through one integer, the address of a *handle*: a list of (data pointer, length) pairs in the order
of :data:`TABLES` (see ``kernels/access.py``).

Times are int64 picoseconds (``_ps``); -1 stands for "not yet" or "none".
"""

from __future__ import annotations

import numpy as np

from kvgym.sim.cache_tables import CATEGORY, ENDS, MEMORY, ROW, SPAN
from kvgym.workload.tables import NODE, REQUEST

INFINITE = np.iinfo(np.int64).max
"""A time that never comes."""

CONFIG = np.dtype(
    [
        ("n_workers", "i4"),
        ("n_requests", "i4"),
        ("n_nodes", "i4"),
        ("n_shared", "i4"),
        ("page_size", "i4"),
        ("chunk_tokens", "i4"),
        ("max_running", "i4"),
        ("prefill_first", "i4"),
        ("evict_full_request", "i4"),
        ("evictor", "i4"),
        ("router", "i4"),
        ("warmup_router", "i4"),
        ("history_view", "i4"),
        ("warmup", "i4"),
        ("limit", "i4"),
        ("truncate", "i4"),
        ("leaf_capacity", "i4"),
        ("n_candidates", "i4"),  # slots of an EVICT decision; 0 = rules are named instead
        ("quantum", "i4"),  # pages that one EVICT decision may free
        ("warmup_evictor", "i4"),
        # what evictors need to be kept, see kvgym/sim/tracking.py
        ("tracks_boundaries", "i4"),
        ("tracks_marks", "i4"),
        ("marks_as_code", "i4"),
        ("tracks_spans", "i4"),
        ("tracks_births", "i4"),
        ("tracks_ghosts", "i4"),
        ("log_iterations", "i4"),
        ("log_draws", "i4"),
        ("debug", "i4"),
        ("reserve_output", "f8"),
        ("slo_ttft_s", "f8"),
        ("slo_tpot_s", "f8"),
        ("history_pages", "i8"),
        ("metrics_period_ps", "i8"),
    ],
    align=True,
)
"""Settings of one run; nothing in it changes after reset."""

CLOCK = np.dtype(
    [
        ("now_ps", "i8"),
        ("request", "i4"),  # the request of the ROUTE decision that is due, -1 = none
        ("asking", "i4"),  # the worker whose EVICT decision is due, -1 = none
        ("next_open", "i4"),  # the first open-loop request that has not arrived
        ("n_pending", "i4"),  # closed-loop arrivals waiting for their time
        ("n_arrived", "i4"),
        ("n_finished", "i4"),
        ("n_reported", "i4"),  # finished requests that agents could pull before the last decision
        ("n_admitted", "i4"),
        ("n_log", "i4"),
        ("n_draws", "i4"),
        ("error", "i4"),
        ("error_worker", "i4"),
        ("turn", "i4"),  # next worker of round robin
        ("snapshot_ps", "i8"),
        ("scored", "i8"),  # scored requests in the system
        ("scored_waiting", "i8"),  # those without a first token
        ("cost_e2e_ps", "f8"),  # integral of `scored` over time since the last decision
        ("cost_ttft_ps", "f8"),
        ("previous_route_ps", "i8"),
        ("window_10", "i4"),  # first arrival inside the last 10 s, an index into `arrived`
        ("window_60", "i4"),
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
        ("order", "i4"),  # position among the arrivals
        ("emitted", "i4"),  # output tokens so far
        ("computed", "i4"),  # tokens whose KV the worker holds
        ("chunk", "i4"),  # prefill tokens in the iteration in progress
        ("decoding", "i4"),
        ("held_pages", "i4"),  # locked tree pages + own pages not in the tree
        ("tree_pages", "i4"),  # locked tree pages
        ("full_nodes", "i4"),  # nodes of the path that the tree pages cover completely
        ("reserve_pages", "i4"),  # pages that prefill_first reserves for the whole request
        ("hit_tokens", "i4"),  # of the first admission
        ("preemptions", "i4"),
        ("next_waiting", "i4"),
        ("miss_estimate", "i4"),  # the router's, made when it routed
        ("evictor", "i4"),  # rule that does the evictions that this request forces, if the evictor is the agent
    ],
    align=True,
)
"""One row per request: where it is and how far it got."""

WORKER = np.dtype(
    [
        ("event_ps", "i8"),  # end of the iteration (or run of iterations) in progress
        # the run in progress: its j-th boundary is start + j first + slope j (j - 1) / 2
        ("start_ps", "i8"),
        ("first_ps", "i8"),
        ("slope_ps", "i8"),
        ("run", "i4"),  # iterations in the run
        ("prefill_tokens", "i4"),
        ("chunks", "i4"),
        ("decodes", "i4"),
        ("kv_tokens", "i8"),
        ("pairs", "i8"),  # S of the cost formula
        # start of an iteration, a small state machine
        ("stage", "i4"),
        ("cursor", "i4"),
        ("budget", "i4"),
        ("preempted", "i4"),
        ("wait_reason", "i4"),
        ("admit_tokens", "i4"),  # first chunk of the request that is being admitted
        ("admit_pages", "i4"),
        # an allocation that waits for EVICT decisions
        ("evicting", "i4"),
        ("asker", "i4"),  # the request that it is for
        ("wanted", "i4"),  # pages still to be evicted
        # queue and running requests
        ("queue_head", "i4"),
        ("queue_tail", "i4"),
        ("n_queued", "i4"),
        ("n_running", "i4"),
        ("prefill", "i4"),  # the unfinished prefill, -1 = none
        ("head_refused", "i4"),
        ("prefill_waits", "i4"),
        ("queued_tokens", "i8"),
        # memory, in pages
        ("kv_pages", "i4"),
        ("free", "i4"),
        ("evictable", "i4"),
        ("owed", "i8"),  # pages that prefill_first has promised to running requests
        # evictor
        ("n_leaves", "i4"),
        ("n_unmarked", "i4"),
        ("phase", "i4"),
        ("marked", "i4"),
        ("counter", "i4"),  # recency: admissions and unlocks so far
        ("free_span", "i4"),
        ("accesses", "i8"),  # pages of the prompts admitted so far
        ("inflation", "f8"),  # of gdsf
        ("s0", "u8"),
        ("s1", "u8"),
        ("s2", "u8"),
        ("s3", "u8"),
        ("cost", "i4"),  # row of `costs`
        # totals
        ("loaded", "i8"),
        ("hit", "i8"),
        ("evicted", "i8"),
        ("recomputed", "i8"),
        ("iterations", "i8"),
        ("busy_ps", "i8"),
        # what the router counts itself
        ("inflight", "i4"),
        ("waiting", "i4"),
        ("n_sent", "i4"),
        ("prefill_estimate", "i8"),
        ("sent_since_snapshot", "i8"),
        ("active_tokens", "i8"),
        ("ttft_ewma_s", "f8"),
        ("tpot_ewma_s", "f8"),
        ("index_pages", "i8"),
        # the last metrics snapshot
        ("seen_queued", "i4"),
        ("seen_running", "i4"),
        ("seen_queued_tokens", "i8"),
        ("seen_kv_use", "f8"),
        ("seen_gen_tps", "f8"),
    ],
    align=True,
)

INDEX = np.dtype(
    [
        ("sent_ps", "i8"),  # when a prompt through this node was last sent to this worker
        ("pages", "i4"),  # pages in the router's own tree (history view)
        ("older", "i4"),
        ("newer", "i4"),
        ("active", "i4"),  # requests in flight on this worker whose prompt covers the node
    ],
    align=True,
)
"""What the router knows, numbered like ROW."""

COST = np.dtype([("a_s", "f8"), ("c_n", "f8"), ("c_b", "f8"), ("q", "i8"), ("speed", "f8")], align=True)
PENDING = np.dtype([("time_ps", "i8"), ("request", "i4")], align=True)
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
        ("run", "i4"),
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

TABLES: tuple[tuple[str, np.dtype], ...] = (
    ("config", CONFIG),
    ("clock", CLOCK),
    ("requests", REQUEST),
    ("nodes", NODE),
    ("paths", np.dtype("i4")),
    ("progress", PROGRESS),
    ("workers", WORKER),
    ("rows", ROW),
    ("ends", ENDS),
    ("memories", MEMORY),
    ("spans", SPAN),
    ("ghosts", np.dtype("i8")),
    ("categories", CATEGORY),
    ("candidates", np.dtype("i4")),
    ("index", INDEX),
    ("running", np.dtype("i4")),
    ("leaves", np.dtype("i4")),
    ("costs", COST),
    ("g", np.dtype("i8")),
    ("pending", PENDING),
    ("finished", np.dtype("i4")),
    ("arrived", np.dtype("i8")),
    ("sessions", SESSION),
    ("page_ids", np.dtype("i8")),
    ("hints", np.dtype("i4")),
    ("iterations", ITERATION),
    ("draws", DRAW),
    ("use_starts", np.dtype("i4")),
    ("uses", np.dtype("i4")),
    ("use_next", np.dtype("i4")),
)
"""Name and dtype of every table, in the order of the handle."""

READ_ONLY = ("config", "requests", "nodes", "paths", "costs", "g", "hints", "use_starts", "uses")
"""Tables that a run never writes: clones share them."""
