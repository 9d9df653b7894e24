"""The figures by which workloads are compared: lengths, rate, burstiness, reuse of prompts, sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kvgym import _compile
from kvgym._check import finite, whole
from kvgym.workload.workload import Workload

KERNELS = "kvgym.workload.reuse_kernels"
CAPACITIES = tuple(2**k for k in range(19, 25))
"""Tokens; 1,024 to 32,768 blocks of 512."""
WINDOWS_S = (10, 60, 300)
SECONDS_PER_TOKEN = 0.02
_BLOCK = 512
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Mean and quantiles of a quantity; NaN where there is none of it."""

    mean: float
    p10: float
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True, slots=True)
class Sessions:
    """Conversations.

    Attributes:
        recorded: False where the workload names none and they are inferred from what prompts share.
        number: How many there are.
        multi_turn: Share of the requests that belong to one of several turns.
        turns: Requests per session.
        gap_s: From an arrival to the next one of the session.
        growth_tokens: What a prompt has more than the session's prompt before it.
    """

    recorded: bool
    number: int
    multi_turn: float
    turns: Quantiles
    gap_s: Quantiles
    growth_tokens: Quantiles


@dataclass(frozen=True, slots=True)
class Figures:
    """What `figures` finds. Hits are shares of all prompt tokens, in whole pages.

    Attributes:
        requests: Their number.
        span_s: From the first arrival to the last.
        rate: Requests per second of the span.
        prompt_tokens: Of a request.
        output_tokens: Of a request.
        dispersion: Window in s -> variance over mean of the arrivals per window; 1 for a Poisson process, NaN where the
            span has fewer than two windows.
        infinite_hit: Hit of one cache without a limit.
        request_hit: The same, of each request.
        distinct_tokens: Tokens of all different full pages, outputs included.
        used_once: Share of these that one request uses.
        reuse_s: Seconds since the last use of a page that hits.
        reuse_tokens: Different tokens used since then, itself included: the smallest LRU cache that hits.
        sessions: Conversations.
        lru: Capacity in tokens -> hit of one cache of this size that evicts by LRU.
        opt: The same by Belady's rule, the optimum.
    """

    requests: int
    span_s: float
    rate: float
    prompt_tokens: Quantiles
    output_tokens: Quantiles
    dispersion: dict[int, float]
    infinite_hit: float
    request_hit: Quantiles
    distinct_tokens: int
    used_once: float
    reuse_s: Quantiles
    reuse_tokens: Quantiles
    sessions: Sessions
    lru: dict[int, float]
    opt: dict[int, float]


class Reuse(NamedTuple):
    """What prompts find that was there before, a row for each node that one finds; (n,) each.

    Attributes:
        seconds: Since its last use.
        tokens: Different tokens used since then.
        pages: Pages of it that hit.
    """

    seconds: Floats
    tokens: Ints
    pages: Ints


def reuse(workload: Workload, arrivals: Floats) -> Reuse:
    """All reuse in a workload whose requests are served at these times, at once."""
    return _reuse(workload, _InOrder(workload, arrivals))[0]


