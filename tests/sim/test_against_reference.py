"""The compiled simulator agrees exactly with the plain-Python reference: times, caches, counts, draws, views."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from kvgym.cluster import EngineSpec, IterationCost, WorkerSpec
from kvgym.sim import EVICTORS, RULES
from kvgym.workload import Workload, gsp, multi_turn
from tests import often
from tests.reference import RefRequest
from tests.sim.cases import Case, bushy_case, long_case, random_case, slow_case
from tests.sim.compare import assert_agree

CASES = 100
EACH = pytest.mark.parametrize("cases", [CASES * 2 // 5, pytest.param(CASES, marks=pytest.mark.slow)])
"""Some of the cases in the tests of every day, all of them in the slow ones."""
SCHEDULES = ("mixed", "prefill_first")
PAGE_SIZES = (1, 2, 16)
QUEUES = [name for name in EVICTORS[6:] if name not in RULES]  # of docs/semantics.md#c8-queues

# What 200 cases of one evictor and schedule have to bring about at least, so that these tests can't become empty. The
# names are those of `compare.count`, the numbers half of what the seeds give.
AT_LEAST = {
    "preemptions": (250, 100),  # of the schedules mixed and prefill_first
    "evicted": (5000, 5000),
    "hits": (8000, 8000),
    "rewritten": (900, 900),
    "computed_twice": (900, 900),
    "iterations": (19_000, 23_000),
    "runs": (1300, 1500),
    "arrivals_at_an_end": (650, 650),
    "ends_together": (1000, 1000),
    "wait_pages": (280, 650),  # refused heads
    "wait_retry": (150, 750),
    "wait_prefill": (60, 2),
    "wait_preemption": (220, 0),
    "wait_places": (3500, 3500),
    "wait_budget": (2700, 2000),
}


def agree(seed, evictor, schedule, sizes=PAGE_SIZES, make=random_case, **changes):
    """Plays a random case on both; what happened."""
    case = dataclasses.replace(make(seed, evictor, schedule, sizes[seed % len(sizes)]), **changes)
    try:
        return assert_agree(case), case
    except Exception as error:
        error.add_note(f"{make.__name__}({seed}, {evictor!r}, {schedule!r}, {case.engine.page_size}), {changes}")
        raise


def too_few(found, schedule, cases):
    which = SCHEDULES.index(schedule)
    # Of a few cases some can do without what is rare.
    few = 1 if cases > CASES // 3 else 0.5
    return {name: found[name] for name, least in AT_LEAST.items() if found[name] < few * least[which] * cases // 200}


@EACH
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("evictor", EVICTORS[:6])
def test_random_cases(evictor, schedule, cases):
    found: Counter[str] = Counter()
    routers: Counter[tuple[str, str]] = Counter()
    for seed in range(cases):
        counts, case = agree(seed, evictor, schedule)
        found += counts
        routers[case.router, case.view()] += 1
    assert too_few(found, schedule, cases * 3 // 4) == {}
    assert (found["draws"] > 20 * cases) == (evictor in ("random", "rlt", "rlt_code"))
    assert len(routers) >= 10


KEYED = [evictor for evictor in EVICTORS[6:] if evictor != "tail_lru"]


@pytest.mark.parametrize(("evictor", "schedule"), often.diagonals(KEYED, SCHEDULES, share=2))
def test_keyed_evictors(evictor, schedule):
    found: Counter[str] = Counter()
    cases = CASES * 3 // 20
    for seed in range(cases):
        found += agree(seed, evictor, schedule)[0]
    assert too_few(found, schedule, cases * 3 // 4) == {}
    assert found["evicted"] > 10 * cases


@often.cases(CASES // 10)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_tail_lru(schedule, cases):
    """Only sessions of more than 3596 tokens have a tail that it lets go."""
    found: Counter[str] = Counter()
    for seed in range(cases):
        found += agree(seed, "tail_lru", schedule, sizes=(256, 512))[0]
    assert found["evicted"] > 10 * cases


@pytest.mark.parametrize("evictor", QUEUES)
def test_queues_after_a_while(evictor):
    found: Counter[str] = Counter()
    for seed in range(6):
        made = slow_case if evictor == "continuum" else long_case
        found += agree(seed, evictor, SCHEDULES[seed % 2], make=made)[0]
    assert found["evicted"] > 1000 and found["hits"] > 500


@pytest.mark.slow
@pytest.mark.parametrize("evictor", EVICTORS[6:])
def test_many_cases(evictor):
    for seed in range(60):
        agree(seed, evictor, SCHEDULES[seed // 2 % 2], make=(random_case, bushy_case, long_case, slow_case)[seed % 4])


@EACH
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("quantum", ["leaf", 1])
def test_agent_that_chooses_leaves(quantum, schedule, cases):
    found: Counter[str] = Counter()
    for seed in range(cases // 2):
        found += agree(seed, "agent", schedule, candidates=(2, 4, 16)[seed // 3 % 3], quantum=quantum)[0]
    assert too_few(found, schedule, cases // 4) == {}
    assert found["decisions"] > 12 * cases and found["draws"] > 15 * cases


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_agent_that_chooses_among_leaves_with_few_hits(schedule):
    found: Counter[str] = Counter()
    for seed in range(24):
        found += agree(seed, "agent", schedule, candidates=(4, 8)[seed % 2], offer="unhit")[0]
    assert found["decisions"] > 200


@EACH
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_agent_that_leaves_pages_to_lru(schedule, cases):
    found: Counter[str] = Counter()
    for seed in range(cases // 2):
        slots = (2, 4, 16)[seed // 3 % 3]
        found += agree(seed, "agent", schedule, make=bushy_case, candidates=slots)[0]
    assert 2 * found["left_to_lru"] > cases and found["decisions"] > 12 * cases


@EACH
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("named", ["when asked", "when routed"])
def test_agent_that_names_rules(named, schedule, cases):
    found: Counter[str] = Counter()
    for seed in range(cases // 2):
        rng = random.Random(seed)
        names = RULES if named == "when routed" else (None, None, "rlt", "gdsf")
        rules = [rng.choice(names) for _ in range(45)]
        found += agree(seed, "agent", schedule, candidates=0, rules=rules, router="agent")[0]
    assert too_few(found, schedule, cases // 4) == {}
    assert (found["decisions"] > 5 * cases) == (named == "when asked")


def reference_requests(workload: Workload) -> list[RefRequest]:
    """Tokens with which the reference sees the workload's pages; what is in no full page is private."""
    size, nodes = workload.page_size, workload.nodes
    first_page = np.cumsum(nodes["n_pages"]) - nodes["n_pages"]
    private = itertools.count(1)
    requests = []
    for row in workload.requests:
        path = workload.paths[row["path_start"] : row["path_start"] + row["path_nodes"]]
        pages = [int(first_page[v]) + page for v in path for page in range(nodes["n_pages"][v])]
        tokens = [page * size + i for page in pages for i in range(size)]
        while len(tokens) < row["prompt_tokens"] + row["output_tokens"]:
            tokens.append(-next(private))
        prompt, output = tuple(tokens[: row["prompt_tokens"]]), tuple(tokens[row["prompt_tokens"] :])
        start = int(row["arrival_ps"]) if row["predecessor"] < 0 else None
        closed = (int(row["predecessor"]), int(row["think_ps"]), int(row["session"]), int(row["turn"]))
        requests.append(RefRequest(prompt, output, start, *closed))
    return requests


