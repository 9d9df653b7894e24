"""What holds on every workload: invariants, the same bits from the same seed and from copies, times without stops."""

from __future__ import annotations

import dataclasses
import pickle
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kvgym.sim import EVICTORS, RULES, Simulator
from tests.often import diagonals, examples
from tests.reference import RefRequest
from tests.sim import invariants
from tests.sim.cases import Case, bushy_case, random_case
from tests.sim.compare import iterations, play, records, target
from tests.sim.moving_cases import moving_case

MOVING = (
    *("lru", "lru_node", "random", "rlt", "rlt_code", "belady", "fifo", "slru", "ghost_slru", "workload_aware"),
    *("arc", "s3_fifo", "lhd", "continuum"),
)

MOST_DECISIONS = 8  # of one allocation with quantum "leaf" (rule D6)

cases = st.builds(
    random_case,
    st.integers(0, 2**32),
    st.sampled_from(EVICTORS),
    st.sampled_from(["mixed", "prefill_first"]),
    st.sampled_from([1, 2, 16]),
    st.just("agent"),
)


def columns(simulator: Simulator) -> dict[str, list[Any]]:
    """All tables as Python values (there may be anything between the fields of a row)."""
    return {name: table.tolist() for name, table in simulator.tables.items()}


def advance_to(simulator: Simulator, case: Case, decisions: int) -> None:
    """Takes this many decisions, and stops at the next one or at the end."""
    while (decision := simulator.advance()).kind == "ROUTE" and decisions > 0:
        simulator.route(target(simulator, case, decision.request))
        decisions -= 1


def check_end(simulator: Simulator, case: Case) -> None:
    """Everything has finished or was refused, once, and nothing is left but caches."""
    workers = simulator.tables["workers"]
    assert (workers["free"] + workers["evictable"] == workers["kv_pages"]).all()
    assert not workers["n_running"].any() and not workers["n_queued"].any()
    assert simulator.tables["clock"]["n_transfers"] == 0
    for name in (
        "n_fetching",
        "inflight",
        "waiting",
        "prefill_estimate",
        "active_tokens",
        "queued_tokens",
        "reserved",
        "wanted",
    ):
        assert not workers[name].any(), name
    # Every request finished exactly once, in the order of its times, or was refused.
    progress = simulator.tables["progress"]
    refused = progress["refused_ps"] >= 0
    finished = simulator.tables["finished"][: simulator.tables["clock"]["n_finished"][0]]
    assert sorted(finished.tolist()) == np.flatnonzero(~refused).tolist()
    assert ((progress["finish_ps"] < 0) == refused).all() and ((progress["worker"] < 0) == refused).all()
    assert (progress["refused_ps"] >= progress["arrived_ps"])[refused].all()
    served = progress[~refused]
    outputs = np.array([len(request.output) for request in case.requests])
    assert (served["emitted"] == outputs[~refused]).all() and (progress["emitted"] < outputs)[refused].all()
    assert (served["arrived_ps"] <= served["admitted_ps"]).all()
    assert (served["admitted_ps"] < served["first_token_ps"]).all()
    assert (served["first_token_ps"] <= served["finish_ps"]).all()
    left = np.where(refused, progress["refused_ps"], progress["finish_ps"])
    for q, request in enumerate(case.requests):
        if request.predecessor >= 0:
            assert progress["arrived_ps"][q] == left[request.predecessor] + request.think_ps


@pytest.mark.parametrize(("evictor", "schedule"), diagonals(EVICTORS, ["mixed", "prefill_first"], share=2))
@examples(10)
@given(seed=st.integers(0, 2**32), page_size=st.sampled_from([1, 2, 16]))
def test_invariants(evictor, schedule, seed, page_size):
    case = random_case(seed, evictor, schedule, page_size, "agent")
    simulator = case.simulator()
    while (decision := simulator.advance()).kind == "ROUTE":
        invariants.check(simulator)
        simulator.route(case.routes[decision.request])
    invariants.check(simulator)
    check_end(simulator, case)


@pytest.mark.parametrize("schedule", ["mixed", "prefill_first"])
@pytest.mark.parametrize("slots", [0, 2, 16])
@examples(20)
@given(
    seed=st.integers(0, 2**32),
    page_size=st.sampled_from([1, 2, 16]),
    quantum=st.sampled_from(["leaf", 1]),
    chance=st.randoms(use_true_random=False),
)
def test_invariants_where_an_agent_evicts(slots, schedule, seed, page_size, quantum, chance):
    case = random_case(seed, "agent", schedule, page_size, "agent")
    simulator = dataclasses.replace(case, candidates=slots, quantum=quantum).simulator()
    while (decision := simulator.advance()).kind != "DONE":
        invariants.check(simulator)
        if decision.kind == "ROUTE":
            simulator.route(case.routes[decision.request])
        elif slots == 0:
            simulator.evict(chance.choice(RULES))
        else:
            simulator.evict(chance.choice(np.flatnonzero(simulator.candidates()["valid"]).tolist()))
    invariants.check(simulator)
    check_end(simulator, case)


def shortest_tail(table: NDArray[Any], chance: random.Random) -> int:
    """The slot whose choice frees the fewest pages."""
    return int(np.where(table["valid"], table["tail_pages"], np.inf).argmin())


def any_slot(table: NDArray[Any], chance: random.Random) -> int:
    """A slot with a leaf in it."""
    return chance.choice(np.flatnonzero(table["valid"]).tolist())


