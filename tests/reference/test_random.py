"""The reference simulator keeps its own invariants on random workloads."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.by_hand.hand import engine, private
from tests.often import diagonals, examples
from tests.reference import (
    RULES,
    RefClass,
    RefCost,
    RefCrash,
    RefLink,
    RefNetwork,
    RefRequest,
    RefSlowdown,
    least_loaded,
    prefix_affinity,
    round_robin,
    score,
    simulate,
)
from tests.reference.faults import Faults
from tests.reference.roster import ALONE

EVICTORS = (*RULES, *ALONE, "agent", "agent_rules", "mixed")


def random_case(seed):
    """Requests, workers and engine settings under pressure: shared prompts, sessions, public outputs, few pages."""
    rng = random.Random(seed)
    page_size = rng.choice([1, 2, 3, 4])
    requests = []
    for index in range(rng.randint(30, 80)):
        previous = rng.randrange(index) if index and rng.random() < 0.4 else -1
        suffix = tuple(rng.randrange(3) for _ in range(rng.randint(1, 10)))
        if previous >= 0 and len(requests[previous].prompt) < 20:
            prompt = requests[previous].prompt + requests[previous].output + suffix
        else:
            prompt = suffix
        count = rng.randint(1, 8)
        output = tuple(rng.randrange(3) for _ in range(count)) if rng.random() < 0.3 else private(count)
        user = dict(session=rng.choice([None, 0, 1, 2]), turn=rng.randrange(6))
        if previous >= 0 and rng.random() < 0.7:
            think_ps = rng.choice([0, 0, 150, 2000, 3_000_000])
            requests.append(RefRequest(prompt, output, None, previous, think_ps, **user))
        else:
            requests.append(RefRequest(prompt, output, rng.randrange(60) * 100, **user))
    need = max(-(-r.computed_tokens() // page_size) for r in requests)
    cost = RefCost(
        [rng.randint(50, 60) + 5 * tokens for tokens in range(100)],
        rng.random(),
        rng.random(),
        rng.random(),
        rng.randint(0, 2),
    )
    workers = [(need + rng.randint(0, need), cost) for _ in range(rng.randint(1, 3))]
    chunk_tokens = rng.randint(2, 24)
    options = dict(evict_full_request=rng.random() < 0.3, reserve_output=rng.choice([0.0, 0.5, 1.0, 1.5]))
    return requests, workers, page_size, chunk_tokens, rng.randint(1, min(8, chunk_tokens)), options


def view_of(seed):
    """The router's view, whatever rule of the test the seed chooses."""
    return [{}, dict(history_pages=10), dict(speculative=True)][seed // 4 % 3]


def options_of(evictor, seed, count):
    """The evictor's name and options: somebody who answers at random, with slots or rules; or requests with rules."""
    rng = random.Random(seed)

    def any_slot(question):
        return rng.choice([i for i, slot in enumerate(question.slots) if slot is not None])

    if evictor == "agent":
        return "agent", dict(evict=any_slot, candidates=rng.choice([2, 4, 16]), quantum=rng.choice(["leaf", 1]))
    if evictor == "agent_rules":
        return "agent", dict(evict=lambda question: rng.choice(list(RULES)), candidates=0)
    if evictor == "mixed":
        return "rlt", dict(rules=[rng.choice([None, *RULES]) for _ in range(count)])
    return evictor, {}


@pytest.mark.parametrize(("evictor", "schedule"), diagonals(EVICTORS, ["mixed", "prefill_first"], share=2))
@examples(4)
@given(seed=st.integers(0, 2**32))
def test_random_workloads(evictor, schedule, seed):
    requests, workers, page_size, chunk_tokens, max_running, options = random_case(seed)
    settings_ = engine(page_size, schedule, chunk_tokens, max_running, **options)
    rule = [round_robin, least_loaded, prefix_affinity][seed % 3]
    name, asked = options_of(evictor, seed, len(requests))
    result = simulate(requests, workers, settings_, name, rule, **view_of(seed), **asked)

    for record, spec in zip(result.records, requests, strict=True):
        assert 0 <= record.arrival_ps <= record.admitted_ps < record.first_token_ps <= record.finish_ps
        assert 0 <= record.hit_tokens < len(spec.prompt) and record.hit_tokens % page_size == 0
    assert sorted(row[0] for row in result.visible) == list(range(len(requests)))
    for w, (totals, rows) in enumerate(zip(result.totals, result.iterations, strict=True)):
        mine = [spec for spec, record in zip(requests, result.records, strict=True) if record.worker == w]
        assert totals.loaded - totals.evicted == len(result.resident[w]) <= workers[w][0]
        assert totals.iterations == len(rows) and totals.busy_ps == sum(row[1] - row[0] for row in rows)
        assert all(row[2] + row[4] <= chunk_tokens for row in rows)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(rows))
        if not any(record.preemptions for record in result.records):
            hits = sum(record.hit_tokens for record in result.records if record.worker == w)
            assert totals.hit * page_size == hits
            assert sum(row[2] for row in rows) + hits == sum(len(spec.prompt) for spec in mine)
            assert sum(row[4] for row in rows) == sum(len(spec.output) - 1 for spec in mine)
    routed = [record.worker for record in result.records]
    again = options_of(evictor, seed, len(requests))[1]
    assert simulate(requests, workers, settings_, name, routed, check=False, **again).records == result.records


