"""Bisection on made-up metrics, and whether intervals cover."""

import math

import numpy as np
import pytest

from agents.capacity.search import (
    TOLERANCE,
    Goal,
    border,
    border_interval,
    fewest_workers,
    highest_rate,
)
from kvgym.evaluation import Episode
from tests import often


def episode(seed, **metrics):
    text = {"actions_sha256": "", "records_sha256": "", "workload_sha256": ""}
    return Episode(seed, 1.0, metrics, 1, 0, 0.0, 0.0, n_dropped=0, oracle=False, **text)


def answer(search, metrics_at, seeds=4):
    """Lets a search ask for scales, which stand for tasks."""
    asked, at = [], next(search)
    while True:
        asked.append(at[0])
        try:
            at = search.send([[episode(seed, **metrics_at(at[0], seed)) for seed in range(seeds)]])
        except StopIteration as end:
            return end.value, asked


GOAL = Goal({"ttft_p95": 2.0})


@pytest.mark.parametrize("capacity", [0.03, 0.4, 0.99, 1.0, 1.01, 7.0, 80.0])
@pytest.mark.parametrize("shift", [0.4, 1.0, 3.0])
def test_the_border_is_found(capacity, shift):
    """Wherever it is, and however wrong the share of busy time is about it."""

    def metrics(scale, seed):
        return {"ttft_p95": 2.0 * (scale / capacity) ** 3, "utilisation": shift * scale / capacity}

    found, asked = answer(highest_rate(lambda scale: scale, GOAL), metrics)
    assert capacity / (1 + TOLERANCE) * 0.999 <= found.best <= capacity
    assert sorted(asked) == list(found.tried) and len(asked) <= 22
    assert math.isnan(found.low)  # four seeds


def test_what_never_holds_and_what_always_does():
    never, asked = answer(highest_rate(lambda x: x, GOAL), lambda x, seed: {"ttft_p95": 3.0, "utilisation": 0.5})
    assert math.isnan(never.best) and len(asked) < 12
    always, asked = answer(highest_rate(lambda x: x, GOAL), lambda x, seed: {"ttft_p95": 1.0, "utilisation": 0.5})
    assert always.best == max(asked) and len(asked) < 12


@pytest.mark.parametrize("needed", [1, 2, 5, 16, 100, 128])
@pytest.mark.parametrize("first", [1, 4, 100])
def test_the_fewest_workers_are_found(needed, first):
    def metrics(count, seed):
        return {"ttft_p95": 2.0 * needed / count, "utilisation": 0.7 * needed / count}

    found, asked = answer(fewest_workers(lambda count: count, GOAL, first, 128), metrics)
    assert found.best == needed
    assert needed in asked and (needed == 1 or needed - 1 in asked)
    assert len(asked) <= 16


def test_too_few_workers_whatever_their_number():
    found, _ = answer(fewest_workers(lambda x: x, GOAL, 4, 16), lambda x, seed: {"ttft_p95": 9.0, "utilisation": 1.0})
    assert math.isnan(found.best)


def test_goals():
    goal = Goal({"ttft_p95": 2.0, "tpot_p95": 0.1}, {"slo_attainment": 0.9})
    good = [episode(0, ttft_p95=1.0, tpot_p95=math.nan, slo_attainment=0.95)]
    assert goal.holds(good)  # answers of one token have no time per output token
    for worse in ({"ttft_p95": 2.1}, {"tpot_p95": 0.2}, {"slo_attainment": 0.8}):
        assert not goal.holds([episode(0, **{**good[0].metrics, **worse})])
    assert str(goal) == "ttft_p95 <= 2, tpot_p95 <= 0.1, slo_attainment >= 0.9"


def test_the_border_between_points():
    x = np.array([0.0, 1.0, 2.0])
    y = np.array([[-2.0, -3.0, 1.0], [-1.0, 1.0, 2.0], [1.0, 5.0, 3.0]])
    assert border(x, y).tolist() == [1.5, 0.75, -1.0]


@pytest.mark.parametrize("seeds", [8, 16, pytest.param(32, marks=often.ALL)])
def test_intervals_cover(seeds):
    """Of 300 made-up runs the interval of the border holds the true one in 95 %, give or take what 300 tell."""
    rng = np.random.default_rng(seeds)
    scales = np.geomspace(0.7, 1.4, 9)
    covered = 0
    for _ in range(300):
        # A seed is lighter or heavier at all scales alike (they are paired), skewed as latencies are, and a little
        # different at each.
        seed = rng.gamma(4.0, 0.25, seeds) * np.exp(0.05 * rng.standard_normal((9, seeds)) - 0.00125)
        low, high = border_interval(scales, (scales[:, None] ** 4 * seed)[:, :, None])
        covered += low <= 1.0 <= high
    assert 0.92 <= covered / 300 <= 0.985


def test_no_interval_with_few_seeds():
    assert all(math.isnan(end) for end in border_interval(np.array([0.9, 1.1]), np.ones((2, 7, 1))))
