"""Nothing depends on the future: later requests change no earlier record, visible hit, draw or victim."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvgym.sim import EVICTORS
from tests.often import examples
from tests.reference import RefRequest
from tests.sim.cases import Case, random_case
from tests.sim.compare import draws, play, records, resident, target, traffic, unlocked
from tests.sim.moving_cases import moving_case

CAUSAL = [name for name in EVICTORS if name != "belady"]


def with_future(case: Case, seed: int, at_ps: int) -> Case:
    """The case with more requests from `at_ps` on, which share prefixes of every depth with the earlier ones."""
    rng = random.Random(seed)
    pool = [request.prompt + tuple(t for t in request.output if t >= 0) for request in case.requests]
    later = []
    gap = rng.choice([0, 10])
    for i in range(rng.randint(1, 12)):
        known = rng.choice(pool)
        prompt = known[: rng.randint(1, len(known))] + tuple(rng.randrange(4) for _ in range(rng.randint(0, 5)))
        later.append(RefRequest(prompt, (7,) * rng.randint(1, 4), at_ps + gap * i))
    size, smallest = case.engine.page_size, min(worker.kv_pages for worker in case.workers)
    later = [request for request in later if -(-request.computed_tokens() // size) <= smallest]
    later = [RefRequest((9,), (9,), at_ps), *later]
    return dataclasses.replace(
        case, requests=case.requests + later, routes=case.routes + [rng.randrange(len(case.workers)) for _ in later]
    )


def seen_until(case: Case, decisions: int) -> tuple[Any, ...]:
    """Everything up to the decision after this many: its time, decisions, records, draws, caches, evictions."""
    simulator = case.simulator()
    seen = []
    while (decision := simulator.advance()).kind == "ROUTE" and len(seen) < decisions:
        q = decision.request
        hits = [simulator.visible_hit(w, q) for w in range(len(case.workers))]
        seen.append((q, decision.time, hits, simulator.prompt_pages().tolist()))
        simulator.route(case.routes[q])
    evicted = simulator.tables["workers"]["evicted"].tolist()
    return decision.time, seen, records(simulator)[:decisions], draws(simulator), unlocked(simulator), evicted


@pytest.mark.parametrize("evictor", CAUSAL)
@examples(40)
@given(seed=st.integers(0, 2**32), page_size=st.sampled_from([1, 2, 16]), share=st.floats(0, 1.2), futures=st.data())
def test_nothing_depends_on_the_future(evictor, seed, page_size, share, futures):
    schedule = "mixed" if seed % 2 else "prefill_first"
    case = random_case(seed, evictor, schedule, page_size, "agent")
    base = case.simulator()
    play(base, case)
    progress = base.tables["progress"]
    at_ps = int(progress["arrived_ps"].max() + share * (progress["finish_ps"].max() - progress["arrived_ps"].max())) + 1
    n = len(case.requests)
    one, other = (seen_until(with_future(case, futures.draw(st.integers(0, 2**32)), at_ps), n) for _ in range(2))
    assert one == other
    if share > 1:  # the future begins after everything has finished
        evicted = base.tables["workers"]["evicted"].tolist()
        assert one[2:] == (records(base), draws(base), resident(base), evicted)


def moved_until(case: Case, n: int, at_ps: int) -> tuple[Any, ...]:
    """Everything up to the first decision from `at_ps` on, of the first `n` requests: what is seen, offered, moved."""
    simulator = case.simulator()
    workers = range(len(case.workers))
    seen = []
    while (decision := simulator.advance()).kind != "DONE" and simulator.tables["clock"]["now_ps"] < at_ps:
        q = decision.request
        if decision.kind == "EVICT":
            seen.append((q, decision.time, decision.worker, simulator.candidates().tolist()))
            slots = [slot for slot, candidate in enumerate(simulator.candidates()) if candidate["valid"]]
            simulator.evict(slots[len(seen) % len(slots)])
            continue
        shown = [(simulator.visible_hit(w, q), simulator.offer(w, q), simulator.load(w)) for w in workers]
        seen.append((q, decision.time, shown, simulator.up().tolist(), simulator.prompt_pages().tolist()))
        simulator.route(target(simulator, case, q))
    tables = simulator.tables
    under_way = tables["transfers"][: int(tables["clock"]["n_transfers"][0])].tolist()
    # Pages loaded and busy time are entered when a run of iterations ends, later in one future than in another.
    totals = {name: tables["workers"][name].tolist() for name in ("evicted", "fetched", "lost")}
    return seen, records(simulator)[:n], draws(simulator), unlocked(simulator), totals, traffic(simulator), under_way


@pytest.mark.parametrize("evictor", [*CAUSAL, "agent"])
@examples(30)
@given(seed=st.integers(0, 2**32), share=st.floats(0, 1.2), futures=st.data())
def test_nothing_that_moves_or_fails_depends_on_the_future(evictor, seed, share, futures):
    case = moving_case(seed, evictor, "mixed" if seed % 2 else "prefill_first", router="agent")
    base = case.simulator()
    play(base, case)
    arrived, finish = (base.tables["progress"][name].max() for name in ("arrived_ps", "finish_ps"))
    at_ps = int(arrived + share * (finish - arrived)) + 1
    seeds = [futures.draw(st.integers(0, 2**32)) for _ in range(2)]
    n = len(case.requests)
    one, other = (moved_until(with_future(case, number, at_ps), n, at_ps) for number in seeds)
    assert one == other
    if share > 1 and evictor != "agent":  # all has finished by then (the agent of `play` chooses other leaves)
        assert one[1] == records(base)
        assert one[2] == draws(base) and one[5] == traffic(base)
