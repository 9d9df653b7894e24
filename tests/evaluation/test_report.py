import json
from dataclasses import replace

import numpy as np
import pytest

from kvgym.evaluation import files, report
from kvgym.evaluation.report import COLUMNS, Axes, matrix, number, signed
from kvgym.evaluation.scoring import aggregate
from kvgym.evaluation.standings import Failure, Player, board
from kvgym.evaluation.statistics import Interval
from kvgym.scenarios import get_scenario

RANDOM, REFERENCE = Player("random", "lru"), Player("lbgr_code", "rlt_code")
GOOD, ORACLE, BAD = Player("good", "lru"), Player("lbgr_code", "belady", True), Player("bad", "lru")
SEEDS = range(12)


@pytest.fixture
def make_report(made_up):
    def make(n=12, split="train", n_dropped=0, smoke=False, reference_cost=2.0):
        spread = 1 + 0.1 * np.random.default_rng(0).random(12)

        def episodes(cost):
            return [made_up.episode(seed, cost * spread[seed], n_dropped=n_dropped) for seed in SEEDS[:n]]

        played = {
            RANDOM: episodes(8.0),
            REFERENCE: episodes(reference_cost),
            GOOD: episodes(4.0),
            ORACLE: episodes(1.0),
        }
        errors = {BAD: Failure("seed 0: ZeroDivisionError: division by zero (bad.py:3)")}
        one = board(get_scenario("gsp-stable"), {}, split, played, errors, RANDOM, REFERENCE)
        totals = {one.tier: aggregate([one.costs], RANDOM, REFERENCE)} if one.tier != "not counted" else {}
        return report.Report("1.2.3", split, n, smoke, [one], totals)

    return make


def test_rows_are_sorted_by_cost_and_scored(make_report):
    (one,) = make_report().boards
    assert [row.player for row in one.rows] == [ORACLE, REFERENCE, GOOD, RANDOM]
    assert [row.score.value for row in one.rows] == pytest.approx([150, 100, 50, 0])
    assert [row.versus.speed_up.mean for row in one.rows] == pytest.approx([2, 1, 0.5, 0.25])
    assert (one.tier, one.frozen) == ("main", False)
    assert one.separation.mean == pytest.approx(4.0)


def test_the_overall_score_leaves_out_who_failed(make_report):
    scores = make_report().overall["main"]
    assert list(scores) == [ORACLE, REFERENCE, GOOD, RANDOM]
    assert [score.mean for score in scores.values()] == pytest.approx([150, 100, 50, 0])


def test_a_wide_terminal_shows_all_columns(make_report):
    text = report.terminal(make_report(), 400)
    assert all(column.title in text for column in COLUMNS)


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_tables_fit_the_terminal(make_report, width):
    text = report.terminal(make_report(), width)
    assert "J [s]" in text
    tables = [line for line in text.splitlines() if line.startswith(("agent ", "---", "good ", "lbgr", "random "))]
    assert len(tables) > 10
    assert max(map(len, tables)) <= width


def test_the_narrowest_terminal_still_shows_what_counts(make_report):
    header = next(line for line in report.terminal(make_report(), 10).splitlines() if line.startswith("agent"))
    assert header.split() == ["agent", "evictor", "J", "[s]", "score"]


def test_oracles_are_marked_everywhere(make_report):
    made = make_report()
    for text in (report.terminal(made, 120), report.markdown(made)):
        lines = [line for line in text.splitlines() if "belady" in line]
        assert len(lines) == 2  # on the scenario, and overall
        assert all("(oracle)" in line for line in lines)
    value = report.as_dict(made)
    rows = [*value["scenarios"][0]["rows"], *value["overall"]["main"]]
    assert [row["oracle"] for row in rows] == [row["evictor"] == "belady" for row in rows]


def test_failures_are_shown(make_report):
    made = make_report()
    for text in (report.terminal(made, 120), report.markdown(made)):
        assert "FAILED bad + lru: seed 0: ZeroDivisionError: division by zero (bad.py:3)" in text
        assert any(line.strip("| ").startswith("bad ") and "FAILED" in line for line in text.splitlines())
    assert report.as_dict(made)["scenarios"][0]["errors"][0]["agent"] == "bad"


