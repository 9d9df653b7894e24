"""Workloads on which a named router or evictor does badly, built from how it decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvgym._check import choice, whole
from kvgym.workload.arrivals import Process, arrive
from kvgym.workload.random import ORDER, Seed, Stream
from kvgym.workload.workload import Workload

Ints = NDArray[np.int64]
PREFIX_TOKENS, QUESTION_TOKENS, OUTPUT_TOKENS = 4096, 64, 16
_OVER = 1.25  # prefixes hold so many times the tokens of all caches


class _Plan(NamedTuple):
    """(n,) each: which prefix, how long it is, and the answer's length."""

    prefix: Ints
    tokens: Ints
    output: Ints


def adversary(
    seed: Seed,
    page_size: int,
    *,
    against: str,
    workers: int,
    kv_tokens: int,
    requests: int = 1000,
    rate: float = 10.0,
    arrivals: Process | None = None,
) -> Workload:
    """Requests on which a rule does badly, while others do well: prefixes of 4,096 tokens and short questions.

    Against `lru`, `lru_node` and `fifo`: prefixes in turn, a quarter more than caches hold, so that each goes just
    before it comes again. `lfu`: prefixes that were asked often and never are again, then others in turn. `mru`: three
    questions on each of two prefixes, in turn, and never again. `random`, `rlt` and `rlt_code`: prefixes at random,
    a quarter more than caches hold: no rule without foresight does well, the optimum does. `round_robin`: each
    `workers`-th request is long, so that one worker has them all. `least_loaded` and `random_router`: prefixes at
    random that just fit if each stays on one worker. `prefix_affinity`: one prefix in all
    and long answers, so that one worker has all.

    Args:
        seed: an integer >= 0 or a SeedSequence.
        page_size: tokens per page.
        against: one of `AGAINST`.
        workers: workers of the cluster.
        kv_tokens: tokens of KV memory of each.
        requests: number of requests.
        rate: requests per second.
        arrivals: another process than Poisson, see `arrive`.

    Raises:
        ValueError: for an argument outside these.
    """
    n = whole("requests", requests, 1)
    total = whole("workers", workers, 1) * whole("kv_tokens", kv_tokens, 2 * PREFIX_TOKENS)
    plan = AGAINST[choice("against", against, AGAINST)](seed, n, workers, max(2, total // PREFIX_TOKENS))
    return Workload.from_segments(
        np.arange(0, 2 * n + 1, 2),
        np.column_stack([plan.prefix, 2**40 + np.arange(n)]).ravel(),
        np.zeros(2 * n, np.int64),
        np.column_stack([plan.tokens, np.full(n, QUESTION_TOKENS)]).ravel(),
        plan.output,
        arrive(seed, n, arrivals, rate).seconds,
        page_size,
        tenants=plan.prefix,
        name=f"adversary of {against}",
    )


def _on(prefix: Ints) -> _Plan:
    return _Plan(prefix, np.full_like(prefix, PREFIX_TOKENS), np.full_like(prefix, OUTPUT_TOKENS))


def _in_turn(seed: Seed, n: int, workers: int, room: int) -> _Plan:
    return _on(np.arange(n) % int(_OVER * room))


def _at_random(seed: Seed, n: int, workers: int, room: int) -> _Plan:
    return _on(Stream(seed, ORDER).integers(n, int(_OVER * room)))


def _once_popular(seed: Seed, n: int, workers: int, room: int) -> _Plan:
    """A tenth of the requests, or four times the room, on prefixes that fill the caches; the others on half as many."""
    past = max(n // 10, min(4 * room, n // 2))
    return _on(np.where(np.arange(n) < past, np.arange(n) % room, room + np.arange(n) % max(1, room // 2)))


def _soon_over(seed: Seed, n: int, workers: int, room: int) -> _Plan:
    return _on(2 * (np.arange(n) // 6) + np.arange(n) % 2)


def _every_nth_long(seed: Seed, n: int, workers: int, room: int) -> _Plan:
    long = np.arange(n) % workers == 0
    return _Plan(np.arange(n), np.where(long, 2 * PREFIX_TOKENS, 16), np.where(long, 8 * OUTPUT_TOKENS, OUTPUT_TOKENS))


def _just_fitting(seed: Seed, n: int, workers: int, room: int) -> _Plan:
    return _on(Stream(seed, ORDER).integers(n, max(1, int(0.8 * room))))


def _one_for_all(seed: Seed, n: int, workers: int, room: int) -> _Plan:
    plan = _on(np.zeros(n, np.int64))
    return plan._replace(output=64 * plan.output)


AGAINST: dict[str, Callable[[Seed, int, int, int], _Plan]] = {
    "lru": _in_turn,
    "lru_node": _in_turn,
    "fifo": _in_turn,
    "lfu": _once_popular,
    "mru": _soon_over,
    "random": _at_random,
    "rlt": _at_random,
    "rlt_code": _at_random,
    "round_robin": _every_nth_long,
    "least_loaded": _just_fitting,
    "random_router": _just_fitting,
    "prefix_affinity": _one_for_all,
}
"""Name of an evictor or a router -> its worst kind of workload."""