def random_network(rng, count):
    """One or two nodes, links from very fast to too slow."""
    inside, between = (
        RefLink(
            rng.choice([0, 1, 20, 100]),
            rng.choice([0.0, 0.5, 2.3, 8.0, 20.0]),
            rng.choice([0, 0, 1, 7]),
            rng.random() < 0.5,
        )
        for _ in range(2)
    )
    return RefNetwork(tuple(rng.randrange(2) for _ in range(count)), inside, between)


def random_faults(rng, workers):
    """Faults that are allowed, many at round times."""
    schedule = []
    for _ in range(rng.randint(0, 12)):
        worker, begin, length = rng.randrange(len(workers)), rng.randrange(80) * 100, rng.choice([1, 100, 400, 2000])
        if rng.random() < 0.7:
            fault = RefCrash(worker, begin, None if rng.random() < 0.1 else begin + length)
        else:
            cost = workers[worker][1]
            slow = RefCost([3 * g for g in cost.g], 3 * cost.a_s, 3 * cost.c_n, 3 * cost.c_b, 3 * cost.q)
            fault = RefSlowdown(worker, begin, begin + length, slow)
        try:
            Faults([*schedule, fault], len(workers)).validate()
        except ValueError:
            continue
        schedule.append(fault)
    return schedule


@pytest.mark.parametrize(("evictor", "schedule"), diagonals(EVICTORS, ["mixed", "prefill_first"], share=2, first=1))
@examples(4)
@given(seed=st.integers(0, 2**32))
def test_random_transfers_and_faults(evictor, schedule, seed):
    requests, workers, page_size, chunk_tokens, max_running, options = random_case(seed)
    rng = random.Random(seed + 1)
    workers = [(workers[0][0] + rng.randint(0, 8), workers[0][1]) for _ in range(rng.randint(2, 4))]
    settings_ = engine(page_size, schedule, chunk_tokens, max_running, **options)
    rule = [round_robin, least_loaded, prefix_affinity, [rng.randrange(len(workers)) for _ in requests]][seed % 4]
    name, asked = options_of(evictor, seed, len(requests))
    network = random_network(rng, len(workers)) if rng.random() < 0.8 else None
    faults = random_faults(rng, workers)
    result = simulate(
        requests,
        workers,
        settings_,
        name,
        rule,
        **view_of(seed),
        network=network,
        faults=faults,
        **asked,
    )
    crashes = [fault for fault in faults if isinstance(fault, RefCrash)]
    assert len(result.visible) == len(requests) + sum(record.returns for record in result.records)
    assert len(result.visible) == len(result.offers) == len(result.up)
    for (index, time, hits, queued, running), offers, up in zip(result.visible, result.offers, result.up, strict=True):
        assert result.records[index].arrival_ps <= time and any(up)
        for w in range(len(workers)):
            if not up[w]:
                assert (hits[w], queued[w], running[w], offers[w]) == (0, 0, 0, (0, 0))
            assert offers[w][0] == 0 or (offers[w][1] > 0 and hits[w] + offers[w][0] < len(requests[index].prompt))
            assert network is not None or offers[w] == (0, 0)
    for w, rows in enumerate(result.iterations):
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(rows))
        for crash in crashes:
            if crash.worker == w:
                back = crash.back_ps or 10**18
                assert not any(row[0] < back and row[1] > crash.time_ps for row in rows)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(list(RULES)))