@pytest.mark.parametrize(("slots", "quantum"), [(0, "leaf"), (4, "leaf"), (16, "leaf"), (4, 1)])
@pytest.mark.parametrize("choose", [any_slot, shortest_tail])
@examples(20)
@given(
    seed=st.integers(0, 2**32),
    schedule=st.sampled_from(["mixed", "prefill_first"]),
    base=st.sampled_from([bushy_case, random_case]),
    chance=st.randoms(use_true_random=False),
)
def test_decisions_of_an_allocation(slots, quantum, choose, seed, schedule, base, chance):
    """At most so many, each for one tail, and all that is wanted is gone after them; with quantum 1 one a page."""
    case = moving_case(seed, "agent", schedule, base=base, router="agent", candidates=slots, quantum=quantum)
    simulator = case.simulator()
    wanted, taken, asker = 0, 0, None  # pages that the allocation in progress still wants, decisions it has taken
    while (decision := simulator.advance()).kind != "DONE":
        if decision.kind == "ROUTE":
            assert wanted == 0
            simulator.route(target(simulator, case, decision.request))
            continue
        worker = simulator.tables["workers"][decision.worker : decision.worker + 1]
        evicted = int(worker["evicted"][0])
        if wanted == 0:
            wanted, taken, asker = int(worker["wanted"][0]), 0, decision
        assert (decision, wanted) == (asker, int(worker["wanted"][0]))
        most = 1 if slots == 0 else wanted + taken if quantum == 1 else MOST_DECISIONS
        assert worker["decisions_left"][0] == min(wanted, most - taken) >= 1
        taken += 1
        if slots == 0:
            simulator.evict(chance.choice([rule for rule in RULES if rule != "lru_node"]))  # which may free more
            gone = wanted
        else:
            table = simulator.candidates()
            slot = choose(table, chance)
            simulator.evict(slot)
            tail = 1 if quantum == 1 else int(table["tail_pages"][slot])
            gone = wanted if taken == most else min(wanted, tail)
        assert worker["evicted"][0] == evicted + gone
        wanted -= gone
    assert wanted == 0


@pytest.mark.parametrize(("evictor", "schedule"), diagonals(MOVING, ["mixed", "prefill_first"], share=2))
@examples(20)
@given(seed=st.integers(0, 2**32))
def test_invariants_where_pages_move_and_workers_fail(evictor, schedule, seed):
    case = moving_case(seed, evictor, schedule, router="agent")
    simulator = case.simulator()
    while (decision := simulator.advance()).kind == "ROUTE":
        invariants.check(simulator)
        simulator.route(target(simulator, case, decision.request))
    invariants.check(simulator)
    check_end(simulator, case)


@pytest.mark.slow
@pytest.mark.parametrize("slots", [0, 4, 16])
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    schedule=st.sampled_from(["mixed", "prefill_first"]),
    quantum=st.sampled_from(["leaf", 1]),
    chance=st.randoms(use_true_random=False),
)
def test_invariants_where_an_agent_evicts_for_transfers_too(slots, seed, schedule, quantum, chance):
    case = moving_case(seed, "agent", schedule, router="agent", candidates=slots, quantum=quantum)
    simulator = case.simulator()
    while (decision := simulator.advance()).kind != "DONE":
        invariants.check(simulator)
        if decision.kind == "ROUTE":
            simulator.route(target(simulator, case, decision.request))
        elif slots == 0:
            simulator.evict(chance.choice(RULES))
        else:
            simulator.evict(chance.choice(np.flatnonzero(simulator.candidates()["valid"]).tolist()))
    invariants.check(simulator)
    check_end(simulator, case)


@examples(30)
@given(case=cases)
def test_same_seed_same_bits(case):
    first, second = case.simulator(), case.simulator()
    assert play(first, case) == play(second, case)
    assert columns(first) == columns(second)
    # A simulator that has been used starts anew.
    first.reset(case.workload(), case.seed)
    play(first, case)
    assert columns(first) == columns(second)


@examples(30)
@given(case=cases, share=st.floats(0, 1))
def test_clone_and_pickle_go_on_identically(case, share):
    plain = case.simulator()
    expected, _ = play(plain, case)
    original = case.simulator()
    stop = int(share * len(expected))
    advance_to(original, case, stop)
    before = columns(original)
    copies = [original.clone(), pickle.loads(pickle.dumps(original))]
    for copy in copies:
        assert play(copy, case)[0] == expected[stop:]
        assert columns(copy) == columns(plain)
        assert columns(original) == before
    assert play(original, case)[0] == expected[stop:]
    assert columns(original) == columns(plain)


@examples(30)
@given(case=cases, seed=st.integers(0, 2**32), extra=st.integers(1, 30))
def test_stops_change_no_time(case, seed, extra):
    """However often the clock stops for the arrivals of another worker, runs of iterations end when they did."""
    rng = random.Random(seed)
    if case.evictor == "belady":
        case.evictor = "lru"  # the oracle looks at the arrivals of all workers
    # Open loop only: the others have no arrival time to be sorted by.
    case.requests = [request for request in case.requests if request.predecessor < 0]
    alone = case.simulator()
    play(alone, case)
    ends = [end for worker in iterations(alone) for _, end, *_ in worker]
    times = [rng.choice([rng.randint(0, max(ends)), rng.choice(ends)]) for _ in range(extra)]
    guests = [(RefRequest((5,), (6,), time), len(case.workers)) for time in times]
    both = sorted([*zip(case.requests, case.routes, strict=False), *guests], key=lambda entry: entry[0].arrival_ps)
    busier = dataclasses.replace(
        case,
        requests=[request for request, _ in both],
        workers=[*case.workers, case.workers[0]],
        routes=[worker for _, worker in both],
    )
    simulator = busier.simulator()
    play(simulator, busier)
    residents = [record for record in records(simulator) if record[0] < len(case.workers)]
    assert residents == records(alone)
    assert iterations(simulator)[:-1] == iterations(alone)
