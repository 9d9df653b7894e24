"""Evolution strategies on the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from agents import make_agent, train  # noqa: E402
from agents.learned import es, file, groups  # noqa: E402
from agents.learned.run import read_curve  # noqa: E402
from kvgym.evaluation.episode import play  # noqa: E402

SHORT = {"episode_requests": 60, "warmup_requests": 10}
NOTHING = {"ranges": {}, "overrides": SHORT}


def evolution(*names: str, **settings: object) -> es.Evolution:
    small = {"pairs": 2, "requests": 24, "skipped": 4, "width": 8, **settings}
    return es.Evolution(es.Settings(**small), groups.entries(names, None, SHORT), NOTHING)  # type: ignore[arg-type]


def test_networks_that_are_alike_come_to_the_same_on_the_same_arrivals() -> None:
    one = evolution("gsp-stable", "mixed-fleet")
    scorer = one.scorer(one.weights)
    for group in one.groups:
        rewards = one.play(group, [scorer] * 4)
        assert rewards.shape == (4, 1) and (rewards == rewards[0]).all() and (rewards < 0).all()


def test_a_step_is_the_mean_of_the_directions_by_rank() -> None:
    one = evolution("gsp-stable", rate=0.5)
    before, noise = one.weights.detach().clone(), np.random.default_rng(0)
    directions = torch.from_numpy(noise.standard_normal((2, len(before)), np.float32))
    rewards = np.array([[3.0], [1.0], [0.0], [2.0]])  # ranks 3, 1, 0, 2 of 3
    one.play = lambda group, scorers: rewards  # type: ignore[method-assign]
    one.iterate()
    expected = (directions[0] * (1 - 0) + directions[1] * (1 / 3 - 2 / 3)) / (4 * one.settings.sigma)
    assert torch.allclose(-one.weights.grad, expected, atol=1e-4)
    moved = one.weights.detach() - before
    assert torch.equal(moved.sign()[moved != 0], expected.sign()[moved != 0])
    assert one.done == 4 * 24


def test_a_run_writes_what_the_learned_agent_plays(tmp_path: Path) -> None:
    fields = [f"{name}={value}" for name, value in SHORT.items()]
    words = ["es", "--set", *fields, "view=exact", "--corrects", "--scenario", "gsp-stable+arc", "mixed-fleet"]
    words += ["--pairs", "2", "--requests", "24", "--skipped", "4", "--width", "8", "--total", "300"]
    train.main([*words, "--out", str(tmp_path)])
    trained = file.read(tmp_path / "policy.pt")
    assert trained.origin["algorithm"] == "es" and trained.env_kwargs == {"view": "exact"}
    assert [line["steps"] for line in read_curve(tmp_path)] == [192, 384]
    assert set(read_curve(tmp_path)[0]["reward"]) == {"gsp-stable+arc", "mixed-fleet"}
    assert play(make_agent("learned", path=str(tmp_path / "policy.pt")), "gsp-stable", 0, overrides=SHORT).J > 0
    with pytest.raises(SystemExit, match="there is a run"):
        train.main([*words, "--out", str(tmp_path)])


@pytest.mark.parametrize("wrong", [{"pairs": 0}, {"skipped": 24}, {"sigma": 0.0}, {"minutes": -1.0}])
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"--{next(iter(wrong))} must be"):
        evolution("gsp-stable", **wrong)
