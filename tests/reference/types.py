"""What goes into the reference simulator and what comes out of it.

All times are integer picoseconds, all page counts are pages of one worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RefRequest:
    """One request, as token ids.

    Attributes:
        prompt: Token ids of the prompt, at least one.
        output: Token ids of the output, at least one; a private output uses ids that nobody else uses.
        arrival_ps: Arrival time, or None when a predecessor triggers the request.
        predecessor: Index of the request whose finish triggers this one, or -1.
        think_ps: Time between that finish and this arrival.
        session: The session (>= 0) that it belongs to; None is one of its own.
        turn: Its place in the session.
        service_class: Index of its service class.
    """

    prompt: tuple[int, ...]
    output: tuple[int, ...]
    arrival_ps: int | None
    predecessor: int = -1
    think_ps: int = 0
    session: int | None = None
    turn: int = 0
    service_class: int = 0

    def computed_tokens(self) -> int:
        """Tokens whose KV exists when the request finishes: the very last output token is never computed."""
        return len(self.prompt) + len(self.output) - 1


@dataclass(frozen=True)
class RefClass:
    """A service class (W1).

    Attributes:
        ttft_ps: Target for the time to the first token, 0: none.
        tpot_ps: Target for the time per token after the first one, 0: none.
        priority: The lower one goes first.
        refusal_cost_s: What a refusal costs, in request seconds.
    """

    ttft_ps: int = 0
    tpot_ps: int = 0
    priority: int = 0
    refusal_cost_s: float = 0.0

    @classmethod
    def of_seconds(cls, ttft_s: float, tpot_s: float, priority: int = 0, refusal_cost_s: float = 0.0) -> RefClass:
        """The class with these targets, rounded as in K1."""
        return cls(round(ttft_s * 1e12), round(tpot_s * 1e12), priority, refusal_cost_s)


@dataclass(frozen=True)
class RefCost:
    """Duration of an iteration in picoseconds: G[T] + rint(a_s S + c_n N + c_b B) + q KV, at least 1."""

    g: Sequence[int]
    a_s: float
    c_n: float
    c_b: float
    q: int

    def duration(self, prefill: int, chunks: int, decodes: int, kv: int, attended: float) -> int:
        """Duration of an iteration.

        Args:
            prefill: Prefill tokens (P).
            chunks: Prefill chunks (N).
            decodes: Decoding requests (B).
            kv: Prompt and emitted tokens of the decoding requests (KV).
            attended: Sum over chunks of c (h + (c + 1) / 2) for c tokens after h known ones (S).
        """
        # Left to right in float64; Python's round() of a float is rint (ties to even).
        rounded = round((self.a_s * attended + self.c_n * chunks) + self.c_b * decodes)
        return max(1, int(self.g[prefill + decodes]) + rounded + self.q * kv)

    def share_s(self, tokens: int, after: int, chunk_tokens: int) -> float:
        """Seconds of prefill that these tokens stand for: their share of full iterations (K2).

        Args:
            tokens: Tokens to compute (c).
            after: Tokens before them (h).
            chunk_tokens: Tokens of a full iteration (C).
        """
        per_token = self.g[chunk_tokens] / chunk_tokens * 1e-12
        per_pair = self.a_s * 1e-12
        return tokens * per_token + per_pair * tokens * (after + (tokens + 1) / 2)


@dataclass(frozen=True)
class RefEngine:
    """Engine settings; `schedule` is "mixed" or "prefill_first", `queue` is "fcfs" or "priority" (E6)."""

    page_size: int
    schedule: str
    chunk_tokens: int
    max_running: int
    evict_full_request: bool = False
    reserve_output: float = 1.0
    queue: str = "fcfs"


@dataclass(frozen=True)
class RefLink:
    """A link between two workers: what a transfer takes (rule T1), and when the target may begin (rule T6)."""

    latency_ps: int
    ps_per_token: float
    ps_per_page: int = 0
    overlap: bool = False

    def duration(self, tokens: int, pages: int) -> int:
        """Picoseconds that a transfer of these tokens takes, which fill so many pages."""
        return max(1, self.latency_ps + round(tokens * self.ps_per_token) + pages * self.ps_per_page)

    def ready(self, start_ps: int, end_ps: int) -> int:
        """When a transfer from `start_ps` to `end_ps` is ready."""
        return min(end_ps, start_ps + max(1, self.latency_ps)) if self.overlap else end_ps


@dataclass(frozen=True)
class RefNetwork:
    """Where the workers are and what connects them.

    Attributes:
        nodes: The node of each worker.
        inside: Link between workers of one node, None if there is none.
        between: Link between workers of different nodes, None if there is none.
    """

    nodes: tuple[int, ...]
    inside: RefLink | None
    between: RefLink | None


@dataclass(frozen=True)
class RefCrash:
    """A worker is down from `time_ps` on, and up again at `back_ps` (None: never)."""

    worker: int
    time_ps: int
    back_ps: int | None


@dataclass(frozen=True)
class RefSlowdown:
    """Iterations of a worker that start in [time_ps, end_ps) have this cost."""

    worker: int
    time_ps: int
    end_ps: int
    cost: RefCost


@dataclass
class RefRecord:
    """What happened to one request.

    `worker` is the last one, -1 if it was refused; `hit_tokens` and `admitted_ps` are those of its first admission.
    `returns` counts the crashes that sent it back to the router, `fetched_tokens` the tokens of its transfers that came
    to their end.
    """

    worker: int = -1
    arrival_ps: int = -1
    admitted_ps: int = -1
    first_token_ps: int = -1
    finish_ps: int = -1
    hit_tokens: int = -1
    preemptions: int = 0
    returns: int = 0
    fetched_tokens: int = 0


@dataclass
class RefTotals:
    """Counters of one worker: pages, except `iterations` and `busy_ps`.

    `found` are those of `recomputed` that a request held outside the tree and found there when it had computed them.
    `fetched` entered the tree by transfers and are not in `loaded`; `lost` left it in crashes.
    """

    loaded: int = 0
    hit: int = 0
    evicted: int = 0
    recomputed: int = 0
    found: int = 0
    iterations: int = 0
    busy_ps: int = 0
    fetched: int = 0
    lost: int = 0


@dataclass
class RefResult:
    """Everything that one simulation produced.

    Attributes:
        records: One per request.
        totals: One per worker.
        iterations: Per worker, tuples (start_ps, end_ps, P, N, B, KV); one that a crash cut short ends there.
        visible: Per decision, (request, time_ps, visible hit tokens per worker, queued per worker, running per worker),
            as they were before the decision. A request that came back appears again; those that wait for a transfer are
            queued.
        offers: Per decision and worker, (tokens, ps to the planned end) of D2; (0, 0) where there is nothing.
        up: Per decision and worker, whether it is up.
        refusals: The decision at which each refused request was refused, as its place in `visible`.
        links: Per pair (source, target) of workers that had any: transfers that came to their end, their tokens, their
            ps, and transfers that were given up.
        evictions: Per worker, the evicted pages in order as (lowest request whose path holds it, page number).
        resident: Per worker, the pages in the tree at the end, named in the same way.
    """

    records: list[RefRecord]
    totals: list[RefTotals]
    iterations: list[list[tuple[int, int, int, int, int, int]]]
    visible: list[tuple[int, int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    offers: list[tuple[tuple[int, int], ...]] = field(default_factory=list)
    up: list[tuple[bool, ...]] = field(default_factory=list)
    refusals: dict[int, int] = field(default_factory=dict)
    links: dict[tuple[int, int], tuple[int, int, int, int]] = field(default_factory=dict)
    evictions: list[list[tuple[int, int]]] = field(default_factory=list)
    resident: list[set[tuple[int, int]]] = field(default_factory=list)
