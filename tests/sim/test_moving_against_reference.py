"""The compiled simulator agrees exactly with the reference where pages move and workers fail."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from kvgym.sim import EVICTORS, RULES
from tests.sim.cases import bushy_case, long_case
from tests.sim.compare import assert_agree
from tests.sim.moving_cases import moving_case

SCHEDULES = ("mixed", "prefill_first")
CASES = 60


def agree(seed, evictor, schedule, **changes):
    """Plays a random case on both; what happened."""
    case = moving_case(seed, evictor, schedule, **changes)
    try:
        return assert_agree(case)
    except Exception as error:
        error.add_note(f"moving_case({seed}, {evictor!r}, {schedule!r}, {changes})")
        raise


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("what", ["moves", "fails", "both"])
def test_300_cases(what, schedule):
    found: Counter[str] = Counter()
    for seed in range(300):
        evictor = EVICTORS[seed % 6]
        found += agree(seed, evictor, schedule, moves=what != "fails", fails=what != "moves")
    assert what == "fails" or (found["transfers"] > 500 and found["given_up"] > 50), found
    assert what == "moves" or (found["returns"] > 500 and found["lost"] > 1000), found
    assert found["preemptions"] > 50 and found["wait_pages"] > 100


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_overlap_and_costs_per_page(schedule):
    found: Counter[str] = Counter()
    for seed in range(200):
        found += agree(seed, EVICTORS[seed % len(EVICTORS)], schedule, fails=seed % 3 > 0, overlaps=True)
    assert found["transfers"] > 300 and found["given_up"] > 30 and found["returns"] > 200, found
    assert found["preemptions"] > 30 and found["wait_pages"] > 50, found


@pytest.mark.parametrize("evictor", EVICTORS[6:])
def test_evictors_that_remember(evictor):
    found: Counter[str] = Counter()
    for seed in range(CASES // 3):
        found += agree(seed, evictor, SCHEDULES[seed % 2])
    assert found["transfers"] > 15 and found["returns"] > 15


@pytest.mark.slow
@pytest.mark.parametrize("evictor", EVICTORS[6:])
def test_evictors_that_remember_much(evictor):
    found: Counter[str] = Counter()
    for seed in range(CASES // 3):
        found += agree(seed, evictor, SCHEDULES[seed % 2], base=long_case, moves=seed % 3 > 0)
    assert found["transfers"] > 150 and found["returns"] > 75


@pytest.mark.parametrize("quantum", ["leaf", 1])
def test_agent_that_chooses_leaves(quantum):
    found: Counter[str] = Counter()
    for seed in range(CASES):
        found += agree(seed, "agent", SCHEDULES[seed % 2], candidates=(2, 4, 16)[seed // 3 % 3], quantum=quantum)
    assert found["decisions"] > 500 and found["transfers"] > 50 and found["returns"] > 50


def test_agent_that_leaves_pages_to_lru():
    found: Counter[str] = Counter()
    for seed in range(CASES):
        slots = (2, 4, 16)[seed // 3 % 3]
        found += agree(seed, "agent", SCHEDULES[seed % 2], base=bushy_case, candidates=slots)
    assert found["left_to_lru"] > 50 and found["transfers"] > 50 and found["returns"] > 50, found


def test_agent_that_names_rules():
    found: Counter[str] = Counter()
    for seed in range(CASES):
        rng = random.Random(seed)
        rules = [rng.choice((None, None, *RULES)) for _ in range(45)]
        found += agree(seed, "agent", SCHEDULES[seed % 2], candidates=0, rules=rules, router="agent")
    assert found["transfers"] > 50 and found["returns"] > 50


def test_pages_of_a_run_are_older_than_a_transfer_that_ends_in_it():
    # Once they were entered when the run ended, after the tick of the transfer's end: fifo took another leaf.
    assert agree(1364, "fifo", "mixed", fails=False)["transfers"] > 0
