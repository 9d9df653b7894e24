from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="needs the extra train")

from agents.learned import ALGORITHMS
from agents.learned.hyperparams import load
from envs_registry import ENVIRONMENTS

GOOD = """
KVGym/Route-v0:
  n_envs: 2
  n_timesteps: !!float 1e3
  policy: agents.learned.policies.SharedPolicy
  learning_rate: lin_1e-3
"""


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_shipped_cuts_episodes_and_looks_far_ahead(algorithm: str, env_id: str) -> None:
    found = load(algorithm, env_id)
    assert found.env_kwargs["horizon"] == "truncate"
    assert found.env_kwargs["scenario_overrides"]["episode_requests"] <= 1024
    assert found.algorithm["gamma"] >= 0.997
    # What YAML takes for text rl-zoo3 takes for a schedule, "5e-4" too.
    rate = found.algorithm["learning_rate"]
    assert isinstance(rate, float) or rate.startswith("lin_")


def test_schedules(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(GOOD)
    built = load("ppo", "KVGym/Route-v0", path).built
    assert [built["learning_rate"](left) for left in (1.0, 0.5, 0.0)] == [1e-3, 5e-4, 0.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "mine.yml is not YAML"),
        ("CartPole-v1: {}", "must have an entry for KVGym/Route-v0"),
        (GOOD.replace("  n_envs: 2\n", ""), "lacks 'n_envs'"),
        (GOOD.replace("n_envs: 2", "n_envs: 0"), "n_envs must be"),
        (GOOD + "  frame_stack: 4\n", "frame_stack is not understood"),
        (GOOD.replace("lin_1e-3", "exp_1e-3"), 'learning_rate must be a number or "lin_" and a number'),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load("ppo", "KVGym/Route-v0", path)


def test_unknown_algorithm() -> None:
    with pytest.raises(ValueError, match="algorithm must be one of ppo, dqn, ppo_mask"):
        load("sac", "KVGym/Route-v0")
