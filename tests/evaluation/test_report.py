import json
import math
from dataclasses import replace

import pytest

from kvgym.evaluation import anchors, files, plain, report
from kvgym.evaluation.report import COLUMNS, TOTALS, Axes, matrix, number, ranged
from kvgym.evaluation.standings import Failure, Player
from kvgym.evaluation.statistics import Interval
from kvgym.scenarios import get_scenario

RANDOM, REFERENCE = Player("random", "lru"), Player("lbgr_code", "rlt_code")
GOOD, ORACLE, BAD = Player("good", "lru"), Player("lbgr_code", "belady", True), Player("bad", "lru")


@pytest.fixture
def make_report(made_up, monkeypatch):
    def make(n=12, split="test", n_dropped=0, smoke=False, planner=1.2, load="", costs=None):
        costs = costs or {RANDOM: 8.0, REFERENCE: 2.0, GOOD: 4.0, ORACLE: 1.0}
        played = {player: made_up.episodes(cost, n, n_dropped=n_dropped) for player, cost in costs.items()}
        errors = {BAD: Failure("seed 0: ZeroDivisionError: division by zero (bad.py:3)")}
        scenario = get_scenario("gsp-stable")
        monkeypatch.setattr(anchors, "load", lambda: {scenario.name: made_up.frozen(scenario, planner=planner)})
        return made_up.report([made_up.board(scenario, played, errors, split, load=load)], split, n, smoke=smoke)

    return make


def test_rows_are_sorted_by_cost_and_compared(make_report):
    (one,) = make_report().boards
    assert [row.player for row in one.rows] == [ORACLE, REFERENCE, GOOD, RANDOM]
    assert [row.speed_up.mean for row in one.rows] == pytest.approx([2, 1, 0.5, 0.25])
    assert [row.of_frontier.mean for row in one.rows] == pytest.approx([1.6, 0.8, 0.4, 0.2])
    assert [row.label for row in one.rows] == ["oracle", "anchor: reference", "", "anchor: random"]


def test_scores_leave_out_who_failed_and_give_oracles_no_rank(make_report):
    (one,) = make_report().overall
    assert [(row.player, row.rank) for row in one.totals] == [(ORACLE, 0), (REFERENCE, 1), (GOOD, 2), (RANDOM, 3)]
    assert [row.score.reference.mean for row in one.totals] == pytest.approx([2, 1, 0.5, 0.25])
    expected = [100 * math.log(8 / cost) / math.log(8 / 1.6) for cost in (1, 2, 4, 8)]
    assert [row.score.frontier.mean for row in one.totals] == pytest.approx(expected)
    assert {row.attainment for row in one.totals} == {0.875}


def test_loads_are_scored_apart(make_report, made_up):
    low, high = (make_report(load=load).boards[0] for load in ("x 0.5", "x 1"))
    made = made_up.report([low, high, replace(low, scenario=get_scenario("gsp"))])
    assert [(one.load, one.scenarios) for one in made.overall] == [
        ("x 0.5", ("gsp-stable", "gsp")),
        ("x 1", ("gsp-stable",)),
    ]
    for text in (report.terminal(made, 120), report.markdown(made)):
        assert "Scores over the ranked scenarios, load x 0.5: gsp-stable, gsp" in text
        assert "gsp-stable (version 0, load x 1)" in text


def test_the_order_without_a_scenario_is_told(make_report, made_up):
    made = make_report()
    other = make_report(costs={RANDOM: 8.0, REFERENCE: 2.0, GOOD: 0.01}).boards[0]
    made = made_up.report([made.boards[0], replace(other, scenario=get_scenario("gsp"))])
    assert made.overall[0].leave_one_out == pytest.approx({"gsp-stable": 1.0, "gsp": -1 / 3 + 2 / 3})
    assert "Kendall's tau 0.33 or more (without gsp)" in report.terminal(made, 120)


def test_too_few_training_seeds_have_no_rank(make_report):
    few, enough = (Player(f"learned{n}", "lru", training="x", training_seeds=n) for n in (4, 5))
    (one,) = make_report(costs={RANDOM: 8.0, REFERENCE: 2.0, few: 1.0, enough: 1.5}).overall
    assert {row.player: row.rank for row in one.totals} == {few: 0, enough: 1, REFERENCE: 2, RANDOM: 3}
    by_player = {row.player: row.score.worst_training for row in one.totals}
    assert by_player[enough] == pytest.approx(2 / 1.5) and math.isnan(by_player[RANDOM])


