"""Runs a case on the simulator and on the reference, asserts that they agree in everything, counts what happened."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.sim import RULES, Decision, Simulator
from kvgym.sim.base.codes import WAIT_REASONS
from tests.reference import Question, RefResult, least_loaded, prefix_affinity, round_robin, simulate
from tests.sim import invariants
from tests.sim.cases import SECONDS_PER_PS, Case

ROUTERS = {"round_robin": round_robin, "least_loaded": least_loaded, "prefix_affinity": prefix_affinity}
RECORD_FIELDS = {
    "worker": "worker",
    "arrived_ps": "arrival_ps",
    "admitted_ps": "admitted_ps",
    "first_token_ps": "first_token_ps",
    "finish_ps": "finish_ps",
    "hit_tokens": "hit_tokens",
    "preemptions": "preemptions",
    "returns": "returns",
    "fetched_tokens": "fetched_tokens",
}
TOTAL_FIELDS = ("loaded", "hit", "evicted", "recomputed", "iterations", "busy_ps", "fetched", "lost")

Decisions = list[tuple[int, int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
Offers = list[tuple[tuple[bool, ...], tuple[tuple[int, int], ...]]]
Draws = list[list[tuple[int, tuple[int, int]]]]


class Evicting:
    """An agent that takes EVICT decisions by chance, and writes down what it was shown; made twice, it does the same.

    Half of the choices fall on the first of a half, so that both rules that are there, `lru` and `rlt`, are followed.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.random = random.Random(case.seed)
        self.seen: list[tuple[Any, ...]] = []
        self.left_to_lru = 0  # pages that the last decisions of the reference's allocations left

    def look(self, simulator: Simulator, target: int) -> None:
        """A ROUTE decision is due, and will be taken."""

    def choose(self, filled: list[int]) -> int | str:
        """A slot that is not empty, or the name of a rule."""
        if self.case.candidates == 0:
            return self.random.choice(RULES)
        firsts = [slot for slot in (0, self.case.candidates // 2) if slot in filled]
        return self.random.choice(firsts if self.random.random() < 0.5 else filled)

    def decide(self, simulator: Simulator, decision: Decision) -> int | str:
        """For the simulator."""
        tables = simulator.tables
        worker = tables["workers"][decision.worker]
        slots: list[tuple[Any, ...] | None] = []
        if self.case.candidates > 0:
            rows = tables["rows"][tables["candidates"]]
            pages = tables["nodes"]["start_page"][rows["node"]] + rows["cached"] - 1
            names = zip(tables["nodes"]["first_request"][rows["node"]].tolist(), pages.tolist(), strict=True)
            table = zip(names, simulator.candidates().tolist(), strict=True)
            slots = [(name, *row[1:]) if row[0] else None for name, row in table]
        free, evictable, marked, pages = (int(worker[name]) for name in ("free", "evictable", "marked", "kv_pages"))
        resident = int(worker["loaded"] + worker["fetched"] - worker["evicted"] - worker["lost"])
        # Pages of a run of iterations in progress enter when it ends, but no EVICT decision falls into one.
        due = (int(worker["wanted"]), int(worker["decisions_left"]))
        amounts = (*due, free, pages - free - evictable, resident - marked)
        now = int(tables["clock"]["now_ps"][0])
        self.seen.append((now, decision.request, decision.worker, *amounts, slots))
        return self.choose([i for i, slot in enumerate(slots) if slot is not None])

    def answer(self, question: Question) -> int | str:
        """For the reference."""
        due = (question.wanted, question.decisions_left)
        amounts = (*due, question.free, question.locked, question.unmarked)
        slots = [
            None
            if slot is None
            else (
                slot.page,
                slot.drawn,
                slot.marked,
                slot.tail_pages,
                slot.depth,
                slot.recompute_s,
                slot.idle_ps * 1e-12,
                slot.age_ps * 1e-12,
                slot.hits,
                slot.gaps_us * 1e-6 / slot.hits if slot.hits else 0.0,
                slot.sessions,
                slot.siblings,
                slot.session_idle_ps * 1e-12,
                slot.session_turns,
            )
            for slot in question.slots
        ]
        self.seen.append((question.time_ps, question.request, question.worker, *amounts, slots))
        choice = self.choose([i for i, slot in enumerate(slots) if slot is not None])
        if slots and question.decisions_left == 1:
            self.left_to_lru += max(0, question.wanted - question.slots[choice].tail_pages)
        return choice


def refuses(simulator: Simulator, case: Case, q: int) -> bool:
    """Whether a case refuses a request at the decision that is due."""
    return bool(case.refuse.get(q) == simulator.tables["progress"]["returns"][q])


def target(simulator: Simulator, case: Case, q: int) -> int:
    """Where a case sends a request: on from there after each crash, and to a worker that is up."""
    up = simulator.up()
    worker = case.routes[q] + int(simulator.tables["progress"]["returns"][q])
    while not up[worker % len(up)]:
        worker += 1
    return worker % len(up)


def play(simulator: Simulator, case: Case, agent: Evicting | None = None) -> tuple[Decisions, Offers]:
    """Runs to the end; what the router could see at each decision if it was asked, and what could be fetched."""
    decisions: Decisions = []
    offers: Offers = []
    workers = range(len(simulator.cluster))
    rules = case.rules or [None] * len(case.requests)
    agent = agent or Evicting(case)
    while (decision := simulator.advance()).kind != "DONE":
        q = decision.request
        if decision.kind == "EVICT":
            simulator.evict(agent.decide(simulator, decision))
            continue
        loads = [simulator.load(w) for w in workers]
        hits = tuple(simulator.visible_hit(w, q) for w in workers)
        now = int(simulator.tables["clock"]["now_ps"][0])
        decisions.append((q, now, hits, tuple(queued for queued, _ in loads), tuple(running for _, running in loads)))
        fetch = tuple((tokens, round(s * 1e12)) for tokens, s in (simulator.offer(w, q) for w in workers))
        offers.append((tuple(simulator.up().tolist()), fetch))
        if not isinstance(case.decision_ps, int):
            simulator.charge(case.decision_ps[(len(decisions) - 1) % len(case.decision_ps)] * SECONDS_PER_PS)
        if refuses(simulator, case, q):
            simulator.refuse()
            continue
        worker = target(simulator, case, q)
        agent.look(simulator, worker)
        simulator.route(worker, rules[q])
    return decisions, offers


def traffic(simulator: Simulator) -> dict[tuple[int, int], tuple[int, int, int, int]]:
    """Per link with something in it what transfers moved, in whole numbers."""
    pairs = {}
    for i, row in enumerate(simulator.tables["traffic"].tolist()):
        transfers, tokens, ps, given_up = row
        if transfers or given_up:
            pairs[divmod(i, len(simulator.cluster))] = (transfers, tokens, ps, given_up)
    return pairs


def records(simulator: Simulator) -> list[tuple[int, ...]]:
    """Integer records of all requests; the hit of one that was never admitted is -1, as the reference has it."""
    progress = simulator.tables["progress"].copy()
    progress["hit_tokens"][progress["admitted_ps"] < 0] = -1
    return list(zip(*(progress[name].tolist() for name in RECORD_FIELDS), strict=True))


def refused(simulator: Simulator) -> set[int]:
    """The requests that were refused."""
    return set(np.flatnonzero(simulator.tables["progress"]["refused_ps"] >= 0).tolist())


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
    names = ("worker", "burst", "start_ps", "first_ps", "slope_ps", "prefill_tokens", "chunks", "decodes", "kv_tokens")
    for row in zip(*(log(simulator)[name].tolist() for name in names), strict=True):
        worker, run, start, duration, slope, prefill_tokens, chunks, decodes, kv = row
        for _ in range(run):
            out[worker].append((start, start + duration, prefill_tokens, chunks, decodes, kv))
            start, duration, kv = start + duration, duration + slope, kv + decodes
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
        worker = r % len(tables["workers"]) if shared else tables["progress"]["worker"][node["first_request"]]
        pages = range(int(node["start_page"]), int(node["start_page"] + row["cached"]))
        out[worker] |= {(int(node["first_request"]), page) for page in pages}
    return out


def unlocked(simulator: Simulator) -> list[set[tuple[int, int]]]:
    """Per worker its unlocked pages as (lowest request, page number): pages of a run in progress enter at its end."""
    nodes = simulator.tables["nodes"]
    out = []
    for w in range(len(simulator.cluster)):
        recount = invariants.Recount(simulator, w)
        pages = {(int(row["node"]), page) for _, row in recount.cache_rows() for page in range(row["cached"])}
        free = {(v, page) for v, page in pages if recount.locks[v, page] == 0}
        out.append({(int(nodes["first_request"][v]), int(nodes["start_page"][v]) + page) for v, page in free})
    return out


def reference(case: Case, replay: Draws | None, agent: Evicting | None = None) -> RefResult:
    """What the reference says.

    It asserts its own invariants in a quarter of the cases, for they cost almost as much as all the rest; in all cases
    it does in tests/reference.
    """
    random_evictor = replay is not None and case.evictor in ("random", "rlt", "rlt_code", "agent")
    asked = {}
    if case.evictor == "agent":
        evicting = agent or Evicting(case)
        asked = {
            "evict": evicting.answer,
            "candidates": case.candidates,
            "quantum": case.quantum,
            "offer": case.offer,
            "rules": case.rules or None,
        }
    logs: list[Iterator[tuple[int, tuple[int, int]]]] | None = (
        [iter(rows) for rows in replay] if random_evictor else None
    )
    return simulate(
        case.requests,
        case.reference_workers(),
        case.reference_engine(),
        case.evictor,
        ROUTERS.get(case.router, case.routes),
        draws=logs,
        history_pages=case.history_pages,
        speculative=case.speculative,
        check=case.seed % 4 == 0,
        network=case.reference_network(),
        faults=case.reference_faults(),
        classes=case.classes,
        refuse=case.refuse,
        decision_ps=case.decision_ps,
        warmup=case.warmup,
        **asked,
    )


def assert_agree(case: Case) -> Counter[str]:
    """Both simulators give the same; returns how often the interesting things happened."""
    simulator = case.simulator()
    mine, others = Evicting(case), Evicting(case)
    decisions, offers = play(simulator, case, mine)
    replay = draws(simulator)
    expected = reference(case, replay, others)
    for shown, offered in zip(mine.seen, others.seen, strict=False):
        assert shown == offered
    assert len(mine.seen) == len(others.seen)
    if case.router == "agent":
        assert decisions == expected.visible
        assert offers == list(zip(expected.up, expected.offers, strict=True))
    names = RECORD_FIELDS.values()
    assert records(simulator) == [tuple(getattr(record, name) for name in names) for record in expected.records]
    assert iterations(simulator) == expected.iterations
    assert traffic(simulator) == expected.links
    assert totals(simulator) == [tuple(getattr(row, name) for name in TOTAL_FIELDS) for row in expected.totals]
    assert resident(simulator) == expected.resident
    assert refused(simulator) == expected.refusals.keys()
    asked = Counter(decisions=len(mine.seen), left_to_lru=others.left_to_lru)
    return count(simulator, expected, replay) + asked


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
        runs=int((rows["burst"] > 1).sum()),
        arrivals_at_an_end=len({record.arrival_ps for record in result.records} & set(ends)),
        ends_together=len(ends) - len(set(ends)),
        draws=sum(len(log_) for log_ in replay),
        returns=sum(record.returns for record in result.records),
        fetched=sum(row.fetched for row in result.totals),
        lost=sum(row.lost for row in result.totals),
        refused=len(result.refusals),
        transfers=sum(link[0] for link in result.links.values()),
        given_up=sum(link[3] for link in result.links.values()),
    )
    found.update({f"wait_{reason}": number for reason, number in reasons.items() if reason})
    return found
