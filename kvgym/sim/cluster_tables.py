"""Tables of what the cluster is like: costs of iterations, links, and the faults of an episode."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.cluster import ClusterSpec, Crash, EngineSpec, Fault, IterationCost, Network, Slowdown
from kvgym.sim.base.codes import CRASH, RECOVER, RETURN, SLOW_DOWN
from kvgym.sim.base.tables import FAULT, TABLES

Tables = dict[str, NDArray[Any]]


def rows_of_costs(cluster: ClusterSpec) -> list[int]:
    """The row of `costs` of each worker."""
    kinds = _kinds(cluster)
    return [kinds.index(worker.cost) for worker in cluster.workers]


def _kinds(cluster: ClusterSpec) -> list[IterationCost]:
    """The different costs of the cluster, in order of appearance."""
    return list(dict.fromkeys(worker.cost for worker in cluster.workers))


def cost_tables(cluster: ClusterSpec, engine: EngineSpec, faults: Sequence[Fault], rows: Sequence[int]) -> Tables:
    """The tables `costs` and `g`, with a row per kind of worker and one per slowed kind, and `faults`.

    `rows` are those of the workers, see `rows_of_costs`.
    """
    slowed = dict.fromkeys((rows[fault.worker], fault.factor) for fault in faults if isinstance(fault, Slowdown))
    first = max(rows) + 1
    paces = {key: first + i for i, key in enumerate(slowed)}
    return {**_costs(cluster, engine, tuple(slowed)), "faults": _fault_rows(faults, rows, paces)}


@lru_cache(maxsize=64)
def _costs(cluster: ClusterSpec, engine: EngineSpec, slowed: tuple[tuple[int, float], ...]) -> Tables:
    """The tables of costs: nothing writes them, so all runs of a cluster share them."""
    kinds = _kinds(cluster)
    costs = [*kinds, *(kinds[row].slowed(factor) for row, factor in slowed)]
    g = [cost.g_ps(engine.chunk_tokens) for cost in costs]
    table = np.zeros(len(costs), TABLES["costs"])
    for row, cost, times in zip(table, costs, g, strict=True):
        row["a_s"], row["c_n"], row["c_b"], row["q"] = cost.coefficients_ps()
        row["speed"] = engine.chunk_tokens / max(1, times[engine.chunk_tokens])  # an iteration takes 1 ps at least
    table["speed"] /= table["speed"][: len(kinds)].max()
    return {"costs": table, "g": np.concatenate(g)}


def count_faults(faults: Sequence[Fault]) -> int:
    """Rows of the table `faults`: beginnings and ends."""
    return sum(1 if fault.end_ps is None else 2 for fault in faults)


def _fault_rows(faults: Sequence[Fault], rows: Sequence[int], paces: dict[tuple[int, float], int]) -> NDArray[Any]:
    """Beginnings and ends in the order in which they happen: at one time ends first, then by worker, then by kind."""
    happen: list[tuple[int, bool, int, int, int]] = []
    for fault in faults:
        row = rows[fault.worker]
        begins, ends = (CRASH, RETURN) if isinstance(fault, Crash) else (SLOW_DOWN, RECOVER)
        current_cost = row if isinstance(fault, Crash) else paces[row, fault.factor]
        happen.append((fault.start_ps, True, fault.worker, begins, current_cost))
        if fault.end_ps is not None:
            happen.append((fault.end_ps, False, fault.worker, ends, row))
    table = np.zeros(len(happen), FAULT)
    for entry, (time_ps, _, worker, kind, current_cost) in zip(table, sorted(happen), strict=True):
        entry["time_ps"], entry["worker"], entry["kind"], entry["current_cost"] = time_ps, worker, kind, current_cost
    return table


def dense_nodes(network: Network) -> list[int]:
    """The node of each worker, numbered from 0 in order of appearance."""
    numbers = list(dict.fromkeys(network.nodes))
    return [numbers.index(node) for node in network.nodes]


def network_tables(cluster: ClusterSpec | None) -> Tables:
    """The tables `links` and `link_ends`; empty without a cluster whose network is to be used."""
    links = np.zeros(2, TABLES["links"])
    if cluster is None or cluster.network is None:
        return {"links": links[:0], "link_ends": np.zeros(0, np.int64)}
    network = cluster.network
    for row, link in zip(links, (network.inside, network.between), strict=True):
        if link is not None:
            row["latency_ps"] = link.latency_ps()
            row["page_ps"] = link.page_ps()
            row["overlap"] = link.overlap
            row["ps_per_token"] = link.ps_per_token(cluster.workers[0].kv_bytes_per_token)
    return {"links": links, "link_ends": np.zeros(2 * (len(cluster) + len(set(network.nodes))), np.int64)}
