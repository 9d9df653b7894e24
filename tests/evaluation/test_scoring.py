"""Scores against plain NumPy that was written from docs/leaderboard.md alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from kvgym.evaluation import scoring
from kvgym.evaluation.scoring import PROFILE, Results, aggregate, compare, kendall, leave_one_out, profile

RNG = np.random.default_rng(0)
AGENTS = ("a", "b", "c", "d")
N = 16


def scenario(n=N, training=None, frontier=True):
    """A made-up scenario, the seeds of which differ by far more than the agents."""
    load = RNG.lognormal(0, 0.8, n)

    def costs(middle):
        return load * middle * RNG.lognormal(0, 0.1, n)

    made = {name: costs(middle) for name, middle in zip(AGENTS, RNG.uniform(0.5, 6.0, len(AGENTS)), strict=True)}
    known = {name: np.arange(n) % training for name in ("a",)} if training else {}
    return Results(costs(8.0), costs(2.0), costs(1.0) if frontier else None, made, known)


SCENARIOS = [scenario() for _ in range(10)]
SCORES = aggregate(SCENARIOS)


def by_hand(of, agent, index=None):
    """Both scores of an agent; `index`: seeds of each scenario."""
    index = index or [np.arange(N)] * len(of)
    pairs = [(one, one.costs[agent], own) for one, own in zip(of, index, strict=True)]
    faster = [np.log(one.reference[own] / cost[own]).mean() for one, cost, own in pairs]
    above = [np.log(one.random[own] / cost[own]).mean() for one, cost, own in pairs]
    most = [np.log(one.random[own] / one.frontier[own]).mean() for one, _, own in pairs]
    return math.exp(sum(faster) / len(of)), 100 * (sum(above) / len(of)) / (sum(most) / len(of))


@pytest.mark.parametrize("agent", AGENTS)
def test_scores_are_those_of_plain_numpy(agent):
    found = SCORES[agent]
    assert (found.reference.mean, found.frontier.mean) == pytest.approx(by_hand(SCENARIOS, agent))
    wins = [np.mean(one.costs[agent] < one.reference) for one in SCENARIOS]
    assert found.wins_reference == pytest.approx(np.mean(wins))
    assert found.wins_frontier == pytest.approx(np.mean([np.mean(s.costs[agent] < s.frontier) for s in SCENARIOS]))
    logs = [np.log(one.reference / one.costs[agent]).mean() for one in SCENARIOS]
    assert found.middle == pytest.approx(np.exp(stats.trim_mean(logs, 0.25)))
    assert math.isnan(found.worst_training)


@pytest.mark.parametrize("agent", AGENTS[:2])
def test_intervals_are_those_of_a_plain_bootstrap(agent):
    """The seeds of each scenario are drawn with replacement, the same ones for agent and anchors."""
    random = np.random.default_rng(7)
    drawn = [by_hand(SCENARIOS, agent, [random.integers(N, size=N) for _ in SCENARIOS]) for _ in range(1500)]
    for number, found in enumerate((SCORES[agent].reference, SCORES[agent].frontier)):
        values = np.log([one[number] for one in drawn]) if number == 0 else np.array([one[number] for one in drawn])
        ends = np.log(found[1:]) if number == 0 else np.array(found[1:])
        expected = 1.96 * values.std() * math.sqrt(N / (N - 1))  # with so many degrees of freedom t is normal
        assert (ends[1] - ends[0]) / 2 == pytest.approx(expected, rel=0.08)
        assert ends.mean() == pytest.approx(values.mean(), abs=0.1 * expected)


def test_intervals_elsewhere_are_those_of_scenarios_that_are_drawn():
    random = np.random.default_rng(8)
    drawn = []
    for _ in range(3000):
        picked = [SCENARIOS[i] for i in random.integers(len(SCENARIOS), size=len(SCENARIOS))]
        drawn.append(math.log(by_hand(picked, "b")[0]))
    low, high = np.log(SCORES["b"].reference_elsewhere[1:])
    expected = stats.t.ppf(0.975, 9) * np.std(drawn) * math.sqrt(10 / 9)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.12)


def test_the_best_comes_first_and_all_scores_order_alike():
    assert list(SCORES) == sorted(AGENTS, key=lambda name: np.mean([np.log(s.costs[name]).mean() for s in SCENARIOS]))
    assert [one.frontier.mean for one in SCORES.values()] == sorted(s.frontier.mean for s in SCORES.values())[::-1]


def test_anchors_score_exactly():
    anchors = [{name: getattr(one, name) for name in ("random", "reference", "frontier")} for one in SCENARIOS]
    found = aggregate([Results(**own, costs=own) for own in anchors])
    assert found["reference"].reference == (1.0, 1.0, 1.0)
    assert found["frontier"].frontier == pytest.approx((100.0, 100.0, 100.0))
    assert found["random"].frontier == (0.0, 0.0, 0.0)
    assert (found["reference"].wins_reference, found["frontier"].wins_frontier) == (0.5, 0.5)  # all are ties


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_nothing_is_clipped(factor):
    of = [replace(one, costs={"x": one.reference * factor}) for one in SCENARIOS]
    assert aggregate(of)["x"].reference.mean == pytest.approx(1 / factor)
    assert abs(aggregate(of)["x"].frontier.mean) > 200


def test_a_scenario_with_little_to_gain_counts_little_against_the_frontier():
    """A ratio of means: a mean of ratios would be blown up by the scenario where the frontier gains 1 %."""
    one, ten = np.ones(N), np.full(N, 10.0)
    wide = Results(ten, one, one, {"x": ten})  # x is no better than random
    narrow = Results(1.01 * one, one, one, {"x": 0.9 * one})  # x gains ten times what the frontier gains
    assert aggregate([wide, narrow])["x"].frontier.mean == pytest.approx(100 * math.log(1.01 / 0.9) / math.log(10.1))


def test_who_did_not_play_everywhere_has_no_score():
    more = replace(SCENARIOS[0], costs={**SCENARIOS[0].costs, "new": np.ones(N)})
    assert set(aggregate([more, *SCENARIOS[1:]])) == set(AGENTS)
    assert aggregate([]) == {}


def test_without_a_frontier_there_is_no_score_against_it():
    found = aggregate([*SCENARIOS[:3], scenario(frontier=False)])["a"]
    assert math.isnan(found.frontier.mean) and math.isnan(found.wins_frontier)
    assert found.reference.low < found.reference.mean < found.reference.high


@pytest.mark.parametrize(("scenarios", "seeds", "has"), [(1, 3, False), (1, 32, True), (8, 10, True), (8, 9, False)])
def test_there_is_an_interval_where_its_coverage_was_checked(scenarios, seeds, has):
    found = aggregate([scenario(seeds) for _ in range(scenarios)])["b"]
    assert math.isfinite(found.reference.low) == math.isfinite(found.frontier.low) == has
    assert math.isfinite(found.reference_elsewhere.low) == (scenarios >= scoring.FEWEST_SCENARIOS)


def test_of_learned_agents_training_seeds_are_drawn():
    """Networks that differ more than seeds: five training seeds decide, however many episodes each plays."""
    by_network = np.array([0.5, 0.8, 1.0, 1.3, 2.0])
    base = [scenario(40, training=5) for _ in range(6)]
    of = [replace(one, costs={"a": one.reference * by_network[one.training["a"]]}) for one in base]
    found = aggregate(of)["a"]
    logs = -np.log(by_network)
    assert found.reference.mean == pytest.approx(math.exp(logs.mean()))
    assert found.worst_training == pytest.approx(0.5)
    half = stats.t.ppf(0.975, 4) * logs.std(ddof=1) / math.sqrt(5)
    low, high = np.log(found.reference[1:])
    assert (high - low) / 2 == pytest.approx(half, rel=0.2)
    few = [replace(one, training={"a": np.arange(40) % 3}) for one in base]
    assert math.isnan(aggregate(few)["a"].reference.low)


def test_comparisons_are_paired():
    """A slowdown that is the same on all seeds has no spread, however different the seeds are."""
    reference = RNG.lognormal(0, 1, 32)
    assert compare(2 * reference, reference) == pytest.approx((0.5, 0.5, 0.5))


def test_comparisons_are_students_t_of_logarithms():
    cost, other = RNG.lognormal(0, 0.3, (2, 9))
    logs = np.log(other / cost)
    ends = stats.t.interval(0.95, 8, logs.mean(), stats.sem(logs))
    assert compare(cost, other) == pytest.approx(tuple(np.exp([logs.mean(), *ends])))
    assert math.isnan(compare(cost[:2], other[:2]).low)


def test_profiles_are_shares_of_episodes():
    found = profile(SCENARIOS, "b")
    for place in (0, 10, 25, 40):
        shares = [np.mean([*map(bool, s.costs["b"] <= PROFILE[place] * s.frontier)]) for s in SCENARIOS]
        assert found[place] == pytest.approx(np.mean(shares))
    assert np.isnan(profile([scenario(frontier=False)], "b")).all()


def test_kendalls_tau_is_that_of_scipy():
    for _ in range(20):
        first, second = RNG.integers(0, 6, (2, 9)).astype(float)
        assert kendall(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)


def test_one_scenario_is_left_out_at_a_time():
    found = leave_one_out(SCENARIOS, AGENTS)
    for place, tau in enumerate(found):
        rest = SCENARIOS[:place] + SCENARIOS[place + 1 :]
        whole, part = ([by_hand(of, name)[0] for name in AGENTS] for of in (SCENARIOS, rest))
        assert tau == pytest.approx(stats.kendalltau(whole, part).statistic)
    assert np.isnan(leave_one_out(SCENARIOS[:1], AGENTS)).all()
