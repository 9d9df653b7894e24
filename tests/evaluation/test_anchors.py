import json
from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest

from agents import make_agent
from agents.leaderboard.plan import QUICK_SCENARIOS
from kvgym.evaluation import RANDOM, REFERENCE, anchors, play, standings
from kvgym.evaluation.anchors import Headroom, Pair, Row
from kvgym.evaluation.files import ResultError
from kvgym.evaluation.standings import Player
from kvgym.scenarios import SUITE_SCENARIOS, get_scenario

RANDOM_ROW = Row(Pair(*RANDOM), np.array([8.0, 9.0, 10.0]))
REFERENCE_ROW = Row(Pair(*REFERENCE), np.array([2.0, 2.5, 3.0]))
FRONTIER_ROW = Row(Pair("lpwl", "lfu", {"miss_weight": 8.0}), np.array([1.0, 1.5, 2.0]))
SEEDS = tuple(range(8))


def headroom(share, noise=0.01):
    """A planner that needs that share of the frontier's J, on shorter episodes."""
    frontier = np.random.default_rng(0).lognormal(0, 1, len(SEEDS))
    planner = frontier * share * np.random.default_rng(1).lognormal(0, noise, len(SEEDS))
    return Headroom(Pair("planner", "lfu", {"incumbents": ["lpwl"]}), {"episode_requests": 9}, SEEDS, planner, frontier)


SAMPLE = anchors.Anchors(0, (0, 1, 2), RANDOM_ROW, REFERENCE_ROW, FRONTIER_ROW, headroom(0.8))


def test_every_scenario_has_frozen_anchors():
    found = anchors.load()
    assert {name for name in found if "@" not in name} == set(SUITE_SCENARIOS) - {"trace"}
    for name, one in found.items():
        assert one.version == get_scenario(name).version
        assert one.seeds == tuple(range(anchors.N_SEEDS))
        assert all(row.J.shape == (anchors.N_SEEDS,) for row in one.rows.values())
        assert (one.random.pair, one.reference.pair) == (Pair(*RANDOM), Pair(*REFERENCE))


OTHERS = [name for name in SUITE_SCENARIOS if name not in (*QUICK_SCENARIOS, "trace")]