def figures(
    workload: Workload,
    *,
    capacities: Sequence[int] = CAPACITIES,
    arrivals: ArrayLike | None = None,
) -> Figures:
    """The figures of a workload, as one cache sees it that serves every request at its arrival, at once.

    A request uses the pages of its prompt and output; what it could hit are the whole pages of all but the last token
    of its prompt. Takes n log n in the path entries of the workload, and that again for each capacity.

    Args:
        workload: The workload; a larger page size is faster, and hits come in its steps.
        capacities: Tokens of the caches of `lru` and `opt`, each >= 1.
        arrivals: (n,) seconds at which requests arrive; default `nominal_arrivals`.

    Raises:
        ValueError: For another argument.
    """
    sizes = [whole("capacities", capacity, 1) for capacity in capacities]
    times = nominal_arrivals(workload) if arrivals is None else np.asarray(arrivals, np.float64)
    if times.shape != (len(workload),) or not np.isfinite(times).all():
        raise ValueError(f"arrivals must be {len(workload)} finite numbers, got {times.dtype} of shape {times.shape}")
    kernels = _compile.load(KERNELS)
    one = _InOrder(workload, times)
    found, request, following = _reuse(workload, one)
    pages, depth = found.pages, found.tokens // workload.page_size
    tokens = one.prompt.sum()
    hit = np.bincount(request, weights=pages, minlength=len(workload)) * workload.page_size
    n_pages = workload.nodes["n_pages"].astype(np.int64)
    span = float(one.times[-1] - one.times[0])
    limits = [size // workload.page_size for size in sizes]
    optimal = [kernels.optimal_hits(one.starts, following, one.asked, limit) for limit in limits]
    return Figures(
        requests=len(workload),
        span_s=span,
        rate=len(workload) / span if span else np.nan,
        prompt_tokens=quantiles(one.prompt),
        output_tokens=quantiles(workload.requests["output_tokens"]),
        dispersion={window: dispersion(one.times, window) for window in WINDOWS_S},
        infinite_hit=float(hit.sum() / tokens),
        request_hit=quantiles(hit / one.prompt),
        distinct_tokens=int(n_pages.sum()) * workload.page_size,
        used_once=float(n_pages[workload.nodes["n_requests"] == 1].sum() / max(1, n_pages.sum())),
        reuse_s=quantiles(found.seconds, pages),
        reuse_tokens=quantiles((depth + (pages + 1) / 2) * workload.page_size, pages),
        sessions=_sessions(workload, times),
        lru={
            size: float(np.clip(limit - depth, 0, pages).sum() * workload.page_size / tokens)
            for size, limit in zip(sizes, limits, strict=True)
        },
        opt={size: float(hits * workload.page_size / tokens) for size, hits in zip(sizes, optimal, strict=True)},
    )


def nominal_arrivals(workload: Workload, seconds_per_token: float = SECONDS_PER_TOKEN) -> Floats:
    """(n,) seconds: arrivals, in a closed loop as if each output token took so many seconds and nothing else any."""
    requests = workload.requests
    before = requests["predecessor"].astype(np.int32)
    served = finite("seconds_per_token", seconds_per_token) * requests["output_tokens"][before]
    pauses = requests["think_ps"] * 1e-12 + served
    return np.asarray(_compile.load(KERNELS).follow(requests["arrival_ps"] * 1e-12, pauses, before))


def recorded(workload: Workload) -> bool:
    """Whether a workload has a session of more than one request."""
    return len(np.unique(workload.requests["session"])) < len(workload)


def continued(workload: Workload, arrivals: Floats) -> Ints:
    """(n,) the request whose session each request goes on with, -1 = none.

    That before it of the same session. In a workload whose sessions all have one request it is inferred: the latest one
    whose prompt the request's own begins with, but for at most 1,024 tokens at its end (traces know blocks of 512
    tokens, of which the last one is not full); of those the longest. Prompts of less than 1,536 tokens say nothing:
    those of strangers begin alike.
    """
    one = _InOrder(workload, arrivals)
    session = workload.requests["session"]
    before = np.full(len(session), -1)
    if recorded(workload):
        order = one.order[np.argsort(session[one.order], kind="stable")]
        same = session[order[1:]] == session[order[:-1]]
        before[order[1:][same]] = order[:-1][same]
        return before
    slack = 2 * max(_BLOCK, workload.page_size)
    found = _compile.load(KERNELS).goes_on_from(
        one.starts,
        one.entries,
        np.ascontiguousarray(workload.nodes["start_page"]),
        one.node_pages,
        one.prompt_pages,
        np.where(one.prompt >= slack + slack // 2, (one.prompt - slack) // workload.page_size, -1),
    )
    before[one.order] = np.where(found < 0, -1, one.order[found])
    return before


def session_numbers(workload: Workload, arrivals: Floats) -> Ints:
    """(n,) the session of each request, recorded or inferred as by `continued`; numbered in order of arrival."""
    before = continued(workload, arrivals)
    order = np.argsort(arrivals, kind="stable")
    session = np.full(len(before), -1)
    opens = order[before[order] < 0]
    session[opens] = np.arange(len(opens))
    for i in order[before[order] >= 0]:
        session[i] = session[before[i]]
    return session


def dispersion(times: Floats, window_s: float) -> float:
    """Variance over mean of the arrivals per window, over the whole windows of the span; NaN for fewer than two."""
    windows = int((times[-1] - times[0]) / window_s)
    if windows < 2:
        return float("nan")
    counts = np.bincount(((times - times[0]) / window_s).astype(np.int64))[:windows]
    return float(counts.var() / counts.mean())


def quantiles(values: NDArray[Any], weights: NDArray[Any] | None = None) -> Quantiles:
    """Mean and quantiles, each value counted so often as its weight says."""
    if not len(values):
        return Quantiles(*[float("nan")] * 5)
    order = np.argsort(values)
    mass = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)[order]
    upto = np.cumsum(mass)
    at = np.searchsorted(upto, np.array([0.1, 0.5, 0.9, 0.99]) * upto[-1])
    mean = float((values[order] * mass).sum() / upto[-1])
    return Quantiles(mean, *values[order][np.minimum(at, len(values) - 1)].tolist())


def _reuse(workload: Workload, one: _InOrder) -> tuple[Reuse, Ints, Ints]:
    """Reuse; the request of each row, in order of arrival; for each entry the next one of its node, -1 = none."""
    previous, distance = _compile.load(KERNELS).distances(one.starts, one.entries, one.node_pages)
    following = np.full_like(previous, -1)
    following[previous[previous >= 0]] = np.flatnonzero(previous >= 0)
    seen = (previous >= 0) & (one.asked > 0)
    request = one.request[seen]
    gaps = one.times[request] - one.times[one.request[previous[seen]]]
    return Reuse(gaps, distance[seen] * workload.page_size, one.asked[seen]), request, following


class _InOrder:
    """A workload's requests in order of arrival, with the entries of their paths: see `reuse_kernels`."""

    def __init__(self, workload: Workload, times: Floats) -> None:
        requests, nodes = workload.requests, workload.nodes
        self.order = np.argsort(times, kind="stable")
        self.times = times[self.order]
        rows = requests[self.order]
        self.prompt = rows["prompt_tokens"].astype(np.int64)
        self.prompt_pages = rows["prompt_pages"].astype(np.int64)
        count = rows["path_nodes"].astype(np.int64)
        self.starts = np.append(0, np.cumsum(count))
        self.request = np.repeat(np.arange(len(rows)), count)
        entry = np.arange(self.starts[-1]) + np.repeat(rows["path_start"] - self.starts[:-1], count)
        self.entries = workload.paths[entry]
        self.node_pages = nodes["n_pages"].astype(np.int64)
        could_hit = (self.prompt - 1) // workload.page_size
        left = could_hit[self.request] - nodes["start_page"][self.entries]
        self.asked = np.clip(left, 0, self.node_pages[self.entries])


def _sessions(workload: Workload, times: Floats) -> Sessions:
    before = continued(workload, times)
    prompt = workload.requests["prompt_tokens"].astype(np.int64)
    turns = np.bincount(session_numbers(workload, times))
    later = np.flatnonzero(before >= 0)
    return Sessions(
        recorded=recorded(workload),
        number=len(turns),
        multi_turn=float(turns[turns > 1].sum() / len(before)),
        turns=quantiles(turns),
        gap_s=quantiles(times[later] - times[before[later]]),
        growth_tokens=quantiles(prompt[later] - prompt[before[later]]),
    )
