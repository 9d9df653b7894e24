import json

import numpy as np
import pytest

from agents import make_agent
from agents.leaderboard.plan import DEFAULT_SCENARIOS, FLEET_SCENARIOS
from kvgym.evaluation import RANDOM, REFERENCE, anchors, play, standings
from kvgym.evaluation.files import ResultError
from kvgym.evaluation.standings import Player
from kvgym.scenarios import get_scenario

SAMPLE = anchors.Anchors(0, (0, 1, 2), np.array([8.0, 9.0, 10.0]), np.array([2.0, 2.5, 3.0]), 0.9)


def test_every_scenario_has_frozen_anchors():
    found = anchors.load()
    assert set(found) == {*DEFAULT_SCENARIOS, *FLEET_SCENARIOS}
    for name, one in found.items():
        assert one.version == get_scenario(name).version
        assert one.seeds == tuple(range(anchors.N_SEEDS))
        assert len(one.random) == len(one.reference) == anchors.N_SEEDS


@pytest.mark.parametrize("name", (*DEFAULT_SCENARIOS, *FLEET_SCENARIOS))
@pytest.mark.parametrize("seed", [0, 17])
def test_the_frozen_anchors_are_what_this_code_plays(name, seed):
    one = anchors.load()[name]
    for (agent, evictor), stored in ((RANDOM, one.random), (REFERENCE, one.reference)):
        measured = play(make_agent(agent), name, seed, evictor=evictor).J
        assert measured == pytest.approx(stored[seed], rel=1e-9)


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "anchors.json"
    anchors.save({"gsp": SAMPLE}, "1.2.3", path)
    (found,) = anchors.load.__wrapped__(path).values()
    assert found.seeds == SAMPLE.seeds
    assert found.random.tolist() == SAMPLE.random.tolist()
    assert found.reference.tolist() == SAMPLE.reference.tolist()
    assert (found.version, found.utilisation, found.tier) == (0, 0.9, "main")


def test_no_file_is_no_anchors(tmp_path):
    assert anchors.load.__wrapped__(tmp_path / "none.json") == {}


@pytest.mark.parametrize("value", [{"schema_version": 9, "seeds": [], "scenarios": {}}, {}, {"schema_version": 1}])
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

    def make(costs, overrides=None, split="test"):
        played = {
            player: [made_up.episode(seed, cost) for seed, cost in enumerate(row)]
            for player, row in zip((random, reference), costs, strict=True)
        }
        scenario = get_scenario("sanity", overrides)
        return standings.board(scenario, overrides or {}, split, played, {}, random, reference)

    return make


def test_frozen_anchors_decide_the_tier(sanity_board):
    one = sanity_board([[8.0, 9.0], [2.0, 2.5]])  # two seeds alone would not do
    assert (one.tier, one.frozen, one.notes) == ("main", True, [])


def test_anchors_that_play_otherwise_are_reported(sanity_board):
    one = sanity_board([[8.0, 9.0], [2.0, 2.6]])
    assert not one.frozen
    assert "not the frozen ones" in one.notes[0]


@pytest.mark.parametrize("other", [{"overrides": {"warmup_requests": 1}}, {"split": "train"}])
def test_frozen_anchors_hold_for_the_scenario_as_it_is(sanity_board, other):
    one = sanity_board([[8.0, 9.0], [2.0, 2.6]], **other)
    assert (one.frozen, one.notes) == (False, [])


def test_another_version_has_other_anchors(monkeypatch):
    monkeypatch.setattr(anchors, "load", lambda: {"sanity": anchors.Anchors(7, (), np.array([]), np.array([]), 0.5)})
    assert anchors.frozen(get_scenario("sanity")) is None
