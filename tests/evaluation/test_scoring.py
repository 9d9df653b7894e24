import math

import numpy as np
import pytest

from kvgym.evaluation.scoring import aggregate, compare, ratio, score, tier

RNG = np.random.default_rng(0)
RANDOM = 8.0 * RNG.lognormal(0, 0.1, 32)
REFERENCE = RANDOM / 4 * RNG.lognormal(0, 0.05, 32)


def test_the_anchors_score_0_and_100():
    assert score(RANDOM, RANDOM, REFERENCE) == (0.0, 0.0)
    assert score(REFERENCE, RANDOM, REFERENCE) == (100.0, 100.0)


def test_half_way_is_the_geometric_mean():
    assert score(np.sqrt(RANDOM * REFERENCE), RANDOM, REFERENCE).raw == pytest.approx(50.0)


@pytest.mark.parametrize(("cost", "clipped"), [(RANDOM * 100, -100.0), (REFERENCE / 1000, 200.0)])
def test_scores_are_clipped_and_the_raw_value_is_kept(cost, clipped):
    found = score(cost, RANDOM, REFERENCE)
    assert found.value == clipped
    assert abs(found.raw) > abs(clipped)


def test_no_score_between_anchors_that_are_equal():
    assert math.isnan(score(RANDOM, RANDOM, RANDOM).value)


def test_the_comparison_is_paired():
    """A slowdown that is the same on all seeds has no spread, however different the seeds are."""
    found = compare(2 * REFERENCE, REFERENCE)
    assert found.speed_up == pytest.approx((0.5, 0.5, 0.5))
    found = compare(REFERENCE + 1, REFERENCE)
    assert found.difference == pytest.approx((1.0, 1.0, 1.0))


def test_the_ratio_is_a_geometric_mean():
    assert ratio(np.array([2.0, 8.0]), np.array([1.0, 1.0])).mean == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("reference", "utilisation", "expected"),
    [
        (REFERENCE, 0.9, "main"),
        (REFERENCE, 1.0, "main"),
        (REFERENCE, 1.01, "overloaded"),
        (RANDOM / 1.26, 0.9, "main"),
        (RANDOM / 1.24, 0.9, "not counted"),
        (RANDOM / 1.24, 1.5, "not counted"),
        (
            RANDOM / np.where(np.arange(32) % 2, 1.0, 1.7),
            0.9,
            "not counted",
        ),  # 1.3 in the mean, but not with confidence
        (RANDOM * 2, 0.9, "not counted"),
    ],
)
def test_tiers(reference, utilisation, expected):
    assert tier(RANDOM, reference, utilisation) == expected


def test_one_seed_is_not_enough_to_count():
    assert tier(RANDOM[:1], REFERENCE[:1], 0.5) == "not counted"


def test_the_aggregate_is_the_mean_of_the_scores():
    half = np.sqrt(RANDOM * REFERENCE)
    first = {"random": RANDOM, "reference": REFERENCE, "half": half}
    second = {"random": RANDOM, "reference": REFERENCE, "half": REFERENCE, "elsewhere": REFERENCE}
    found = aggregate([first, second], "random", "reference")
    assert set(found) == {"random", "reference", "half"}
    assert found["random"] == (0.0, 0.0, 0.0)
    assert found["reference"] == pytest.approx((100.0, 100.0, 100.0))
    assert found["half"] == pytest.approx((75.0, 75.0, 75.0))


def test_the_interval_of_the_aggregate_covers_the_spread_over_seeds():
    noisy = REFERENCE * RNG.lognormal(0, 0.5, 32)
    (mean, low, high) = aggregate([{"a": RANDOM, "b": REFERENCE, "c": noisy}], "a", "b")["c"]
    assert low < mean < high
    # The spread of the score is about that of the log ratio over that of the anchors, log 4.
    assert high - low == pytest.approx(2 * 1.96 * 100 * 0.5 / np.sqrt(32) / np.log(4), rel=0.4)


def test_extreme_scenarios_do_not_decide_from_12_scenarios_on():
    usual = {"a": RANDOM, "b": REFERENCE, "c": REFERENCE}
    disaster = {"a": RANDOM, "b": REFERENCE, "c": RANDOM * 1000}
    assert aggregate([disaster] * 3 + [usual] * 9, "a", "b")["c"].mean == pytest.approx(100.0)
    assert aggregate([disaster] * 3 + [usual] * 8, "a", "b")["c"].mean < 50.0


def test_nothing_counts():
    assert aggregate([], "a", "b") == {}
