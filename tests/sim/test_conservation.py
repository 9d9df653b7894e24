"""Whatever fails and whatever moves: no request, token or page is lost, and no time is counted twice."""

from __future__ import annotations

import dataclasses
import itertools
import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kvgym.cluster import Crash, Fault, Link, Network, Slowdown, check_faults
from kvgym.sim import EVICTORS, Simulator
from tests.often import examples
from tests.sim import invariants
from tests.sim.cases import SECONDS_PER_PS, Case
from tests.sim.class_cases import class_case
from tests.sim.compare import iterations, play, refuses, target
from tests.sim.moving_cases import moving_case
from tests.sim.test_properties import check_end, columns

SCHEDULES = ("mixed", "prefill_first")


@st.composite
def any_case(draw: st.DrawFn, evictors: tuple[str, ...] = EVICTORS) -> Case:
    """A random case with any network, and any faults that leave a worker up: at times at which something happens."""
    seed, moves = draw(st.integers(0, 2**32)), draw(st.booleans())
    changes = {"router": "agent", "moves": moves, "fails": False}
    case = moving_case(seed, draw(st.sampled_from(evictors)), draw(st.sampled_from(SCHEDULES)), **changes)
    if moves:
        case.network = draw(networks(len(case.workers), case.network))
    undisturbed = case.simulator()
    play(undisturbed, case)
    ends = [end for worker in iterations(undisturbed) for _, end, *_ in worker]
    arrivals = undisturbed.tables["progress"]["arrived_ps"].tolist()
    moments = sorted({0, *ends, *arrivals, *(time + 1 for time in ends), *(max(0, time - 1) for time in ends)})
    return dataclasses.replace(case, faults=draw(schedules(len(case.workers), moments)))


@st.composite
def networks(draw: st.DrawFn, n: int, likely: Network | None) -> Network:
    """Nodes as they come; links from instant ones to ones that are never worth while, half of the time likely ones."""
    assert likely is not None and likely.inside is not None and likely.between is not None
    nodes = tuple(draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n)))
    if draw(st.booleans()):
        return Network(nodes, *(with_options(draw, link) for link in (likely.inside, likely.between)))
    latency = st.sampled_from([0.0, 1e-12, 1e-10, 1e-3])
    speed = st.sampled_from([1.0, 1e9, 1e11, 1e15])
    return Network(nodes, *(with_options(draw, Link(draw(latency), draw(speed))) for _ in range(2)))


def with_options(draw: st.DrawFn, link: Link) -> Link:
    """The link, often with a cost per page of the order of its latency, often with overlap and then perhaps slower."""
    page_s = draw(st.sampled_from([0.0, 0.0, 1e-12, link.latency_s / 4]))
    slower = draw(st.sampled_from([1, 1, 2, 4]))
    bandwidth = max(1.0, link.bytes_per_s / slower)
    return Link(link.latency_s, bandwidth, page_s=page_s, overlap=slower > 1 or draw(st.booleans()))


