"""Scenarios of one's own on the leaderboard."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents import make_agent
from agents.leaderboard import __main__ as leaderboard
from agents.leaderboard.plan import make_cases
from kvgym.evaluation import anchors, play, standings
from kvgym.evaluation.scoring import RANDOM, REFERENCE
from kvgym.evaluation.standings import Player
from kvgym.scenarios import get_scenario
from tests.scenarios import own

ROOT = Path(__file__).parents[2]
MODULE = (ROOT / "tests/scenarios/own.py").read_text(encoding="utf-8").replace("tests.scenarios.own:", "my_shops:")
REGISTERING = """
from dataclasses import replace
from kvgym import register_recipe

register_recipe("orders", orders)
shop = replace(shop, recipe="orders")
"""
"""The recipe goes by a name that every process has to register."""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_shops.py").write_text(MODULE, encoding="utf-8")
    fields = {**own.shop.to_dict(), "name": "filed", "recipe": "my_shops:orders"}
    (tmp_path / "filed.json").write_text(json.dumps(fields), encoding="utf-8")
    return tmp_path


def run(folder, *argv):
    """The command line, as in a terminal in `folder`; the tables as JSON, and what it printed."""
    command = [sys.executable, "-W", "error", "-m", "agents.leaderboard", "--agent", "least_loaded", "--out", "out"]
    where = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *argv], cwd=folder, env=where, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads((folder / "out" / "leaderboard.json").read_text()), done.stdout


def costs(board):
    return {row["agent"]: row["J"] for row in board["rows"]}


@pytest.mark.slow
def test_two_processes_find_module_and_file(folder):
    argv = ["--scenario", "my_shops:shop", "filed.json", "sanity", "--seeds", "6", "--workers", "2"]
    value, text = run(folder, *argv)
    boards = {board["name"]: board for board in value["scenarios"]}
    assert list(boards) == ["shop", "filed", "sanity"]
    assert "shop (version 0, not of the suite): orders in three shops" in text
    for name in ("shop", "filed"):
        assert boards[name]["anchors"] is None and boards[name]["not_ranked"] == "it is not of the suite"
        assert not boards[name]["errors"] and set(costs(boards[name])) == {"random", "least_loaded", "lbgr_code"}
        assert boards[name]["fields"]["recipe_args"] == {"rate": 30.0}
        other = next(row for row in boards[name]["rows"] if row["agent"] == "least_loaded")
        assert other["speed_up"]["low"] < other["speed_up"]["mean"] < other["speed_up"]["high"]
    assert boards["sanity"]["fields"] is None and boards["sanity"]["anchors"]
    assert costs(boards["shop"])["least_loaded"] != costs(boards["filed"])["least_loaded"]  # its own requests
    # Nothing is played again; a change of the recipe's code, or of a field, is another result.
    runs = {path.name for path in (folder / "out" / "runs").iterdir()}
    run(folder, *argv)
    assert {path.name for path in (folder / "out" / "runs").iterdir()} == runs
    (folder / "my_shops.py").write_text(MODULE.replace("600), rng", "700), rng"), encoding="utf-8")
    changed, _ = run(folder, "--scenario", "my_shops:shop", "sanity", "--seeds", "6", "--workers", "2")
    assert costs(changed["scenarios"][0]) != costs(boards["shop"])
    assert costs(changed["scenarios"][1]) == costs(boards["sanity"])


@pytest.mark.slow
def test_processes_import_the_module_and_so_what_it_registers(folder):
    (folder / "my_shops.py").write_text(MODULE + REGISTERING, encoding="utf-8")
    value, _ = run(folder, "--scenario", "my_shops:shop", "--seeds", "4", "--workers", "2")
    (board,) = value["scenarios"]
    assert not board["errors"]
    here = [play(make_agent("least_loaded"), own.shop, seed).J for seed in range(4)]
    assert costs(board)["least_loaded"] == pytest.approx(np.mean(here))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**own.shop.to_dict(), "name": "gsp"}, "'gsp' is a scenario of the suite, yours must have another name"),
        ({**own.shop.to_dict(), "episode_requests": "x"}, "episode_requests must be an integer >= 1, got 'x'"),
        ({**own.shop.to_dict(), "recipe_args": {"rate": 30.0, "speed": 3}}, "'speed' (given 3) is not known; allowed"),
        ({**own.shop.to_dict(), "recipe": "tests.scenarios.own:short", "recipe_args": {}}, "plays 70 requests"),
        ({"base": "trace", "name": "mine"}, "recipe_args of trace: 'path' is missing"),
    ],
)
def test_what_is_refused_before_anything_is_played(tmp_path, capsys, fields, message):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        leaderboard.main(["--scenario", str(path)])
    assert stopped.value.code == leaderboard.USAGE
    assert message in capsys.readouterr().err


def test_two_of_one_name_are_refused(tmp_path, capsys):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**own.shop.to_dict(), "slo_ttft_s": 1.0}), encoding="utf-8")
    with pytest.raises(SystemExit):
        leaderboard.main(["--scenario", str(path), "tests.scenarios.own:shop"])
    assert "two scenarios have the name 'shop'" in capsys.readouterr().err


def test_own_scenarios_have_no_part_in_the_scores(made_up, monkeypatch):
    monkeypatch.setattr(anchors, "load", lambda: {"sanity": made_up.frozen(get_scenario("sanity"))})
    random, reference = Player(*RANDOM), Player(*REFERENCE)

    def board(scenario):
        played = {
            random: [made_up.episode(seed, 8.0 + seed / 10) for seed in range(8)],
            reference: [made_up.episode(seed, 2.0) for seed in range(8)],
        }
        return standings.board(scenario, {}, "validation", played, {}, random, reference)

    boards = [board(own.shop), board(get_scenario("sanity"))]
    assert [one.not_ranked for one in boards] == ["it is not of the suite", ""]
    # A scenario that has the name of one of the suite, but other fields, has none of its anchors.
    assert anchors.frozen(replace(get_scenario("sanity"), slo_ttft_s=1.0)) is None
    assert anchors.frozen(replace(own.shop, name="sanity")) is None
    assert anchors.frozen(get_scenario("sanity")) is not None


def test_a_scenario_is_played_at_several_loads(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**own.shop.to_dict(), "load": 0.8}), encoding="utf-8")
    options = leaderboard.make_parser().parse_args(["--scenario", str(path), "--load", "0.4", "1"])
    options.split = "test"
    cases = make_cases(options, options.scenario)
    assert [(case.load, case.scenario.load, case.scenario.rate_scale) for case in cases] == [
        ("0.4", 0.4, 0.5),
        ("1", 1.0, 1.25),
    ]
    options.scenario = ["sanity"]
    with pytest.raises(ValueError, match="what load scenario 'sanity' is has not been measured"):
        make_cases(options, options.scenario)
