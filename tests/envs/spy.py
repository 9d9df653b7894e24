"""A routing agent that writes down everything it is shown: "tests.envs.spy:physical" for an environment."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np


class Spy:
    """Sends to the workers in turn, with steps of two, and keeps what it saw."""

    def __init__(self, form: str) -> None:
        self.observation = form
        self.seen: list[Any] = []
        self.seeds: list[int] = []

    def reset(self, env: Any, seed: int) -> None:
        self.env = env.unwrapped
        self.n = self.env.layout.n_workers
        self.seeds.append(seed)
        self.seen.append(("reset", self.env.layout, self.env.action_space, self.env.observation_space))

    def act(self, observation: Any, info: dict[str, Any]) -> int:
        shown = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in info.items()}
        types = {key: (type(value), getattr(value, "dtype", None)) for key, value in info.items()}
        finished, pages, masks = self.env.finished(), self.env.prompt_pages(), self.env.action_masks()
        pulled = [(x.tolist(), x.dtype, x.shape) for x in (observation, finished, pages, masks)]
        self.seen.append((shown, types, pulled))
        return 2 * len(self.seen) % self.n


class Lost:
    """Sends to a worker that is not there."""

    observation: ClassVar[str] = "physical"

    def reset(self, env: Any, seed: int) -> None:
        pass

    def act(self, observation: Any, info: dict[str, Any]) -> int:
        return 99


def make_agent(name: str) -> Any:
    return Lost() if name == "lost" else Spy(name)
