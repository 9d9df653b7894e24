"""The compiled simulator agrees exactly with the reference where decisions take time (docs/semantics.md#d1-time)."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import pytest

from kvgym.sim import EVICTORS
from tests.sim import compare
from tests.sim.cases import Case, random_case
from tests.sim.class_cases import class_case
from tests.sim.moving_cases import PAGE_SIZES, moving_case

CASES = 25
SCHEDULES = ("mixed", "prefill_first")
NAMES = (*EVICTORS, "agent")


def plain_case(seed, evictor, schedule):
    """Routing alone: bursts, closed loops, sessions."""
    return random_case(seed, evictor, schedule, PAGE_SIZES[seed % 3])


def open_case(seed, evictor, schedule):
    """Nothing is decided at the same time as something else: all arrivals are known and differ."""
    case = plain_case(seed, evictor, schedule)
    requests = [
        dataclasses.replace(request, arrival_ps=(request.arrival_ps or 0) + q, predecessor=-1, think_ps=0)
        for q, request in enumerate(sorted(case.requests, key=lambda request: request.arrival_ps or 0))
    ]
    return dataclasses.replace(case, requests=requests, router="agent")


def timed(case: Case, seed: int) -> Case:
    """The case with decisions that take from nothing to a few iterations, often on the grid on which arrivals come."""
    rng = random.Random(seed + 7_000_000)
    step = 10 if case.workers[0].cost.g_ps(1)[1] < 1_000_000 else 1_000_000_000
    times = [step, 2 * step, 10 * step, 30 * step, rng.randrange(1, 10 * step)]
    if case.router == "agent" and rng.random() < 0.6:
        return dataclasses.replace(case, decision_ps=tuple(rng.choice([0, 0, *times]) for _ in range(7)))
    return dataclasses.replace(case, decision_ps=rng.choice(times))


def agree(seed, make, warms=False):
    """Plays a random case on both; what happened."""
    evictor, schedule = NAMES[seed % len(NAMES)], SCHEDULES[seed // 2 % 2]
    case = make(seed, evictor, schedule)
    if warms:
        # The router of the warm-up is the same rule, which has no turn of its own.
        warmup = 1 + seed % (len(case.requests) - 1)
        case = dataclasses.replace(case, router="least_loaded", refuse={}, warmup=warmup)
    try:
        return compare.assert_agree(timed(case, seed))
    except Exception as error:
        error.add_note(f"agree({seed}, {make.__name__}, warms={warms})")
        raise


def agree_on(cases, make, warms=False):
    """What happened in so many cases."""
    return sum((agree(seed, make, warms) for seed in range(cases)), Counter())


MANY = pytest.mark.parametrize("cases", [CASES, pytest.param(8 * CASES, marks=pytest.mark.slow)])


@MANY
def test_routing(cases):
    found = agree_on(cases, plain_case)
    assert min(found["runs"], found["wait_places"], found["evicted"]) > 5 * cases
    assert min(found["arrivals_at_an_end"], found["ends_together"]) > 2 * cases
    assert found["preemptions"] > cases // 2


@MANY
def test_transfers_and_faults(cases):
    found = agree_on(cases, moving_case)
    assert min(found["transfers"], found["returns"]) > 2 * cases


@MANY
def test_classes_and_refusals(cases):
    found = agree_on(cases, class_case)
    assert min(found["refused"], found["returns"]) > cases // 2


@MANY
def test_warm_up(cases):
    assert agree_on(cases, moving_case, warms=True)["returns"] > 2 * cases


@pytest.mark.parametrize("seed", range(6))
def test_decisions_of_no_time_change_nothing(seed):
    case = open_case(seed, NAMES[seed], SCHEDULES[seed % 2])
    played = []
    for decision_ps in (0, (0,)):
        simulator = dataclasses.replace(case, decision_ps=decision_ps).simulator()
        decisions = compare.play(simulator, case)
        played.append((decisions, compare.records(simulator), compare.iterations(simulator)))
    assert played[0] == played[1]
    compare.assert_agree(dataclasses.replace(case, decision_ps=(0,)))