def test_who_broke_a_rule_did_not_fail(make_report):
    made = make_report()
    made.boards[0].errors[BAD] = Failure("seed 0: it looked behind the view", broke_rule=True)
    for text in (report.terminal(made, 120), report.markdown(made)):
        assert "NOT RANKED bad + lru: seed 0: it looked behind the view" in text
        assert "FAILED" not in text
    (error,) = report.as_dict(made)["scenarios"][0]["errors"]
    assert (error["broke_rule"], error["error"]) == (True, "seed 0: it looked behind the view")


def test_markdown_has_all_columns_and_says_what_they_are(make_report):
    text = report.markdown(make_report())
    (header,) = (line for line in text.splitlines() if line.startswith("| agent") and "J [s]" in line)
    assert [cell.strip() for cell in header.strip("|").split("|")] == [column.title for column in COLUMNS]
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
    value = json.loads(files.to_text(report.as_dict(make_report())))
    (scenario,) = value["scenarios"]
    assert (scenario["name"], scenario["version"], scenario["tier"]) == ("gsp-stable", 0, "main")
    row = scenario["rows"][1]
    assert (row["agent"], row["score"], row["seeds"]) == ("lbgr_code", 100.0, 12)
    assert row["metrics"]["tpot_mean"] is None
    assert set(row["difference"]) == {"mean", "low", "high"}


def test_smoke_tests_say_so_and_use_t_intervals(make_report):
    made = make_report(n=3, smoke=True)
    for text in (report.terminal(made, 120), report.markdown(made)):
        assert "SMOKE TEST, not a result" in text
        assert "Student's t" in text
    assert report.as_dict(made)["smoke_test"] is True
    full = report.terminal(make_report(), 120)
    assert "SMOKE" not in full
    assert "bootstrap" in full


def test_dropped_requests_are_counted(make_report):
    assert "36 requests fit on no worker" in report.terminal(make_report(n_dropped=3), 120)
    assert "fit on no worker" not in report.terminal(make_report(), 120)


def test_scores_that_do_not_count_stand_in_brackets(make_report):
    made = make_report(reference_cost=7.5)
    assert made.boards[0].tier == "not counted"
    assert made.overall == {}
    line = next(line for line in report.terminal(made, 120).splitlines() if line.startswith("random"))
    assert "(0)" in line


def test_a_matrix_has_a_row_for_each_router():
    axes = Axes(("a", "b"), ("lru", "rlt"))
    scores = {Player("a", "lru"): 12.4, Player("b", "rlt"): -3.0, Player("c", "lru"): 7.0}
    (table,) = matrix(axes, scores, "simple")
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == ["score", "lru", "rlt"]
    assert rows[2:] == [["a", "12", "-"], ["b", "-", "-3"]]


def test_a_report_with_axes_shows_a_matrix_for_each_scenario_and_tier(make_report):
    made = replace(make_report(), track="joint", axes=Axes(("lbgr_code", "good"), ("rlt_code", "lru")))
    for text in (report.terminal(made, 120), report.markdown(made)):
        rows = [line.replace("|", " ").split() for line in text.splitlines()]
        assert rows.count(["lbgr_code", "100", "-"]) == rows.count(["good", "-", "50"]) == 2
        assert "joint track" in text
    assert report.as_dict(made)["matrix"] == {"routers": ["lbgr_code", "good"], "evictors": ["rlt_code", "lru"]}


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
        (Interval(1.234, 0.234, 2.234), "+1.2 [+0.2, +2.2]"),
        (Interval(-0.01, -0.021, 0.001), "-0.010 [-0.021, +0.001]"),
        (Interval(0.0, 0.0, 0.0), "+0.00 [+0.00, +0.00]"),
        (Interval(1.5, float("nan"), float("nan")), "+1.500"),
    ],
)
def test_differences_are_as_precise_as_their_interval(interval, text):
    assert signed(interval) == text
