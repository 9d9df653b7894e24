"""The view "speculative" against the reference where prompts in flight matter (docs/semantics.md#d2-speculative)."""

from __future__ import annotations

import dataclasses

import pytest

from tests.sim import compare
from tests.sim.cases import VIEWS
from tests.sim.class_cases import class_case
from tests.sim.moving_cases import moving_case
from tests.sim.test_time_against_reference import NAMES, SCHEDULES, plain_case, timed

CASES = 16


def timed_case(seed, evictor, schedule):
    """Prompts are on their way for a while, where workers fail and pages move."""
    return timed(moving_case(seed, evictor, schedule), seed)


@pytest.mark.parametrize("cases", [CASES, pytest.param(8 * CASES, marks=pytest.mark.slow)])
@pytest.mark.parametrize("make", [plain_case, moving_case, class_case, timed_case])
def test_prompts_in_flight(make, cases):
    """Where the requests go is given: the view shows no less than what is resident, and changes nothing else."""
    hits = offers = 0
    for seed in range(cases):
        # An agent that evicts in half of the cases: the request that asks does not see its own prompt.
        evictor = "agent" if seed % 2 else NAMES[seed % len(NAMES)]
        case = make(seed, evictor, SCHEDULES[seed // 2 % 2])
        if case.router != "agent":
            case = dataclasses.replace(case, router="agent", decision_ps=0)
        played = {}
        for view in ("speculative", "exact"):
            case = dataclasses.replace(case, **VIEWS[view])
            if view == "speculative":
                compare.assert_agree(case)
            simulator = case.simulator()
            played[view] = (*compare.play(simulator, case), compare.records(simulator), compare.iterations(simulator))
        assert played["speculative"][2:] == played["exact"][2:]
        for more, less in zip(played["speculative"][0], played["exact"][0], strict=True):
            assert all(a >= b for a, b in zip(more[2], less[2], strict=True))
            hits += more[2] != less[2]
        offers += sum(a != b for a, b in zip(played["speculative"][1], played["exact"][1], strict=True))
    assert hits > 3 * cases and (offers > cases or make in (plain_case, class_case)), (hits, offers)