def test_a_wide_terminal_shows_all_columns(make_report):
    text = report.terminal(make_report(), 400)
    assert all(column.title in text for column in COLUMNS)


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_tables_fit_the_terminal(make_report, width):
    text = report.terminal(make_report(), width)
    assert "J [s]" in text
    parts = ("agent ", "---", "good ", "lbgr_code ", "random ")
    tables = [line for line in text.splitlines() if ":" not in line and any(part in line for part in parts)]
    assert len(tables) > 10
    assert max(map(len, tables)) <= width


def test_the_narrowest_terminal_still_shows_what_counts(make_report):
    header = next(line for line in report.terminal(make_report(), 10).splitlines() if line.startswith("agent"))
    assert header.split() == ["agent", "evictor", "J", "[s]"]


def test_oracles_are_marked_everywhere(make_report):
    made = make_report()
    for text in (report.terminal(made, 120), report.markdown(made)):
        lines = [line for line in text.splitlines() if "belady" in line]
        assert len(lines) == 2  # on the scenario, and overall
        assert all("(oracle)" in line for line in lines)
    value = plain.as_dict(made)
    rows = [*value["scenarios"][0]["rows"], *value["overall"][0]["rows"], *value["players"]]
    assert [row["oracle"] for row in rows] == [row["evictor"] == "belady" for row in rows]


def test_failures_are_shown(make_report):
    made = make_report()
    for text in (report.terminal(made, 120), report.markdown(made)):
        assert "FAILED bad + lru: seed 0: ZeroDivisionError: division by zero (bad.py:3)" in text
        assert any(line.strip("| ").startswith("bad ") and "FAILED" in line for line in text.splitlines())
    assert plain.as_dict(made)["scenarios"][0]["errors"][0]["agent"] == "bad"


def test_who_broke_a_rule_did_not_fail(make_report):
    made = make_report()
    made.boards[0].errors[BAD] = Failure("seed 0: it looked behind the view", broke_rule=True)
    for text in (report.terminal(made, 120), report.markdown(made)):
        assert "NOT RANKED bad + lru: seed 0: it looked behind the view" in text
        assert "FAILED" not in text
    (error,) = plain.as_dict(made)["scenarios"][0]["errors"]
    assert (error["broke_rule"], error["error"]) == (True, "seed 0: it looked behind the view")


def test_markdown_has_all_columns_and_says_what_they_are(make_report):
    text = report.markdown(make_report())
    (header,) = (line for line in text.splitlines() if line.startswith("| agent") and "J [s]" in line)
    assert [cell.strip() for cell in header.strip("|").split("|")] == [column.title for column in COLUMNS]
    (header,) = (line for line in text.splitlines() if line.startswith("|") and "middle" in line)
    titles = [column.title for column in TOTALS if column.title != "worst training"]
    assert [cell.strip() for cell in header.strip("|").split("|")] == titles
    assert all(f"- **{column.title}**: {column.text}" in text for column in COLUMNS)


def test_classes_have_columns_where_there_are_several(make_report):
    made = make_report()
    (board,) = made.boards
    scenario = board.scenario.with_overrides({"classes": [{"name": "chat"}, {"name": "batch"}]})
    met = {"slo_attainment/chat": 0.5, "slo_attainment/batch": 0.253}
    rows = [replace(row, metrics=row.metrics | met) for row in board.rows]
    text = report.markdown(replace(made, boards=[replace(board, scenario=scenario, rows=rows)]))
    assert "chat ok %" in text and "25.3" in text
    assert "- **batch ok %**: requests of class batch that met its targets" in text
    assert "ok %" not in report.markdown(made)


