"""Worst cases of evictors as workloads: k + 1 prompts for k places, and groups that share a prefix in cyclic order.

All requests are so far apart that each is served alone, so that only the order of the requests and the evictor matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kvgym._check import choice, whole
from kvgym.workload import Workload
from kvgym.workload.random import ORDER, Stream

Ints = NDArray[np.int64]

PREFIX = 16  # pages that the k + 1 prompts share; their number plays no part in the ratios
ORDERS = ("cyclic", "random", "stale")
_MAX_REQUESTS = 4_000_000  # more would need more than about 2 GB
_STALE_ROUNDS = 3  # times k

GROUP_CACHE = 20_000
SHARED = 0.5
SPREAD = tuple(2**i for i in range(5))


def leaf_order(order: str, k: int, length: int, seed: int = 0) -> Ints:
    """Which of the prompts 0 .. k each request asks: every prompt once (the cold ones), then the order itself.

    Args:
        order: "cyclic" (0, 1, .., k, 0, 1, ..: whoever evicts the least recently used is wrong every time), "random"
            (uniform: Yao's instance, on which no evictor has anything to go by), or "stale" (phases; in each the
            prompts 1 .. k-1 and a k-th one are asked 3k times in turn, and the k-th changes between 0 and k from phase
            to phase: whoever doesn't notice that one prompt is out of use pays until he hits on it).
        k: places for the prompts' own pages, >= 2.
        length: of "cyclic" and "random" in multiples of k, of "stale" in phases; >= 1.
        seed: of the random order.

    Returns:
        The numbers of the prompts, k + 1 cold ones first.

    Raises:
        ValueError: For an argument outside these, or for more than 4 million requests.
    """
    choice("order", order, ORDERS)
    whole("k", k, 2)
    whole("length", length, 1)
    rounds = _STALE_ROUNDS * k
    n = k * length * (rounds if order == "stale" else 1)
    if n > _MAX_REQUESTS:
        raise ValueError(
            f"k = {k} with length {length} makes {n} {order} requests; at most {_MAX_REQUESTS} are allowed"
        )
    if order == "cyclic":
        body = np.arange(n) % (k + 1)
    elif order == "random":
        body = Stream(seed, ORDER).integers(n, k + 1)
    else:
        # The last cold prompt was k: the first phase goes on with it, so that 0 is the one out of use.
        first = np.repeat(np.where(np.arange(length) % 2 == 0, k, 0), rounds)
        body = np.column_stack([first, np.broadcast_to(np.arange(1, k), (len(first), k - 1))]).ravel()
    return np.append(np.arange(k + 1), body)


def leaf_workload(order: ArrayLike) -> Workload:
    """Requests with a prompt of `PREFIX` shared pages and one page of its own, pages of one token, output 1 token.

    Args:
        order: (n,) the number of each request's prompt.
    """
    prompt = np.asarray(order, np.int64)
    n = len(prompt)
    shared = np.zeros(n, np.int64)
    return _alone(np.column_stack([shared, 1 + prompt]), np.column_stack([shared + PREFIX, shared + 1]), 1e-3)


def group_lengths(ratio: float, mixed: bool) -> list[int]:
    """Prompt lengths, one per group, that add up to about `ratio` times `GROUP_CACHE` tokens.

    Args:
        ratio: tokens of one round over tokens of the cache.
        mixed: lengths in the proportions 1 : 2 : 4 : 8 : 16 instead of 1000 tokens each.
    """
    if not mixed:
        return [1000] * round(ratio * GROUP_CACHE / 1000)
    repeats = 8
    unit = ratio * GROUP_CACHE / (repeats * sum(SPREAD))
    return [round(unit * part) for _ in range(repeats) for part in SPREAD]


def group_workload(lengths: Sequence[int], rounds: int, order: str = "cyclic", seed: int = 0) -> Workload:
    """A prompt of each group per round: the first half is the group's, the rest new each time. Pages of one token.

    Args:
        lengths: prompt tokens, a group each.
        rounds: prompts per group.
        order: "cyclic" (group after group, round after round) or "random" (all prompts shuffled).
        seed: of the random order.

    Raises:
        ValueError: For another order.
    """
    choice("order", order, ("cyclic", "random"))
    length = np.asarray(lengths)
    groups, n = len(length), len(length) * rounds
    shared = np.rint(length * SHARED).astype(np.int64)
    group = np.tile(np.arange(groups), rounds)
    if order == "random":
        group = group[Stream(seed, ORDER).permutation(n)]
    return _alone(
        np.column_stack([group, groups + np.arange(n)]),
        np.column_stack([shared[group], (length - shared)[group]]),
        100.0,
    )


def _alone(segments: Ints, lengths: NDArray[Any], gap_s: float) -> Workload:
    """Requests of two runs each (rows of `segments` and `lengths`), `gap_s` apart, output 1 token."""
    n = len(segments)
    return Workload.from_segments(
        np.arange(0, 2 * n + 1, 2),
        segments.ravel(),
        np.zeros(2 * n, np.int64),
        lengths.ravel(),
        np.ones(n, np.int64),
        np.arange(n) * gap_s,
        1,
    )
