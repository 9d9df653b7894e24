"""Plays the worst cases in `workloads`: misses of each evictor over those of the optimum, and hit rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.sim import Simulator
from kvgym.workload import Workload

from .values import expected
from .workloads import GROUP_CACHE, PREFIX, group_lengths, group_workload, leaf_order, leaf_workload

EVICTORS = ("lru", "lru_node", "fifo", "lfu", "random", "rlt", "rlt_code", "belady")
RANDOMIZED = ("random", "rlt", "rlt_code")
OPTIMUM = "belady"


@dataclass(frozen=True)
class Ratio:
    """Misses of an evictor over those of the optimum on the same requests.

    Attributes:
        order: One of `ORDERS`.
        k: Places for own pages.
        evictor: Which one.
        ratio: All misses of all seeds over those of the optimum.
        error: Standard error of `ratio`, from its spread over the seeds; 0 with one seed or if nothing is random.
        expected: What theory says, or None.
    """

    order: str
    k: int
    evictor: str
    ratio: float
    error: float
    expected: float | None


@dataclass(frozen=True)
class HitRate:
    """Share of the prompt tokens of cyclic groups that were found in the cache.

    Attributes:
        ratio: Tokens of a round over tokens of the cache, W / B.
        mixed: Lengths 1 : 2 : 4 : 8 : 16 instead of equal ones.
        evictor: Which one.
        hit_rate: Mean over the seeds.
    """

    ratio: float
    mixed: bool
    evictor: str
    hit_rate: float


def misses(workload: Workload, k: int, evictor: str, seed: int) -> int:
    """Pages that come into a cache of `PREFIX` + k pages, after the k + 1 cold requests.

    Pages that came in, not miss tokens: an engine computes the last token of a prompt even when it is cached.
    """
    cluster = ClusterSpec.uniform(1, PREFIX + k, IterationCost(c0=0.01))
    sim = Simulator(cluster, EngineSpec(page_size=1, evict_full_request=False), evictor, "round_robin")
    loaded = []
    for limit in (k + 1, len(workload)):  # the same seed: the cold requests are the same in both runs
        sim.reset(workload, seed, limit=limit)
        sim.run()
        loaded.append(int(sim.totals()["loaded"].sum()))
    return loaded[1] - loaded[0]


def ratios(order: str, k: int, length: int, seeds: int, evictors: Iterable[str] = EVICTORS) -> list[Ratio]:
    """Plays an order of `leaf_order` with each evictor; what is not random is played once.

    Args:
        order: see `leaf_order`, likewise `k` and `length`.
        k: places for own pages.
        length: of the order.
        seeds: runs, with the seeds 0 .. seeds-1; a random order differs from run to run.
        evictors: who plays; the optimum is played anyway.
    """
    names = list(evictors)
    counts: dict[str, list[int]] = {name: [] for name in [*names, OPTIMUM]}
    for seed in range(seeds if order == "random" else 1):
        workload = leaf_workload(leaf_order(order, k, length, seed))
        for name, column in counts.items():
            own = range(seeds) if order != "random" and name in RANDOMIZED else [seed]
            column += [misses(workload, k, name, one) for one in own]
    rows = []
    for name in names:
        ratio, error = _over(np.array(counts[name]), np.array(counts[OPTIMUM]))
        rows.append(Ratio(order, k, name, ratio, error, expected(order, name, k)))
    return rows


def _over(cost: NDArray[Any], optimum: NDArray[Any]) -> tuple[float, float]:
    """Sum over sum, and its standard error; one column may have a single value, which then holds for every seed."""
    ratio = float(cost.mean() / optimum.mean())
    n = max(len(cost), len(optimum))
    if n == 1:
        return ratio, 0.0
    return ratio, float(np.std(cost - ratio * optimum, ddof=1) / np.sqrt(n) / optimum.mean())


def group_hit_rate(
    lengths: Sequence[int], evictor: str, rounds: int = 32, seeds: int = 1, order: str = "cyclic"
) -> float:
    """Mean hit rate over the seeds on `group_workload`, in a cache of `GROUP_CACHE` tokens.

    The engine is that of the paper's code: prefill first, and evictions of as many pages as a request asks for.
    """
    engine = EngineSpec(page_size=1, schedule="prefill_first", max_running=2048, evict_full_request=True)
    cluster = ClusterSpec.uniform(1, GROUP_CACHE, IterationCost(c0=1.0, k=0.1))
    sim = Simulator(cluster, engine, evictor, "round_robin")
    rates = []
    for seed in range(seeds if evictor in RANDOMIZED or order == "random" else 1):
        sim.reset(group_workload(lengths, rounds, order, seed), seed)
        sim.run()
        records = sim.records()
        rates.append(records["hit_tokens"].sum() / records["prompt_tokens"].sum())
    return float(np.mean(rates))


def hit_rates(ratio: float, rounds: int, seeds: int, evictors: Iterable[str] = EVICTORS) -> list[HitRate]:
    """Hit rates on cyclic groups whose rounds take `ratio` times the cache, with equal and with mixed lengths."""
    return [
        HitRate(ratio, mixed, name, group_hit_rate(group_lengths(ratio, mixed), name, rounds, seeds))
        for mixed in (False, True)
        for name in evictors
    ]