def test_json_is_plain_and_complete(make_report):
    value = json.loads(files.to_text(plain.as_dict(make_report())))
    (scenario,) = value["scenarios"]
    assert (scenario["name"], scenario["version"], scenario["ranked"]) == ("gsp-stable", 0, True)
    row = scenario["rows"][1]
    assert (row["agent"], row["speed_up"]["mean"], row["seeds"]) == ("lbgr_code", 1.0, 12)
    assert row["metrics"]["tpot_mean"] is None
    assert scenario["anchors"]["frontier"]["pair"] == "lpwl + lfu"
    assert scenario["anchors"]["planner"]["ratio"]["mean"] == pytest.approx(0.75)
    assert scenario["workloads_sha256"] == ["b" * 64] * 12
    players = {(one["agent"], one["evictor"]): one["on"] for one in value["players"]}
    assert players == {
        ("lbgr_code", "belady"): [0],
        ("lbgr_code", "rlt_code"): [1],
        ("good", "lru"): [2],
        ("random", "lru"): [3],
        ("bad", "lru"): [None],
    }
    (overall,) = value["overall"]
    assert len(overall["rows"][0]["profile"]) == len(overall["profile_at"])
    assert set(overall["rows"][0]["frontier"]) == {"mean", "low", "high"}


def test_smoke_tests_say_so(make_report):
    made = make_report(n=1, smoke=True)
    for text in (report.terminal(made, 200), report.markdown(made)):
        assert "SMOKE TEST, not a result" in text
        assert "0.500 [too few seeds]" in text
    assert plain.as_dict(made)["smoke_test"] is True
    assert "SMOKE" not in report.terminal(make_report(), 120)


def test_the_frontier_and_the_planner_are_told(make_report):
    text = report.terminal(make_report(), 120)
    assert "\nranked\nbest known causal pair: lpwl + lfu, 1.6" in text
    assert "planner + lfu needs 0.75 [0.75, 0.75] of its J (32 seeds)" in text


@pytest.mark.parametrize(("fewer", "said"), [(0, "(32 seeds)"), (1, "(32 seeds of shorter episodes)")])
def test_shorter_episodes_of_the_planner_are_told(make_report, fewer, said):
    made = make_report()
    (board,) = made.boards
    overrides = {"episode_requests": board.scenario.episode_requests - fewer}
    known = replace(board.anchors, planner=replace(board.anchors.planner, overrides=overrides))
    assert said in report.terminal(replace(made, boards=[replace(board, anchors=known)]), 120)


def test_what_is_not_ranked_says_why(make_report):
    made = make_report(planner=1.55)
    assert made.overall == []
    text = report.terminal(made, 120)
    assert "not ranked: the planner is 3 % [3 %, 3 %] below the frontier; 10 % with confidence are needed" in text
    assert "Scores over" not in text


def test_dropped_requests_are_counted(make_report):
    assert "36 requests fit on no worker" in report.terminal(make_report(n_dropped=3), 120)
    assert "fit on no worker" not in report.terminal(make_report(), 120)


def test_a_matrix_has_a_row_for_each_router():
    axes = Axes(("a", "b"), ("lru", "rlt"))
    scores = {Player("a", "lru"): 1.24, Player("b", "rlt"): 0.3, Player("c", "lru"): 7.0}
    (table,) = matrix(axes, scores, "simple")
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == ["x", "ref", "lru", "rlt"]
    assert rows[2:] == [["a", "1.24", "-"], ["b", "-", "0.300"]]


def test_a_report_with_axes_shows_a_matrix_for_each_scenario_and_load(make_report):
    made = replace(make_report(), track="joint", axes=Axes(("lbgr_code", "good"), ("rlt_code", "lru")))
    for text in (report.terminal(made, 120), report.markdown(made)):
        rows = [line.replace("|", " ").split() for line in text.splitlines()]
        assert rows.count(["lbgr_code", "1.00", "-"]) == rows.count(["good", "-", "0.500"]) == 2
        assert "joint track" in text
    assert plain.as_dict(made)["matrix"] == {"routers": ["lbgr_code", "good"], "evictors": ["rlt_code", "lru"]}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00"), (0.01234, "0.0123"), (0.000012, "0.0000"), (1.236, "1.24"), (98.76, "98.8"), (12345.6, "12346")],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_what_is_not_known_is_a_dash():
    assert number(float("nan")) == "-"


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(1.234, 0.234, 2.234), "1.23 [0.234, 2.23]"),
        (Interval(1.5, math.nan, math.nan), "1.50 [too few seeds]"),
        (Interval(math.nan, math.nan, math.nan), "-"),
    ],
)
def test_an_interval_stands_beside_its_value(interval, text):
    assert ranged(interval) == text