@st.composite
def schedules(draw: st.DrawFn, n: int, moments: list[int]) -> tuple[Fault, ...]:
    """Faults back to back, at one time on several workers, for good; those that can't be are left out."""
    span = moments[-1] + 1
    lengths = st.one_of(st.just(1), st.integers(1, span), st.sampled_from([m + 1 for m in moments]))
    faults: list[Fault] = []
    for kind in ("crash", "slow-down"):
        for worker in range(n):
            start = draw(st.sampled_from(moments))
            for _ in range(draw(st.integers(0, 3))):
                length = draw(lengths)
                times = start * SECONDS_PER_PS, length * SECONDS_PER_PS
                fault: Fault
                if kind == "slow-down":
                    fault = Slowdown(worker, *times, draw(st.sampled_from([0.001, 0.5, 3.0, 1000.0])))
                elif draw(st.integers(0, 9)) == 0:
                    fault = Crash(worker, times[0])
                else:
                    fault = Crash(worker, *times)
                start += length + draw(st.sampled_from([0, 0, 1, span // 5]))
                try:
                    faults = list(check_faults([*faults, fault], n))
                except ValueError:
                    continue  # nobody would be up
    return tuple(faults)


class Watch:
    """What must not shrink or change from decision to decision."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.emitted = np.zeros(len(simulator.tables["progress"]), int)
        self.times: dict[tuple[str, int], int] = {}

    def look(self) -> None:
        """Tokens that were emitted stay so, and times that are known stay what they are; pages add up."""
        progress = self.simulator.tables["progress"]
        assert (progress["emitted"] >= self.emitted).all()
        self.emitted = progress["emitted"].copy()
        for name in ("arrived_ps", "admitted_ps", "first_token_ps", "finish_ps"):
            for q in np.flatnonzero(progress[name] >= 0).tolist():
                assert self.times.setdefault((name, q), int(progress[name][q])) == progress[name][q]
        invariants.check(self.simulator)
        self.check_pages()

    def check_pages(self) -> None:
        """C1 and T5, from what is locked and what is resident, page by page."""
        totals = self.simulator.totals()
        for w, row in enumerate(self.simulator.tables["workers"]):
            recount = invariants.Recount(self.simulator, w)
            resident = sum(int(cached["cached"]) for _, cached in recount.cache_rows())
            locked = sum(locks > 0 for locks in recount.locks.values())
            assert row["free"] + (locked + recount.own) + (resident - locked) == row["kv_pages"]
            assert totals["loaded"][w] + totals["fetched"][w] == totals["evicted"][w] + totals["lost"][w] + resident


def check_traffic(simulator: Simulator, case: Case) -> None:
    """Bytes, tokens and seconds of links agree with each other and with the records.

    A crash in the middle of a transfer that overlaps leaves pages without one that has ended, or ends one early.
    """
    links = () if case.network is None else (case.network.inside, case.network.between)
    cut = any(link.overlap for link in links) and any(isinstance(fault, Crash) for fault in case.faults)
    traffic, size = simulator.traffic(), case.engine.page_size
    assert traffic["tokens"].sum() == simulator.records()["fetched_tokens"].sum()
    assert (traffic["tokens"] % size == 0).all() and (simulator.records()["fetched_tokens"] % size == 0).all()
    assert (traffic["source"] != traffic["target"]).all()
    fetched = simulator.totals()["fetched"]
    for w in range(len(case.workers)):
        assert cut or fetched[w] * size <= traffic["tokens"][traffic["target"] == w].sum()
    for row in traffic:
        bytes_per_token = case.workers[0].kv_bytes_per_token
        assert row["bytes"] == row["tokens"] * bytes_per_token
        assert row["tokens"] >= row["transfers"] * size
        link = case.network.link(row["source"], row["target"])
        expected = row["transfers"] * link.latency_s + row["bytes"] / link.bytes_per_s
        expected += row["tokens"] // size * link.page_s
        # Each transfer is rounded to a picosecond, and takes one at least.
        error = 1e-12 * (row["transfers"] + row["tokens"] // size) + 1e-9 * expected
        assert row["seconds"] <= expected + error and (cut or row["seconds"] >= expected - error)


def up_ps(case: Case, worker: int, end_ps: int) -> int:
    """How long a worker was up until the end."""
    crashes = [fault for fault in case.faults if isinstance(fault, Crash) and fault.worker == worker]
    spans = [(crash.start_ps, end_ps if crash.end_ps is None else crash.end_ps) for crash in crashes]
    return end_ps - sum(max(0, min(stop, end_ps) - min(start, end_ps)) for start, stop in spans)


def play_watched(case: Case) -> Simulator:
    """Runs to the end, with a look at every decision."""
    simulator = case.simulator()
    watch = Watch(simulator)
    while (decision := simulator.advance()).kind == "ROUTE":
        watch.look()
        if refuses(simulator, case, decision.request):
            simulator.refuse()
        else:
            simulator.route(target(simulator, case, decision.request))
    watch.look()
    return simulator


@examples(250)
@given(case=any_case())
def test_nothing_is_lost(case):
    simulator = play_watched(case)
    check_end(simulator, case)
    records = simulator.records()
    assert records["request"].tolist() == list(range(len(case.requests)))
    for q, request in enumerate(case.requests):
        if request.arrival_ps is not None:
            assert simulator.tables["progress"]["arrived_ps"][q] == request.arrival_ps
    assert (records["arrival"] <= records["admitted"]).all() and (records["first_token"] <= records["finish"]).all()
    finished = simulator.tables["finished"]
    assert (np.diff(records["finish"][finished]) >= 0).all()
    check_traffic(simulator, case)
    end_ps = int(simulator.tables["clock"]["now_ps"][0])
    for w, busy in enumerate(simulator.tables["workers"]["busy_ps"].tolist()):
        assert busy <= up_ps(case, w, end_ps)
        spans = iterations(simulator)[w]
        assert busy == sum(end - start for start, end, *_ in spans)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


@examples(60)
@given(seed=st.integers(0, 2**32), evictor=st.sampled_from(EVICTORS), schedule=st.sampled_from(SCHEDULES))
def test_nothing_is_lost_with_classes_priority_and_refusals(seed, evictor, schedule):
    case = class_case(seed, evictor, schedule, router="agent")
    simulator = play_watched(case)
    check_end(simulator, case)
    check_traffic(simulator, case)


@examples(40)
@given(case=any_case())
def test_same_seed_same_bits(case):
    first, second = case.simulator(), case.simulator()
    assert play(first, case) == play(second, case)
    assert columns(first) == columns(second)
    first.reset(case.workload(), case.seed, faults=case.faults)  # a simulator that has been used starts anew
    play(first, case)
    assert columns(first) == columns(second)


@examples(40)
@given(case=any_case(), share=st.floats(0, 1))
def test_copies_in_mid_run_go_on_identically(case, share):
    plain = case.simulator()
    expected = play(plain, case)
    stop = int(share * len(expected[0]))
    original = case.simulator()
    for _ in range(stop):
        original.route(target(original, case, original.advance().request))
    before = columns(original)
    for copy in (original.clone(), pickle.loads(pickle.dumps(original))):
        assert [shown[stop:] for shown in expected] == list(play(copy, case))
        assert columns(copy) == columns(plain)
        assert columns(original) == before
    play(original, case)
    assert columns(original) == columns(plain)
