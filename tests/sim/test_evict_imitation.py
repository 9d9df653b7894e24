"""An agent that does as an evictor does is that evictor, bit for bit; copies of it go on as it does."""

from __future__ import annotations

import dataclasses
import pickle
import random

import numpy as np
import pytest

from kvgym.sim import RULES, Simulator
from tests import often
from tests.sim.cases import Case, random_case
from tests.sim.compare import draws, iterations, records, resident, totals

SCHEDULES = ("mixed", "prefill_first")


def outcome(simulator: Simulator):
    """All that came of a run."""
    read = (records, totals, iterations, draws, resident)
    return {function.__name__: function(simulator) for function in read}


def finish(simulator: Simulator, case: Case, choose) -> list:
    """Runs to the end; the EVICT decisions (time, request, worker)."""
    seen = []
    while (decision := simulator.advance()).kind != "DONE":
        if decision.kind == "ROUTE":
            simulator.route(case.routes[decision.request])
        else:
            seen.append((decision.time, decision.request, decision.worker))
            simulator.evict(choose(simulator, decision))
    return seen


def by_chance(seed):
    """A choice among the slots with a leaf in them that depends on what is seen alone."""

    def choose(simulator, decision):
        table = simulator.candidates()
        return random.Random(f"{seed} {decision} {table.tolist()}").choice(np.flatnonzero(table["valid"]).tolist())

    return choose


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("slots", [2, 16])
def test_slot_0_is_lru(slots, schedule):
    asked_for = 0
    for seed in range(40):
        case = random_case(seed, "lru", schedule, (1, 2, 16)[seed % 3], "agent")
        kernel = case.simulator()
        assert finish(kernel, case, None) == []
        agent = dataclasses.replace(case, evictor="agent", candidates=slots, quantum=1).simulator()
        asked_for += len(finish(agent, case, lambda simulator, decision: 0))
        assert {**outcome(agent), "draws": 0} == {**outcome(kernel), "draws": 0}
    assert asked_for > 500


@often.cases(20)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_is_always_named_is_the_evictor(rule, schedule, cases):
    asked_for = 0
    sizes = (256, 512) if rule == "tail_lru" else (1, 2, 16)  # its tails begin after 3596 tokens
    for seed in range(cases):
        case = random_case(seed, rule, schedule, sizes[seed % len(sizes)], "agent")
        kernel = case.simulator()
        finish(kernel, case, None)
        asking = dataclasses.replace(case, evictor="agent", candidates=0)
        agent = asking.simulator()
        asked_for += len(finish(agent, case, lambda simulator, decision: rule))
        assert outcome(agent) == outcome(kernel)
        routed = asking.simulator()
        while routed.advance().kind == "ROUTE":  # no EVICT decision at all
            routed.route(case.routes[routed.advance().request], evictor=rule)
        assert outcome(routed) == outcome(kernel)
    assert asked_for > 10 * cases


@pytest.mark.parametrize(
    "router",
    [
        "agent",
        "round_robin",
    ],
)
def test_a_rule_evicts_for_warm_up_requests(router):
    asked_for = 0
    for seed in range(10):
        case = dataclasses.replace(random_case(seed, "gdsf", "mixed", 2, router), candidates=0)
        asking = dataclasses.replace(case, evictor="agent")
        n = len(case.requests)
        for warmup in (n, n // 2):
            kernel, agent = case.simulator(), asking.simulator()
            kernel.reset(case.workload(), case.seed, warmup=warmup)
            finish(kernel, case, None)
            agent.reset(case.workload(), case.seed, warmup=warmup, warmup_evictor="gdsf")
            seen = finish(agent, case, lambda simulator, decision: "gdsf")
            assert all(agent.tables["progress"]["decision"][request] >= 0 for _, request, _ in seen)
            assert outcome(agent) == outcome(kernel)
            asked_for += len(seen)
    assert asked_for > 50


@pytest.mark.parametrize("quantum", ["leaf", 1])
@pytest.mark.parametrize("slots", [0, 4, 16])
def test_copies_in_the_middle_of_an_allocation_go_on_equally(slots, quantum):
    copied = 0
    for seed in range(12):
        case = random_case(seed, "agent", SCHEDULES[seed % 2], (1, 2, 16)[seed % 3], "agent")
        case = dataclasses.replace(case, candidates=slots, quantum=quantum)
        choose = by_chance(seed) if slots else lambda simulator, decision: RULES[decision.request % len(RULES)]
        whole = case.simulator()
        seen = finish(whole, case, choose)
        if not seen:
            continue
        stop = random.Random(seed).randrange(len(seen))
        copies = []

        def stopping(simulator, decision, made=copies, at=stop, choose=choose):
            made.append((simulator.clone(), pickle.dumps(simulator)) if len(made) == at else None)
            return choose(simulator, decision)

        assert finish(case.simulator(), case, stopping) == seen
        clone, pickled = copies[stop]
        for copy in (clone, pickle.loads(pickled)):
            assert copy.advance().kind == "EVICT"
            assert finish(copy, case, choose) == seen[stop:]
            assert outcome(copy) == outcome(whole)
            copied += 1
    assert copied > 10
