"""The future of a run drawn anew: what has not begun changes places (docs/semantics.md#d8-future-drawn-anew)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kvgym.sim import evictors
from kvgym.sim.base.codes import NONE, RECOVER, RETURN
from kvgym.sim.base.tables import TABLES
from kvgym.sim.state import Tables
from kvgym.workload import Workload
from kvgym.workload.random import ARRIVALS, ORDER, THINK, Stream
from kvgym.workload.tables import Table, link_successors

Ints = NDArray[np.int64]


def redraw(tables: Tables, workload: Workload, seed: int) -> Workload:
    """Changes the tables of a clone so that another future follows; returns the workload that they now stand for.

    Args:
        tables: Of the clone. Those that a run never writes are replaced, not written.
        workload: The one that is played.
        seed: An integer >= 0.

    Raises:
        ValueError: For another seed.
    """
    requests, clock = workload.requests.copy(), tables["clock"]
    arrived = tables["progress"]["arrived_ps"] >= 0
    waiting = tables["pending"][: clock["n_pending"][0]]
    unknown = np.flatnonzero(~arrived & (requests["predecessor"] >= 0))
    unknown = unknown[~np.isin(unknown, waiting["request"])]  # of others the think time has begun
    requests["think_ps"][unknown] = requests["think_ps"][unknown][Stream(seed, THINK).permutation(len(unknown))]
    nominal = _move_sessions(requests, arrived, int(clock["now_ps"][0]), seed)
    source = _order(nominal, ~arrived & (np.arange(len(requests)) >= clock["next_open"][0]))
    number = np.argsort(source)
    drawn = _renumbered(workload, requests, source, number)

    tables["requests"], tables["nodes"], tables["paths"] = drawn.requests, drawn.nodes, drawn.paths
    tables["hints"] = tables["hints"][source]
    waiting["request"] = number[waiting["request"]]
    waiting.sort(order=("time_ps", "request"))  # ascending: a heap
    left = ~arrived & (drawn.requests["predecessor"] < 0)
    clock["next_open"] = np.argmax(left) if left.any() else len(left)
    _forget_faults(tables)
    if len(tables["use_next"]):  # an oracle knows the drawn future instead
        evictors.module("belady").fill(tables, drawn, len(tables["workers"]))
        tables["heaps"]["rule"], tables["heaps"]["size"] = NONE, 0
    return drawn


def _move_sessions(requests: Table, arrived: NDArray[np.bool_], now_ps: int, seed: int) -> Ints:
    """Gives the sessions that have not begun other times to begin at; returns the place of each request in time.

    The gaps between the times at which such sessions begin, the one up to the first of them included, are put in a
    random order, and the sessions, too. What comes later in a session keeps its time after the beginning.
    """
    is_open = requests["predecessor"] < 0
    nominal: Ints = np.maximum.accumulate(np.where(is_open, requests["arrival_ps"], 0))
    session = _sessions(requests)
    begun = np.zeros(len(requests), bool)
    np.logical_or.at(begun, session, arrived)
    fresh = np.flatnonzero(~begun[session])
    firsts = np.unique(session[fresh])  # a session is named by its first request
    gaps = np.diff(nominal[firsts], prepend=now_ps)
    starts = now_ps + np.cumsum(gaps[Stream(seed, ARRIVALS).permutation(len(firsts))])
    shift = np.zeros(len(requests), np.int64)
    shift[firsts[Stream(seed, ORDER).permutation(len(firsts))]] = starts
    shift[firsts] -= nominal[firsts]
    nominal[fresh] += shift[session[fresh]]
    moved = fresh[is_open[fresh]]
    requests["arrival_ps"][moved] = nominal[moved]
    return nominal


def _sessions(requests: Table) -> Ints:
    """For each request the first one of its session; sessions that wait for each other are one: int64 (n,)."""
    _, first, group = np.unique(requests["session"], return_index=True, return_inverse=True)
    first = first.astype(np.int64)
    followers = np.flatnonzero(requests["predecessor"] >= 0)
    own, leader = group[followers], group[requests["predecessor"][followers]]
    while (first[own] != first[leader]).any():
        earlier = np.minimum(first[own], first[leader])
        np.minimum.at(first, own, earlier)
        np.minimum.at(first, leader, earlier)
    named: Ints = first[group]
    return named


def _order(nominal: Ints, moves: NDArray[np.bool_]) -> Ints:
    """Which request each row has afterwards: those that may move are in the order of their times: int64 (n,)."""
    source = np.arange(len(nominal))
    rows = np.flatnonzero(moves)
    source[rows] = rows[np.argsort(nominal[rows], kind="stable")]
    return source


def _renumbered(workload: Workload, requests: Table, source: Ints, number: Ints) -> Workload:
    """The workload with the requests in another order, and links and nodes that say so."""
    lengths, starts = requests["path_nodes"][source].astype(np.int64), requests["path_start"][source].astype(np.int64)
    requests = requests[source]
    follows = requests["predecessor"] >= 0
    requests["predecessor"][follows] = number[requests["predecessor"][follows]]
    link_successors(requests)
    ends = np.cumsum(lengths)
    requests["path_start"] = ends - lengths
    paths = workload.paths[np.repeat(starts - ends + lengths, lengths) + np.arange(lengths.sum())]
    nodes = workload.nodes.copy()
    nodes["first_request"] = len(source)
    np.minimum.at(nodes["first_request"], paths, np.repeat(np.arange(len(source)), lengths).astype(np.int32))
    return replace(workload, requests=requests, nodes=nodes, paths=paths)


def _forget_faults(tables: Tables) -> None:
    """Faults to come are not known; those in progress end when they would."""
    at, workers = int(tables["clock"]["next_fault"][0]), tables["workers"]
    ends = {(RETURN, int(w)) for w in np.flatnonzero(workers["up"] == 0)}
    ends |= {(RECOVER, int(w)) for w in np.flatnonzero(workers["current_cost"] != workers["cost"])}
    kept = list(range(at))
    for row in range(at, len(tables["faults"])):
        end = int(tables["faults"]["kind"][row]), int(tables["faults"]["worker"][row])
        if end in ends:
            ends.remove(end)
            kept.append(row)
    tables["faults"] = tables["faults"][kept].astype(TABLES["faults"])
    tables["config"] = tables["config"].copy()
    tables["config"]["n_faults"] = len(kept)
