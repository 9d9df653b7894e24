"""A long run comes back to Python now and then, so that Ctrl-C is seen; nothing else changes."""

import signal

import numpy as np
import pytest

from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.sim import Simulator
from kvgym.sim.base.codes import ROUNDS
from kvgym.workload import equal_requests

CLUSTER = ClusterSpec.uniform(2, 1000, IterationCost(overhead_ms=1.0, k=0.01, p=1.0))
ENGINE = EngineSpec(page_size=16, max_running=8)


def started(requests: int) -> Simulator:
    simulator = Simulator(CLUSTER, ENGINE, router="least_loaded")
    simulator.reset(equal_requests(0, 16, requests=requests, prompt_tokens=16, output_tokens=1, slot_s=0.01))
    return simulator


N = 10 * ROUNDS
"""Requests, each of them several events."""


class Stop(Exception):
    """In place of a KeyboardInterrupt, which pytest takes for its own."""


def stop(*_: object) -> None:
    raise Stop


def test_a_signal_is_seen_in_the_middle_of_a_run() -> None:
    """And what was interrupted goes on to the same end."""
    started(1).run()  # the kernels are loaded
    simulator, undisturbed = started(N), started(N)
    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.05)  # of processor time: a busy machine changes nothing
        with pytest.raises(Stop):
            simulator.run()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert 0 < simulator.tables["clock"]["n_finished"][0] < N
    simulator.run()
    undisturbed.run()
    assert np.array_equal(simulator.records(), undisturbed.records())
    assert np.array_equal(simulator.totals(), undisturbed.totals())