def test_the_same_evictor_in_other_words(seed, name):
    requests, workers, page_size, chunk_tokens, max_running, options = random_case(seed)
    settings_ = engine(page_size, "mixed", chunk_tokens, max_running, **options)

    def evictions(evictor, **how):
        return simulate(requests, workers, settings_, evictor, round_robin, **how).evictions

    # The first slot is lru, the first draw is rlt (of a single one, so that both draw as often).
    assert evictions("agent", evict=lambda question: 0, quantum=1) == evictions("lru")
    assert evictions("agent", evict=lambda question: 1, candidates=2, quantum=1) == evictions("rlt")
    expected = evictions(name)
    assert evictions("agent", evict=lambda question: name, candidates=0) == expected
    assert evictions("mru", rules=lambda request: name) == expected


# ---- classes, priority, refusals ------------------------------------------------------------------------------------


def random_classes(rng, requests):
    """Up to four classes, some with equal priorities, and requests that belong to them."""
    classes = [
        RefClass(rng.choice([0, 150, 400, 2000]), rng.choice([0, 70, 100, 200]), rng.choice([-1, 0, 0, 2]), 0.25 * n)
        for n in range(rng.randint(1, 4))
    ]
    return classes, [dataclasses.replace(spec, service_class=rng.randrange(len(classes))) for spec in requests]


def check_score(requests, classes, result):
    """Costs of steps add up to those of requests, and each request misses once or meets its targets."""
    made = score(requests, classes, result)
    ends = [
        result.visible[result.refusals[q]][1] if q in result.refusals else record.finish_ps
        for q, record in enumerate(result.records)
    ]
    assert sum(made.e2e_ps) == sum(end - record.arrival_ps for end, record in zip(ends, result.records, strict=True))
    waited = [
        (end if record.first_token_ps < 0 else record.first_token_ps) - record.arrival_ps
        for end, record in zip(ends, result.records, strict=True)
    ]
    assert sum(made.ttft_ps) == sum(waited) <= sum(made.e2e_ps)
    assert sum(made.refusals_s) == sum(classes[requests[q].service_class].refusal_cost_s for q in result.refusals)
    missed = sorted(itertools.chain.from_iterable(made.misses))
    assert missed == [q for q, met in made.met.items() if not met] and result.refusals.keys() <= set(missed)
    for q, record in enumerate(result.records):
        target, request = classes[requests[q].service_class], requests[q]
        if q not in result.refusals and target.ttft_ps > 0 and waited[q] > target.ttft_ps:
            assert q in missed
        if target.tpot_ps > 0 and record.finish_ps - record.first_token_ps > target.tpot_ps * len(request.output):
            assert q in missed
    # A step has misses only where time passes, but for refusals.
    times = [row[1] for row in result.visible] + [10**18]
    for step, requests_ in enumerate(made.misses):
        assert times[step] < times[step + 1] or set(requests_) <= result.refusals.keys() or step == 0


@pytest.mark.parametrize("schedule", ["mixed", "prefill_first"])
@examples(25)
@given(seed=st.integers(0, 2**32), evictor=st.sampled_from(EVICTORS))
def test_random_priorities_and_refusals(schedule, seed, evictor):
    requests, workers, page_size, chunk_tokens, max_running, options = random_case(seed)
    rng = random.Random(seed + 2)
    workers = [(workers[0][0] + rng.randint(0, 4), workers[0][1]) for _ in range(rng.randint(1, 3))]
    classes, requests = random_classes(rng, requests)
    settings_ = engine(page_size, schedule, chunk_tokens, max_running, queue="priority", **options)
    refuse = {q: rng.choice([0, 0, 1]) for q in range(len(requests)) if rng.random() < 0.2}
    moving = len(workers) > 1 and rng.random() < 0.5
    name, asked = options_of(evictor, seed, len(requests))
    result = simulate(
        requests,
        workers,
        settings_,
        name,
        [round_robin, least_loaded, prefix_affinity][seed % 3],
        **view_of(seed),
        network=random_network(rng, len(workers)) if moving else None,
        faults=random_faults(rng, workers) if moving else (),
        classes=classes,
        refuse=refuse,
        **asked,
    )
    for q, record in enumerate(result.records):
        assert (q in result.refusals) == (refuse.get(q, 99) <= record.returns)
        assert record.returns <= refuse.get(q, 99)
    check_score(requests, classes, result)


