"""Events of many workers come in the order of time, then of the workers, as a scan over all of them would find them."""

import numpy as np
import pytest
from numba import njit

from kvgym.cluster import ClusterSpec
from kvgym.sim import Simulator
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.engine import due
from kvgym.sim.engine.due import NOBODY
from tests.sim.small import COST, ENGINE, tokens


@njit
def see_worker(s, w):
    due.see_worker(s, w)


@njit
def next_end_ps(s):
    return due.next_end_ps(s)


@njit
def next_to_end(s):
    return due.next_to_end(s)


@njit
def next_to_start(s, first):
    return due.next_to_start(s, first)


def cluster_of(n):
    simulator = Simulator(ClusterSpec.uniform(n, 10, COST), ENGINE)
    simulator.reset(tokens([[1]]))
    return simulator, simulator.tables["workers"]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 256])
def test_runs_end_in_order_of_time_then_of_workers(n):
    simulator, workers = cluster_of(n)
    assert next_end_ps(simulator.address) == INFINITE
    rng = np.random.default_rng(n)
    for _ in range(3):  # the last word on a worker counts
        workers["event_ps"] = rng.integers(0, 7, n)
        for w in rng.permutation(n):
            see_worker(simulator.address, w)
    expected = sorted(range(n), key=lambda w: (workers["event_ps"][w], w))
    for w in expected:
        assert next_end_ps(simulator.address) == workers["event_ps"][w]
        assert next_to_end(simulator.address) == w
        workers["event_ps"][w] = INFINITE
        see_worker(simulator.address, w)
    assert next_end_ps(simulator.address) == INFINITE


@pytest.mark.parametrize("n", [1, 3, 5, 256])
def test_idle_workers_with_work_may_start(n):
    simulator, workers = cluster_of(n)
    rng = np.random.default_rng(n)
    for _ in range(3):
        workers["event_ps"] = np.where(rng.random(n) < 0.5, INFINITE, 5)
        workers["n_queued"] = rng.integers(0, 2, n)
        workers["n_running"] = rng.integers(0, 2, n)
        for w in rng.permutation(n):
            see_worker(simulator.address, w)
        works = workers["n_queued"] + workers["n_running"] > 0
        expected = np.flatnonzero((workers["event_ps"] == INFINITE) & works).tolist()
        assert simulator.tables["clock"]["n_may_start"][0] == len(expected)
        found = [next_to_start(simulator.address, 0)]
        while found[-1] != NOBODY:
            found.append(next_to_start(simulator.address, found[-1] + 1))
        assert found[:-1] == expected
