"""EVICT decisions as a program sees them: what is offered, what goes, who is asked, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kvgym.cluster import ClusterSpec
from kvgym.sim import Simulator
from kvgym.sim.base.candidate_tables import CANDIDATE
from tests.sim.cases import random_case
from tests.sim.compare import resident
from tests.sim.small import COST, started, tokens

ONE = ClusterSpec.uniform(1, 10, COST)
SCHEDULES = ("mixed", "prefill_first")
# [0..3] and [4..7] leave two of ten pages: the third prompt needs six, so four have to go.
PROMPTS = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11, 12, 13]]
FIRST, SECOND, THIRD = ({(q, page) for page in range(len(PROMPTS[q]))} for q in range(3))


def asked(prompts=PROMPTS, **options):
    """A simulator of one worker at its first EVICT decision, and the decision."""
    options = {"evictor": "agent", "router": "round_robin", "candidates": 4, "cluster": ONE, **options}
    simulator = started(tokens(prompts), **options)
    return simulator, simulator.advance()


def test_what_is_asked_and_offered():
    simulator, decision = asked()
    assert (decision.kind, decision.request, decision.worker, decision.time) == ("EVICT", 2, 0, 2.0)
    assert simulator.advance() == decision  # still due
    table = simulator.candidates()
    assert table.dtype == CANDIDATE and len(table) == 4
    assert table["valid"].all() and table["drawn"].tolist() == [False, False, True, True]
    # Slots 0 and 1: by age. The third request, of nothing resident, opens a phase: none is marked, both may be drawn.
    assert sorted(table["idle_s"][2:].tolist()) == sorted(table["idle_s"][:2].tolist())
    first, second = table[0], table[1]
    # The first request took 0.14 s. Recomputing costs a share of a full iteration of 8 tokens, 0.18 s.
    expected = {
        "marked": False,
        "tail_pages": 4,
        "depth": 4,
        "recompute_s": 4 / 8 * 0.18,
        "idle_s": 1.86,
        "age_s": 1.86,
        "hits": 0,
        "reuse_gap_s": 0.0,
        "sessions": 1,
        "siblings": 0,
        "session_idle_s": 2.0,
        "session_turns": 1,
    }
    for name, value in expected.items():
        assert first[name] == pytest.approx(value, abs=1e-12), name
    assert second["idle_s"] == pytest.approx(0.86) and second["session_idle_s"] == pytest.approx(1.0)


@pytest.mark.parametrize(("slot", "gone", "kept"), [(0, FIRST, SECOND), (1, SECOND, FIRST)])
def test_a_slot_of_quantum_leaf_frees_its_tail(slot, gone, kept):
    simulator, _ = asked()
    simulator.evict(slot)
    assert simulator.advance().kind == "DONE"
    assert resident(simulator) == [kept | THIRD]
    assert not gone & resident(simulator)[0]


def test_no_more_goes_than_is_wanted():
    simulator, _ = asked([*PROMPTS[:2], PROMPTS[2][:3]])  # one page is wanted
    simulator.evict(1)
    assert simulator.advance().kind == "DONE"
    assert resident(simulator) == [FIRST | {(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)}]


def test_quantum_one_asks_page_by_page_and_no_time_passes():
    simulator, decision = asked(quantum=1)
    for wanted, tails in ((4, [4, 4]), (3, [3, 4]), (2, [2, 4]), (1, [2, 3])):
        assert simulator.advance() == decision
        assert simulator.tables["workers"]["wanted"][0] == wanted
        assert simulator.candidates()["tail_pages"][:2].tolist() == tails
        simulator.evict(1 if wanted == 2 else 0)
    assert simulator.advance().kind == "DONE"
    assert resident(simulator) == [{(0, 0), (1, 0), (1, 1), (1, 2)} | THIRD]


def test_slots_without_a_leaf():
    simulator, _ = asked(candidates=8)
    assert simulator.candidates()["valid"].tolist() == [True, True, False, False] * 2
    assert simulator.candidates()[2].tolist() == (False,) * 3 + (0,) * 2 + (0.0,) * 3 + (0,) + (0.0,) + (0,) * 2 + (
        0.0,
        0,
    )
    with pytest.raises(
        ValueError, match=r"choice must be a slot with a leaf in it, slot 2 is empty: see candidates\(\)"
    ):
        simulator.evict(2)
    simulator.evict(np.int64(1))  # the refusal took nothing


def test_refused_choices():
    simulator, _ = asked()
    for choice in (-1, 4, 1.0, None, "lru"):
        with pytest.raises(ValueError, match=f"choice must be an integer from 0 to 3, got {choice!r}"):
            simulator.evict(choice)
    named, _ = asked(candidates=0)
    for choice in (0, "belady", "rlt_code", "lur"):
        with pytest.raises(ValueError, match=f"choice must be one of lru, .* got {choice!r}"):
            named.evict(choice)


def test_nothing_is_due():
    simulator = started(tokens(PROMPTS), cluster=ONE, evictor="agent", candidates=4)
    for call in (lambda: simulator.evict(0), simulator.candidates):
        with pytest.raises(RuntimeError, match=r"no EVICT decision is due: call advance\(\) first"):
            call()
    simulator, _ = asked()
    with pytest.raises(RuntimeError, match=r"no ROUTE decision is due"):
        simulator.route(0)
    fresh = Simulator(ONE, simulator.engine, "agent")
    with pytest.raises(RuntimeError, match=r"call reset\(\)"):
        fresh.evict(0)
    simulator.evict(0)
    with pytest.raises(RuntimeError, match="no EVICT decision is due"):
        simulator.evict(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": 3}, "candidates must be an even number, got 3"),
        ({"candidates": -2}, "candidates"),
        ({"offer": "newest"}, "offer must be one of oldest, unhit; got 'newest'"),
        ({"offer": "unhit", "candidates": 6}, 'multiple of 4 with offer="unhit", got 6'),
        ({"quantum": 2}, 'quantum must be "leaf" or 1, got 2'),
        ({"quantum": True}, 'quantum must be "leaf" or 1, got True'),
        ({"quantum": "page"}, "quantum"),
        ({"evictor": "oldest"}, "evictor must be one of agent, lru, .* got 'oldest'"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        asked(**options)


@pytest.mark.parametrize("options", [{"candidates": 4}, {"evictor": "lru"}])
def test_only_the_rule_form_names_rules(options):
    simulator = started(tokens(PROMPTS), cluster=ONE, **{"evictor": "agent", **options})
    simulator.advance()
    with pytest.raises(ValueError, match='evictor needs a simulator with evictor="agent" and candidates=0, got'):
        simulator.route(0, evictor="lru")
    with pytest.raises(ValueError, match="warmup_evictor needs a simulator"):
        simulator.reset(tokens(PROMPTS), warmup_evictor="lru")


def test_somebody_has_to_decide():
    simulator = started(tokens(PROMPTS), cluster=ONE, evictor="agent", router="round_robin")
    with pytest.raises(
        RuntimeError, match=r'evictor is "agent": decide with advance\(\) and evict\(\), or name a rule'
    ):
        simulator.run()


def test_a_callable_is_asked():
    seen = []

    def newest(simulator, decision):
        seen.append((decision, simulator.candidates()["idle_s"][1]))
        return 1

    simulator, end = asked(evictor=newest)
    assert end.kind == "DONE"
    assert [decision.request for decision, _ in seen] == [2]
    assert resident(simulator) == [FIRST | THIRD]
    simulator, _ = asked(evictor=lambda simulator, decision: "mru", candidates=0)
    assert resident(simulator) == [FIRST | THIRD]
    started(tokens(PROMPTS), cluster=ONE, evictor=newest, router="round_robin", candidates=4).run()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_no_time_passes_between_the_decisions_of_one_start(schedule):
    """All decisions for one request at one time follow each other, and free one page each until all are there."""
    for seed in range(20):
        case = random_case(seed, "agent", schedule, 2, "agent")
        case = dataclasses.replace(case, candidates=4, quantum=1)
        simulator = case.simulator()
        previous = None
        while (decision := simulator.advance()).kind != "DONE":
            if decision.kind == "ROUTE":
                assert previous is None  # the last allocation got all its pages before anything else happened
                simulator.route(case.routes[decision.request])
                continue
            worker = simulator.tables["workers"][decision.worker]
            now = (decision.time, decision.request, decision.worker, int(worker["wanted"]), int(worker["evicted"]))
            if previous is not None:
                assert now == (*previous[:3], previous[3] - 1, previous[4] + 1)
            previous = now if now[3] > 1 else None
            simulator.evict(0)
