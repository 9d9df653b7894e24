"""A network that learns a rule's decisions before it learns from rewards."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from agents import train  # noqa: E402
from agents.learned import clone, groups, ppo  # noqa: E402

SHORT = {"episode_requests": 150, "warmup_requests": 10}


def learner(*names: str, **overrides: object) -> ppo.Learner:
    settings = ppo.Settings(num_envs=4, steps=16, batch=32, width=16)
    played = groups.entries(names, None, {**SHORT, **overrides})
    return ppo.Learner(settings, played, groups.make(played, 4, 1, {}, 0, horizon="truncate"))


def test_it_learns_what_a_rule_does_and_leaves_the_critic_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clone, "BATCH", 32)
    one = learner("gsp-stable", "mixed-fleet")
    before = [weight.detach().clone() for weight in one.critic.parameters()]
    agreed = clone.imitate(one, "least_loaded", 3000)
    assert agreed > 0.6  # chance: 0.25 and less
    assert all(torch.equal(*pair) for pair in zip(before, one.critic.parameters(), strict=True))
    assert torch.equal(one.weights[: one.actor.trunk.context.weight.numel()], one.actor.trunk.context.weight.flatten())


def test_lessons_are_the_rules_whoever_plays() -> None:
    one = learner("gsp-stable")
    lessons = clone.Lessons(one, one.played[0], "least_loaded")
    lessons.play(None, 200, 0)  # more than an episode
    lessons.play(one.scorer(), 100, 7)
    seen, masks, actions = lessons.arrays()
    assert seen.shape == (300, one.groups[0].width) and masks.all()
    inflight = seen[:, one.actor.shape.of_workers(4).workers("inflight")]
    assert np.array_equal(inflight[np.arange(300), actions], inflight.min(1))


def test_the_frontier_of_each_scenario_is_known_by_name() -> None:
    one = learner("gsp-stable", view="exact")
    assert type(clone.Lessons(one, one.played[0], "frontier").rule).__name__ == "Dynamo"
    mine = groups.Entry(replace(one.played[0].scenario, name="mine"), None)
    with pytest.raises(ValueError, match="no best known pair of 'mine'"):
        clone.Lessons(one, mine, "frontier")


def test_a_run_imitates_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = [f"{name}={value}" for name, value in SHORT.items()]
    words = ["smdp", "--set", *fields, "--num-envs", "4", "--steps", "16", "--width", "8", "--out", str(tmp_path)]
    words += ["--imitate", "lmetric", "--imitate-decisions", "300"]
    train.main([*words, "--total", "64"])
    assert "lmetric imitated in" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="--imitate-decisions over rounds and scenarios must be"):
        train.main([*words[:-1], "2", "--total", "64", "--out", str(tmp_path / "other")])
    assert json.loads((tmp_path / "curve.jsonl").read_text())["steps"] == 64
