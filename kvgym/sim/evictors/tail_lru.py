"""`tail_lru`: pages that a session's next prompt can do without (T-LRU, arXiv 2510.15152).

Rules: docs/semantics.md#c7-tail_lru.
"""

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, requests, sessions
from kvgym.sim.base.rows import depth_tokens
from kvgym.sim.evictors.heap import forget
from kvgym.sim.evictors.histories import tail_span

NEXT_PROMPT_TOKENS = 500
RECOMPUTABLE_TOKENS = 4096


@kernel
def tail_lru_key(s, w, r):
    """1 if the page has to stay so that few tokens of its session's next prompt are computed, else 0."""
    span = tail_span(s, r)
    needed = max(0, sessions(s)[span.session].tokens + NEXT_PROMPT_TOKENS - RECOMPUTABLE_TOKENS)
    return 1.0 if depth_tokens(s, r) <= needed else 0.0, span.stamp


@kernel
def routed(s, q):
    """Request `q` is being sent to a worker: if its session needs fewer pages than before, keys become smaller."""
    if requests(s)[q].prompt_tokens < sessions(s)[requests(s)[q].session].tokens:
        for w in range(config(s).n_workers):
            forget(s, w)