@examples(20)
@given(
    seed=st.integers(0, 2**32), evictor=st.sampled_from(EVICTORS), schedule=st.sampled_from(["mixed", "prefill_first"])
)
def test_without_classes_priority_is_first_come_first_served(seed, evictor, schedule):
    # Who was admitted came before all who wait, so the latest admitted has the largest rank and returns to the head.
    requests, workers, page_size, chunk_tokens, max_running, options = random_case(seed)

    def play(queue):
        settings_ = engine(page_size, schedule, chunk_tokens, max_running, queue=queue, **options)
        name, asked = options_of(evictor, seed, len(requests))
        return simulate(requests, workers, settings_, name, least_loaded, **asked)

    assert play("priority") == play("fcfs")


@examples(20)
@given(seed=st.integers(0, 2**32), evictor=st.sampled_from(list(RULES)), queue=st.sampled_from(["fcfs", "priority"]))
def test_a_refused_request_might_as_well_not_have_come(seed, evictor, queue):
    requests, workers, page_size, chunk_tokens, max_running, options = random_case(seed)
    rng = random.Random(seed + 3)
    classes, requests = random_classes(rng, requests)
    awaited = {spec.predecessor for spec in requests}
    refused = {q for q in range(len(requests)) if q not in awaited and rng.random() < 0.5}
    kept = [q for q in range(len(requests)) if q not in refused]
    places = {q: place for place, q in enumerate(kept)}
    places[-1] = -1
    settings_ = engine(page_size, "mixed", chunk_tokens, max_running, queue=queue, **options)
    how = dict(evictor=evictor, classes=classes, **view_of(seed))
    whole = simulate(requests, workers, settings_, route=prefix_affinity, refuse=dict.fromkeys(refused, 0), **how)
    rest = [dataclasses.replace(requests[q], predecessor=places[requests[q].predecessor]) for q in kept]
    alone = simulate(rest, workers, settings_, route=prefix_affinity, **how)
    assert [whole.records[q] for q in kept] == alone.records
    assert (whole.iterations, whole.totals) == (alone.iterations, alone.totals)
    shown = [(places[row[0]], *row[1:]) for row in whole.visible if row[0] not in refused]
    assert shown == alone.visible


# ---- links ----------------------------------------------------------------------------------------------------------


def played_over(seed, change):
    """The result of a random case, with transfers over links that were changed."""
    requests, workers, page_size, chunk_tokens, max_running, options = random_case(seed)
    rng = random.Random(seed + 4)
    workers = [(workers[0][0] + rng.randint(0, 8), workers[0][1]) for _ in range(rng.randint(2, 4))]
    settings_ = engine(page_size, rng.choice(["mixed", "prefill_first"]), chunk_tokens, max_running, **options)
    links = [change(RefLink(rng.choice([0, 1, 20]), rng.choice([0.5, 2.0, 8.0])), page_size) for _ in range(2)]
    network = RefNetwork(tuple(rng.randrange(2) for _ in workers), *links)
    routes, faults = [rng.randrange(len(workers)) for _ in requests], random_faults(rng, workers)
    return simulate(requests, workers, settings_, "lru", routes, network=network, faults=faults)


@examples(15)
@given(seed=st.integers(0, 2**32))
def test_a_cost_per_page_is_one_of_its_tokens(seed):
    def slower(link, page_size):
        return dataclasses.replace(link, ps_per_token=link.ps_per_token + 2)

    def with_pages(link, page_size):
        return dataclasses.replace(link, ps_per_page=2 * page_size)

    assert played_over(seed, slower) == played_over(seed, with_pages)


@examples(15)
@given(seed=st.integers(0, 2**32))
def test_where_latency_is_all_nothing_overlaps(seed):
    def plain(link, page_size):
        return dataclasses.replace(link, ps_per_token=0.0)

    def overlapping(link, page_size):
        return dataclasses.replace(link, ps_per_token=0.0, overlap=True)

    assert played_over(seed, plain) == played_over(seed, overlapping)