@pytest.mark.parametrize("name", [*QUICK_SCENARIOS, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_the_frozen_anchors_are_what_this_code_plays(name):
    one, seed = anchors.load()[name], crc32(name.encode()) % anchors.N_SEEDS
    for row in one.rows.values():
        measured = play(make_agent(row.pair.agent, **row.pair.args), name, seed, evictor=row.pair.evictor).J
        assert measured == pytest.approx(row.J[seed], rel=1e-9)


@pytest.mark.parametrize("missing", [{}, {"planner": None}, {"planner": None, "frontier": None}])
def test_what_is_saved_is_loaded(tmp_path, missing):
    path, saved = tmp_path / "anchors.json", replace(SAMPLE, **missing)
    anchors.save({"gsp": saved}, "1.2.3", path)
    (found,) = anchors.load.__wrapped__(path).values()
    again = tmp_path / "again.json"
    anchors.save({"gsp": found}, "1.2.3", again)
    assert again.read_bytes() == path.read_bytes()
    assert (found.seeds, found.version, set(found.rows)) == (saved.seeds, saved.version, set(saved.rows))
    assert found.random.J.tolist() == saved.random.J.tolist()
    assert found.why_not_ranked == saved.why_not_ranked
    if found.frontier is not None:
        assert str(found.frontier.pair) == "lpwl(miss_weight=8.0) + lfu"


@pytest.mark.parametrize(
    ("planner", "reason"),
    [
        (headroom(0.8), ""),
        (headroom(0.88), ""),
        (headroom(0.95), "the planner is 5 % [4 %, 5 %] below the frontier; 10 % with confidence are needed"),
        (headroom(0.85, noise=0.3), "with confidence"),  # enough in the mean, but not an interval away
        (headroom(1.2), "below the frontier"),
        (None, "no planner was played on this version: what there is to gain is not known"),
    ],
)
def test_a_scenario_is_ranked_where_there_is_something_to_gain(planner, reason):
    found = replace(SAMPLE, planner=planner).why_not_ranked
    assert reason in found and bool(reason) == bool(found)


def test_loads_have_anchors_of_their_own(monkeypatch):
    gsp = get_scenario("gsp")
    assert anchors.name_of(gsp) == "gsp"
    assert anchors.name_of(get_scenario("gsp", {"rate_scale": 0.5})) == "gsp@0.5"
    assert anchors.name_of(get_scenario("gsp", {"rate_scale": 0.5, "warmup_requests": 3})) is None
    monkeypatch.setattr(anchors, "load", lambda: {"gsp@0.5": SAMPLE})
    assert anchors.frozen(gsp) is None
    assert anchors.frozen(get_scenario("gsp", {"rate_scale": 0.5})) is SAMPLE


def test_no_file_is_no_anchors(tmp_path):
    assert anchors.load.__wrapped__(tmp_path / "none.json") == {}


BROKEN = {"schema_version": 2, "scenarios": {"gsp": {"version": 0, "seeds": [0, 1], "rows": {"random": {"J": [1.0]}}}}}


@pytest.mark.parametrize("value", [{"schema_version": 1, "scenarios": {}}, {}, {"schema_version": 2}, BROKEN])
def test_another_file_is_refused(tmp_path, value):
    path = tmp_path / "anchors.json"
    path.write_text(json.dumps(value))
    with pytest.raises(ResultError, match=r"anchors\.json"):
        anchors.load.__wrapped__(path)


def test_agreement_is_over_the_seeds_that_both_have():
    assert SAMPLE.agree((1, 2, 3), np.array([9.0, 10.0, 77.0]), np.array([2.5, 3.0, 77.0]))
    assert not SAMPLE.agree((1, 2), np.array([9.0, 10.1]), np.array([2.5, 3.0]))
    assert not SAMPLE.agree((1, 2), np.array([9.0, 10.0]), np.array([2.4, 3.0]))
    assert SAMPLE.agree((8, 9), np.array([1.0, 1.0]), np.array([1.0, 1.0]))


@pytest.fixture
def sanity_board(monkeypatch, made_up):
    monkeypatch.setattr(anchors, "load", lambda: {"sanity": SAMPLE})
    random, reference = Player(*RANDOM), Player(*REFERENCE)

    def make(costs, overrides=None, split="test", **more):
        played = {
            player: [made_up.episode(seed, cost) for seed, cost in enumerate(row)]
            for player, row in zip((random, reference), costs, strict=True)
        }
        scenario = get_scenario("sanity", overrides)
        return standings.board(scenario, overrides or {}, split, played, {}, random, reference, **more)

    return make


def test_frozen_anchors_decide_what_is_ranked(sanity_board):
    one = sanity_board([[8.0, 9.0, 10.0], [2.0, 2.5, 3.0]])
    assert (one.not_ranked, one.anchors, one.notes) == ("", SAMPLE, [])
    assert one.results.frontier.tolist() == [1.0, 1.5, 2.0]
    reference = next(row for row in one.rows if row.player == Player(*REFERENCE))
    assert reference.of_frontier.mean == pytest.approx((1 / 2 * 1.5 / 2.5 * 2 / 3) ** (1 / 3))


def test_anchors_that_play_otherwise_are_reported(sanity_board):
    one = sanity_board([[8.0, 9.0], [2.0, 2.6]])
    assert one.anchors is None and one.not_ranked == "there are no frozen anchors of what was played"
    assert "not the frozen ones" in one.notes[0]


def test_where_decisions_took_time_there_is_no_frontier(sanity_board):
    one = sanity_board([[8.0, 9.0], [2.0, 2.6]], charged=True)
    assert one.anchors is None and one.results.frontier is None
    assert one.notes == ["decisions took time here: there is no frozen frontier to compare with"]


def test_on_other_splits_there_is_no_frontier(sanity_board):
    one = sanity_board([[8.0, 9.0], [2.0, 2.6]], split="validation")
    assert (one.not_ranked, one.notes, one.results.frontier) == ("", [], None)


def test_on_more_seeds_than_were_frozen_there_is_no_frontier(sanity_board):
    one = sanity_board([[8.0, 9.0, 10.0, 7.0], [2.0, 2.5, 3.0, 2.0]])
    assert one.results.frontier is None


def test_a_changed_scenario_has_no_part_in_the_scores(sanity_board):
    one = sanity_board([[8.0, 9.0], [2.0, 2.6]], overrides={"warmup_requests": 1})
    assert (one.not_ranked, one.anchors, one.notes) == ("its fields were changed", None, [])


def test_another_version_has_other_anchors(monkeypatch):
    monkeypatch.setattr(anchors, "load", lambda: {"sanity": replace(SAMPLE, version=7)})
    assert anchors.frozen(get_scenario("sanity")) is None
