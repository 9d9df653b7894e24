"""Schedules of faults: what is refused and how, and what is drawn by chance."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvgym.cluster import ClusterSpec, Crash, EngineSpec, FaultRates, IterationCost, Slowdown, check_faults
from kvgym.sim import Simulator
from kvgym.workload import Workload

SEED = 5


def seeded(number=SEED):
    return np.random.SeedSequence(number)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Crash(-1, 0.0), "worker of a crash must be an integer >= 0, got -1"),
        (lambda: Crash(0.5, 0.0), "worker of a crash must be an integer >= 0, got 0.5"),
        (lambda: Crash(0, -0.1), "time_s of a crash must be a finite number from 0 to 1e\\+06, got -0.1"),
        (lambda: Crash(0, math.inf), "time_s of a crash must be a finite number"),
        (lambda: Crash(0, 2e6), "time_s of a crash must be a finite number from 0 to 1e\\+06, got 2000000.0"),
        (lambda: Crash(0, 1.0, 0.0), "down_s of a crash must be above 0, got 0.0"),
        (lambda: Crash(0, 1.0, 1e-13), "down_s of a crash must be above 0, got 1e-13"),
        (lambda: Crash(0, 1.0, math.nan), "down_s of a crash must be a finite number"),
        (lambda: Crash(0, 1.0, "x"), "down_s of a crash must be a finite number .* got 'x'"),
        (lambda: Slowdown(-1, 0.0, 1.0, 2.0), "worker of a slow-down must be an integer >= 0"),
        (lambda: Slowdown(0, 0.0, math.inf, 2.0), "duration_s of a slow-down must be a finite number"),
        (lambda: Slowdown(0, 0.0, 0, 2.0), "duration_s of a slow-down must be above 0, got 0"),
        (lambda: Slowdown(0, 0.0, 1.0, 0.0), "factor of a slow-down must be a finite number from 0.001 to 1000, got 0"),
        (lambda: Slowdown(0, 0.0, 1.0, 1001), "factor of a slow-down must be a finite number from 0.001 to 1000"),
    ],
)
def test_a_fault_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("faults", "n", "message"),
    [
        ([Crash(2, 0.0, 1.0)], 2, r"worker of a fault must be from 0 to 1, got Crash\(worker=2"),
        ([Slowdown(3, 0.0, 1.0, 2.0)], 3, "worker of a fault must be from 0 to 2, got Slowdown"),
        (["crash"], 2, "faults must be Crash or Slowdown, got 'crash'"),
        (5, 2, "faults must be Crash or Slowdown, got 5"),
        ([(0, 1.0)], 2, r"faults must be Crash or Slowdown, got \(0, 1.0\)"),
        ([Crash(0, 1.0, 2.0), Crash(0, 2.9, 1.0)], 2, "one kind must not overlap on a worker: .*1.0, .*2.9"),
        ([Crash(0, 5.0, 1.0), Crash(0, 1.0)], 2, "must not overlap"),
        ([Crash(0, 1.0, 1.0), Crash(0, 1.0, 2.0)], 2, "must not overlap"),
        ([Slowdown(1, 1.0, 2.0, 2.0), Slowdown(1, 2.0, 1.0, 3.0)], 2, "must not overlap"),
        ([Crash(0, 1.0, 1.0)], 1, "at 1 s all 1 are down: .*worker=0"),
        ([Crash(0, 1.0), Crash(1, 7.5, 1.0)], 2, "at least one worker must be up; at 7.5 s all 2 are down"),
        ([Crash(0, 0.0, 1.0), Crash(1, 0.0, 1.0)], 2, "at 0 s all 2 are down"),
        ([Crash(0, 1.0, 9.0), Crash(2, 2.0, 3.0), Crash(1, 4.9, 0.1)], 3, "at 4.9 s all 3 are down"),
    ],
)
def test_a_schedule_that_cannot_be(faults, n, message):
    with pytest.raises(ValueError, match=message):
        check_faults(faults, n)
    simulator = Simulator(ClusterSpec.uniform(n, 10, IterationCost(c0=1.0)), EngineSpec())
    with pytest.raises(ValueError, match=message):
        simulator.reset(Workload.from_tokens([[1]], [1], [0.0], 16), faults=faults)


@pytest.mark.parametrize(
    ("faults", "n"),
    [
        ([Crash(0, 1.0, 1.0), Crash(1, 2.0, 1.0)], 2),  # half open: one returns as the other one fails
        ([Crash(1, 2.0, 1.0), Crash(0, 1.0, 1.0)], 2),  # in any order
        ([Crash(0, 1.0, 1.0), Crash(0, 2.0, 1.0)], 2),  # back to back
        ([Crash(0, 1.0, 1.0), Slowdown(0, 1.5, 9.0, 2.0)], 2),  # of different kinds
        ([Slowdown(0, 0.0, 1.0, 2.0)], 1),
        ([Crash(0, 0.0), Crash(1, 0.0)], 3),
    ],
)
def test_a_schedule_that_can_be(faults, n):
    assert check_faults(iter(faults), n) == tuple(faults)


def test_times_are_whole_picoseconds():
    crash = Crash(0, 0.1, 0.2)
    assert (crash.start_ps, crash.end_ps) == (10**11, 3 * 10**11)
    assert Crash(0, 1.0).end_ps is None
    assert Slowdown(0, 1e-12, 1e-12, 2.0).end_ps == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"crash_every_s": -1}, "crash_every_s must be a finite number from 0 to 1e\\+06, got -1"),
        ({"slow_every_s": math.inf}, "slow_every_s must be a finite number"),
        ({"until_s": 1e7}, "until_s must be a finite number from 0 to 1e\\+06"),
        ({"down_s": 0}, "down_s must be above 0, got 0"),
        ({"down_s": math.inf}, "down_s must be a finite number"),
        ({"slow_s": -1}, "slow_s must be a finite number"),
        ({"slow_factor": 0}, "slow_factor must be a finite number from 0.001 to 1000, got 0"),
    ],
)
def test_bad_rates_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        FaultRates(**fields)


RATES = FaultRates(crash_every_s=50.0, down_s=20.0, slow_every_s=40.0, slow_s=10.0, slow_factor=2.0, until_s=1000.0)


def test_same_seed_same_schedule():
    seed = seeded()
    first = RATES.draw(seed, 4)
    assert first == RATES.draw(seeded(), 4) == RATES.draw(seed, 4)
    assert first != RATES.draw(seeded(6), 4)
    assert FaultRates().draw(seed, 4) == ()


def of_worker(faults, workers, kind):
    return [fault for fault in faults if fault.worker in workers and isinstance(fault, kind)]


def test_a_larger_cluster_keeps_the_faults_that_it_had():
    """Those that were left out, so that somebody was up, may come; of 20 workers hardly ever all others are down."""
    for number in range(20):
        small, large = (RATES.draw(seeded(number), n) for n in (3, 20))
        assert of_worker(large, range(3), Slowdown) == of_worker(small, range(3), Slowdown)
        before, after = of_worker(small, range(3), Crash), of_worker(large, range(3), Crash)
        assert [crash for crash in after if crash in before] == before
        assert len(after) <= len(before) + 10


def test_first_crashes_do_not_depend_on_down_times():
    """The first crash of a worker is when it is, however long it will be away."""
    short = FaultRates(crash_every_s=50.0, down_s=1.0, until_s=1000.0).draw(seeded(), 500)
    long = FaultRates(crash_every_s=50.0, down_s=5.0, until_s=1000.0).draw(seeded(), 500)
    firsts = [{crash.worker: crash.time_s for crash in reversed(schedule)} for schedule in (short, long)]
    assert firsts[0] == firsts[1]


@pytest.mark.parametrize(("kind", "mean"), [(Crash, 50.0), (Slowdown, 40.0)])
def test_mean_times(kind, mean):
    """Faults over the time in which they could come is the rate of an exponential: to four standard errors."""
    n = 300
    faults = of_worker(RATES.draw(seeded(), n), range(n), kind)
    spans = sum(min(fault.end_ps * 1e-12, 1000.0) - fault.time_s for fault in faults)
    assert (n * 1000.0 - spans) / len(faults) == pytest.approx(mean, rel=4 / math.sqrt(len(faults)))
    assert {fault.end_ps - fault.start_ps for fault in faults} == {(20 if kind is Crash else 10) * 10**12}


def test_times_until_the_first_fault_are_exponential():
    n = 500
    first = {crash.worker: crash.time_s for crash in reversed(RATES.draw(seeded(), n)) if isinstance(crash, Crash)}
    times = np.sort(list(first.values()))
    assert len(times) == n
    distance = np.abs(1 - np.exp(-times / 50.0) - (np.arange(n) + 0.5) / n).max()
    assert distance < 1.95 / math.sqrt(n)  # Kolmogorov's statistic, at 0.1 %


@settings(max_examples=150, deadline=None)
@given(
    number=st.integers(0, 2**32),
    n=st.integers(1, 6),
    every=st.floats(0.5, 50),
    down=st.floats(1e-3, 500),
    slow=st.floats(1e-3, 500),
)
def test_what_is_drawn_can_be(number, n, every, down, slow):
    rates = FaultRates(every, down, every, slow, 3.0, 200.0)
    faults = rates.draw(seeded(number), n)
    assert check_faults(faults, n) == faults
    assert all(fault.time_s <= 200.0 for fault in faults)
    assert n > 1 or not of_worker(faults, [0], Crash)
    for kind in (Slowdown, Crash):
        times = [fault.start_ps for fault in faults if isinstance(fault, kind)]
        assert times == sorted(times)


def test_dropped_crashes_are_those_that_would_leave_nobody():
    rates = FaultRates(crash_every_s=1.0, down_s=10.0, until_s=100.0)
    crashes = rates.draw(seeded(), 2)
    assert len(crashes) > 8
    for before, after in itertools.pairwise(crashes):
        assert before.end_ps <= after.start_ps


def two_workers(**options):
    simulator = Simulator(ClusterSpec.uniform(2, 10, IterationCost(c0=1.0)), EngineSpec(), **options)
    simulator.reset(Workload.from_tokens([[1], [2]], [1, 1], [0.0, 0.0], 16), faults=[Crash(1, 0.0, 5.0)])
    return simulator


def test_whoever_routes_to_a_worker_that_is_down_is_told():
    message = r"worker must be one of \[0\], which are up; got 1"
    simulator = two_workers()
    simulator.advance()
    with pytest.raises(ValueError, match=message):
        simulator.route(1)
    simulator.route(0)  # the decision is still due
    with pytest.raises(ValueError, match=message):
        two_workers(router=lambda simulator, decision: 1).run()
    with pytest.raises(ValueError, match="worker must be an integer from 0 to 1, got 2"):
        simulator.advance()
        simulator.route(2)


@pytest.mark.parametrize("router", ["random", "round_robin", "least_loaded", "prefix_affinity"])
def test_rules_route_to_workers_that_are_up(router):
    simulator = two_workers(router=router)
    simulator.run()
    assert simulator.records()["worker"].tolist() == [0, 0]