@dataclass
class Made(Case):
    """A case whose workload exists as tables already."""

    made: Workload | None = None

    def workload(self) -> Workload:
        return self.made


GENERATED = {
    "gsp": lambda: gsp(1, 16, groups=6, prompts_per_group=8, lengths=(100, 300, 700), output_tokens=20, rate=60.0),
    "head of gsp": lambda: gsp(2, 1, groups=4, prompts_per_group=8, lengths=(40, 70), output_tokens=9, rate=90.0).head(
        20
    ),
    "multi_turn": lambda: multi_turn(
        3, 16, conversations=12, message_tokens=150, output_tokens=40, rate=20.0, system_tokens=50
    ),
}


@cache
def generated(name: str) -> tuple[Workload, list[RefRequest]]:
    workload = GENERATED[name]()
    return workload, reference_requests(workload)


@pytest.mark.parametrize("evictor", EVICTORS)
@pytest.mark.parametrize("name", GENERATED)
def test_generated_workloads(name, evictor):
    workload, requests = generated(name)
    need = max(-(-request.computed_tokens() // workload.page_size) for request in requests)
    cost = IterationCost(overhead_ms=2.0, c0=1.0, w=5.0, k=0.04, p=3.0, a_s=1e-5, a_kv=1e-4, c_b=0.01, c_n=0.02)
    case = Made(
        requests,
        [WorkerSpec(need + 20, cost), WorkerSpec(2 * need, cost)],
        EngineSpec(workload.page_size, chunk_tokens=128, max_running=16),
        evictor,
        "prefix_affinity",
        seed=EVICTORS.index(evictor),
        made=workload,
    )
    assert assert_agree(case)["evicted"] > 100
