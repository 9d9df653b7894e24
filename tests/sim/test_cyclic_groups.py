"""Groups that share a prefix, asked in cyclic order, one at a time: where LRU falls off a cliff and RLT does not.

The expected figures come from an independent simulation of the same setting (B = 20,000 tokens, 32 rounds, half of each
prompt shared, a fresh question each time, evictions of the full request); W is the number of tokens of one round.
"""

import numpy as np
import pytest

from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.sim import Simulator
from kvgym.workload import Workload

CACHE = 20_000
ROUNDS = 32
# W / B: whole-node LRU, RLT with equal lengths, RLT with lengths 1 : 2 : 4 : 8 : 16
FIGURES = {
    0.8: (0.476, 0.483, 0.466),
    1.05: (0.000, 0.459, 0.407),
    1.2: (0.000, 0.361, 0.321),
    1.5: (0.000, 0.155, 0.145),
    2.0: (0.000, 0.000, 0.001),
}
TOLERANCE = 0.015


def cyclic(lengths):
    """Every group's prompt in turn, `ROUNDS` times, so far apart that each is served alone."""
    lengths = np.asarray(lengths)
    groups, n = len(lengths), len(lengths) * ROUNDS
    shared = np.rint(lengths * 0.5).astype(int)
    group = np.tile(np.arange(groups), ROUNDS)
    return Workload.from_segments(
        np.arange(0, 2 * n + 1, 2),
        np.column_stack([group, groups + np.arange(n)]).ravel(),
        np.zeros(2 * n, int),
        np.column_stack([shared[group], (lengths - shared)[group]]).ravel(),
        np.ones(n, int),
        np.arange(n) * 100.0,
        1,
    )


def equal(ratio):
    return cyclic([1000] * round(ratio * CACHE / 1000))


def mixed(ratio):
    unit = ratio * CACHE / 8 / 31
    return cyclic([round(unit * 2 ** (i % 5)) for i in range(40)])


def hit_rate(workload, evictor, seeds):
    engine = EngineSpec(page_size=1, schedule="prefill_first", max_running=2048, evict_full_request=True)
    sim = Simulator(ClusterSpec.uniform(1, CACHE, IterationCost(c0=1.0, k=0.1)), engine, evictor, "round_robin")
    rates = []
    for seed in range(seeds):
        sim.reset(workload, seed)
        sim.run()
        records = sim.records()
        rates.append(records["hit_tokens"].sum() / records["prompt_tokens"].sum())
    return np.mean(rates)


@pytest.mark.parametrize("ratio", FIGURES)
def test_whole_node_lru(ratio):
    assert hit_rate(equal(ratio), "lru_node", 1) == pytest.approx(FIGURES[ratio][0], abs=TOLERANCE)


@pytest.mark.parametrize("ratio", FIGURES)
def test_rlt_with_equal_lengths(ratio):
    assert hit_rate(equal(ratio), "rlt_code", 5) == pytest.approx(FIGURES[ratio][1], abs=TOLERANCE)


@pytest.mark.parametrize("ratio", FIGURES)
def test_rlt_with_mixed_lengths(ratio):
    assert hit_rate(mixed(ratio), "rlt_code", 5) == pytest.approx(FIGURES[ratio][2], abs=TOLERANCE)
