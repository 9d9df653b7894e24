"""The leaderboard where workers crash and fetch pages: more decisions than requests, masks that change."""

import json
from dataclasses import replace

import pytest

from agents.leaderboard import __main__ as leaderboard
from kvgym.scenarios import SCENARIOS


@pytest.fixture
def faulty(monkeypatch):
    """A scenario whose workers crash and fetch pages from each other; its name."""
    overrides = {
        "recipe_args": {"rate": 30.0},
        "workers": [{"kv_tokens": 16384, "kv_bytes_per_token": 131072, "cost": {"c0": 20.0, "k": 0.1}, "count": 4}],
        "network": {"per_node": 2, "inside": "nvlink-h100", "between": "ethernet-100g"},
        "transfer": "auto",
        "faults": {"crash_every_s": 4.0, "down_s": 2.0, "slow_every_s": 4.0, "slow_s": 2.0, "until_s": 30.0},
        "episode_requests": 200,
        "warmup_requests": 20,
    }
    scenario = replace(SCENARIOS["gsp-stable"].with_overrides(overrides), name="faulty")
    monkeypatch.setitem(SCENARIOS, "faulty", scenario)
    return "faulty"


@pytest.mark.parametrize(
    "argv",
    [
        ["--quick"],
        ["--track", "evict", "--evictor", "lru", "rlt", "--agent", "gdsf"],
        ["--track", "joint", "--router", "lbgr_code", "cache_aware", "--evictor", "lru", "agents:rlt"],
    ],
    ids=["quick", "evict", "joint"],
)
def test_every_track(faulty, capsys, tmp_path, argv):
    code = leaderboard.main([*argv, "--scenario", faulty, "--seeds", "2", "--workers", "1", "--out", str(tmp_path)])
    assert code == 0 and "FAILED" not in capsys.readouterr().out
    runs = [json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("*.json")]
    episodes = [episode for run in runs for episode in run["episodes"]]
    assert len(runs) >= 4 and all(episode["n_invalid"] == 0 for episode in episodes)
    if argv == ["--quick"]:
        assert all(episode["n_actions"] > episode["metrics"]["n"] == 200 for episode in episodes)
