"""The leaderboard's intervals hold what they are for; docs/leaderboard.md has longer runs."""

import pytest

from studies.interval_study import CASES, coverage

FAST = [case for case in CASES if case.scenarios == 1 and case.what == "scenario"]
SLOW = [case for case in CASES if case not in FAST]
TRIALS = 200
ERROR = 0.04
"""Two and a half times the deviation of a share of 95 % in so many trials, about."""


def check(case, trials):
    speed, score = coverage(case, trials, seed=1)
    assert 0.92 - ERROR <= speed <= 0.98 + ERROR
    assert score != score or 0.92 - ERROR <= score <= 0.98 + ERROR


@pytest.mark.parametrize("case", FAST, ids=str)
def test_comparisons_on_a_scenario_hold_the_true_value(case):
    check(case, TRIALS)


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW, ids=str)
def test_scores_hold_the_true_value(case):
    check(case, TRIALS)
