"""Runs a case on the simulator and on the reference, asserts that they agree in everything, counts what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.sim import Simulator
from kvgym.sim.kernels.rules import WAIT_REASONS
from tests.reference import RefResult, least_loaded, prefix_affinity, round_robin, simulate
from tests.sim.cases import Case

RULES = {"round_robin": round_robin, "least_loaded": least_loaded, "prefix_affinity": prefix_affinity}
RECORD_FIELDS = {
    "worker": "worker",
    "arrived_ps": "arrival_ps",
    "admitted_ps": "admitted_ps",
    "first_token_ps": "first_token_ps",
    "finish_ps": "finish_ps",
    "hit_tokens": "hit_tokens",
    "preemptions": "preemptions",
}
TOTAL_FIELDS = ("loaded", "hit", "evicted", "recomputed", "iterations", "busy_ps")

Decisions = list[tuple[int, int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
Draws = list[list[tuple[int, tuple[int, int]]]]


def play(simulator: Simulator, routes: list[int]) -> Decisions:
    """Runs to the end; what the router could see at each decision if it was asked."""
    decisions: Decisions = []
    workers = range(len(simulator.cluster))
    while (decision := simulator.advance()).kind == "ROUTE":
        q = decision.request
        loads = [simulator.load(w) for w in workers]
        hits = tuple(simulator.visible_hit(w, q) for w in workers)
        now = int(simulator.tables["clock"]["now_ps"][0])
        decisions.append((q, now, hits, tuple(queued for queued, _ in loads), tuple(running for _, running in loads)))
        simulator.route(routes[q])
    assert decision.kind == "DONE"
    return decisions


def records(simulator: Simulator) -> list[tuple[int, ...]]:
    """Integer records of all requests."""
    progress = simulator.tables["progress"]
    return list(zip(*(progress[name].tolist() for name in RECORD_FIELDS), strict=True))


def totals(simulator: Simulator) -> list[tuple[int, ...]]:
    """Integer totals of all workers."""
    workers = simulator.tables["workers"]
    return list(zip(*(workers[name].tolist() for name in TOTAL_FIELDS), strict=True))


def log(simulator: Simulator) -> NDArray[Any]:
    """The rows of the event log: one per run of iterations."""
    return simulator.tables["iterations"][: int(simulator.tables["clock"]["n_log"][0])]


def iterations(simulator: Simulator) -> list[list[tuple[int, ...]]]:
    """Per worker (start, end, P, N, B, KV) of each iteration, runs written out one by one in integers."""
    out: list[list[tuple[int, ...]]] = [[] for _ in simulator.cluster.workers]
    for row in log(simulator):
        start, duration, kv = int(row["start_ps"]), int(row["first_ps"]), int(row["kv_tokens"])
        for _ in range(int(row["run"])):
            mix = (int(row["prefill_tokens"]), int(row["chunks"]), int(row["decodes"]))
            out[row["worker"]].append((start, start + duration, *mix, kv))
            start, duration, kv = start + duration, duration + int(row["slope_ps"]), kv + mix[2]
    return out


def draws(simulator: Simulator) -> Draws:
    """Per worker the draws as the reference replays them: (candidates, (request, page number))."""
    out: Draws = [[] for _ in simulator.cluster.workers]
    first_request = simulator.tables["nodes"]["first_request"]
    for row in simulator.draws().tolist():
        worker, candidates, index, node, page = row
        assert 0 <= index < candidates
        out[worker].append((candidates, (int(first_request[node]), page)))
    return out


def resident(simulator: Simulator) -> list[set[tuple[int, int]]]:
    """Per worker the pages in its tree as (lowest request whose path holds it, page number)."""
    tables = simulator.tables
    out: list[set[tuple[int, int]]] = [set() for _ in simulator.cluster.workers]
    n_shared = int(tables["config"]["n_shared"][0])
    for r, row in enumerate(tables["rows"]):
        node = tables["nodes"][row["node"]]
        shared = node["slot"] < n_shared
        worker = r // n_shared if shared else tables["progress"]["worker"][node["first_request"]]
        pages = range(int(node["start_page"]), int(node["start_page"] + row["cached"]))
        out[worker] |= {(int(node["first_request"]), page) for page in pages}
    return out


def reference(case: Case, replay: Draws | None, check: bool = True) -> RefResult:
    """What the reference says."""
    random_evictor = replay is not None and case.evictor in ("random", "rlt", "rlt_code")
    logs: list[Iterator[tuple[int, tuple[int, int]]]] | None = (
        [iter(rows) for rows in replay] if random_evictor else None
    )
    return simulate(
        case.requests,
        case.reference_workers(),
        case.reference_engine(),
        case.evictor,
        RULES.get(case.router, case.routes),
        draws=logs,
        history_pages=case.history_pages,
        check=check,
    )


def assert_agree(case: Case, check: bool = True) -> Counter[str]:
    """Both simulators give the same; returns how often the interesting things happened."""
    simulator = case.simulator()
    decisions = play(simulator, case.routes)
    replay = draws(simulator)
    expected = reference(case, replay, check)
    if case.router == "agent":
        assert decisions == expected.visible
    names = RECORD_FIELDS.values()
    assert records(simulator) == [tuple(getattr(record, name) for name in names) for record in expected.records]
    assert iterations(simulator) == expected.iterations
    assert totals(simulator) == [tuple(getattr(row, name) for name in TOTAL_FIELDS) for row in expected.totals]
    assert resident(simulator) == expected.resident
    return count(simulator, expected, replay)


def count(simulator: Simulator, result: RefResult, replay: Draws) -> Counter[str]:
    """What happened in a run."""
    rows = log(simulator)
    ends = [end for worker in result.iterations for _, end, *_ in worker]
    reasons = Counter(np.array(WAIT_REASONS)[rows["wait_reason"]].tolist())
    found = Counter(
        preemptions=sum(record.preemptions for record in result.records),
        evicted=sum(row.evicted for row in result.totals),
        hits=sum(row.hit for row in result.totals),
        rewritten=sum(row.recomputed - row.found for row in result.totals),
        computed_twice=sum(row.found for row in result.totals),
        iterations=len(ends),
        runs=int((rows["run"] > 1).sum()),
        arrivals_at_an_end=len({record.arrival_ps for record in result.records} & set(ends)),
        ends_together=len(ends) - len(set(ends)),
        draws=sum(len(log_) for log_ in replay),
    )
    found.update({f"wait_{reason}": number for reason, number in reasons.items() if reason})
    return found
