"""The examples of docs/wrappers.md run; the programs in docs/training_elsewhere.md are those of docs/snippets."""

import importlib.util
import re
from pathlib import Path

import pytest

import kvgym
from kvgym import wrappers

DOCS = Path(__file__).parents[2] / "docs"
WRAPPERS = (DOCS / "wrappers.md").read_text(encoding="utf-8")
TRAINING = (DOCS / "training_elsewhere.md").read_text(encoding="utf-8")


def examples(text):
    return re.findall(r"```python\n(.+?)```", text, re.DOTALL)


@pytest.mark.parametrize("example", examples(WRAPPERS))
def test_examples_run(example):
    exec(example, {})


def test_every_wrapper_is_described():
    assert all(f"`{name}" in WRAPPERS for name in wrappers.__all__)


def test_programs_are_quoted_as_they_are():
    *programs, pettingzoo = examples(TRAINING)
    assert programs == [
        (DOCS / "snippets" / name).read_text(encoding="utf-8") for name in ("ppo_vector.py", "rllib_ppo.py")
    ]
    assert "ClusterAec" in pettingzoo  # tests/integrations/test_pettingzoo.py runs it


def load(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / "snippets" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")  # torch's own
@pytest.mark.parametrize("id", ["KVGym/Route-v0", "KVGym/Evict-v0"])
def test_the_program_trains_a_little(id, monkeypatch):
    pytest.importorskip("torch", reason="the extra train is not installed")
    ppo, made = load("ppo_vector"), []
    make_vec = kvgym.make_vec
    monkeypatch.setattr(kvgym, "make_vec", lambda *args, **kwargs: made.append(make_vec(*args, **kwargs)) or made[0])
    ppo.ROLLOUT = 40
    overrides = {"episode_requests": 16, "warmup_requests": 4, "recipe_args": {"conversations": 9, "turns": [2, 4]}}
    agent, rewards = ppo.train(id, steps=640, num_envs=8, scenario_overrides=overrides)
    assert len(rewards) == 2 and all(reward < 0 for reward in rewards)
    assert sum(env.n_invalid for env in made[0].unwrapped.envs) == 0
    assert all(env._episode > 0 for env in made[0].unwrapped.envs)
    assert sum(parameter.numel() for parameter in agent.parameters()) > 10_000


def test_values_of_what_was_cut_off():
    """By hand: two environments, three steps; one ends after the second, the other goes on."""
    torch = pytest.importorskip("torch", reason="the extra train is not installed")
    ppo = load("ppo_vector")
    ppo.ROLLOUT, ppo.GAMMA, ppo.LAMBDA = 3, 0.5, 1.0
    batch = {
        "reward": torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]),
        "value": torch.zeros(3, 2),
        "done": torch.tensor([[False, False], [True, False], [False, False]]),
    }
    advantage = ppo.advantages(batch, torch.tensor([8.0, 8.0]))
    assert advantage[:, 0].tolist() == [1.5, 1.0, 5.0]
    assert advantage[:, 1].tolist() == [1 + 0.5 + 0.25 + 1, 1 + 0.5 + 2, 5.0]


def test_only_what_was_truncated_is_continued():
    torch = pytest.importorskip("torch", reason="the extra train is not installed")
    import numpy as np

    ppo = load("ppo_vector")
    ppo.ROLLOUT, ppo.GAMMA, ppo.REWARD_SCALE = 1, 0.5, 1.0

    class Batch:
        """Ends one environment of each kind; the last observation is told by a 7."""

        def step(self, actions):
            final = np.array([np.full(3, 7, np.float32), np.full(3, 7, np.float32), None], dtype=object)
            after, mask = np.zeros((3, 3), np.float32), np.ones((3, 2), np.int8)
            ended = np.array([True, False, False]), np.array([False, True, False])
            return after, np.ones(3), *ended, {"final_obs": final, "action_mask": mask}

    agent = ppo.ActorCritic(3, 2)
    agent.value = lambda obs: obs[:, 0]
    batch, *_ = ppo.rollout(Batch(), agent, torch.zeros(3, 3), torch.ones(3, 2))
    assert batch["reward"].tolist() == [[1.0, 1.0 + 0.5 * 7, 1.0]]
    assert batch["done"].tolist() == [[True, True, False]]
