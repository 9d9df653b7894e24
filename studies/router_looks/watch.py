"""The router plays, and what it saw and did is written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents import make_agent
from agents.base import Info, Observation
from agents.learned.router import ShippedRouter
from kvgym.envs.layout import Layout
from kvgym.evaluation import anchors
from kvgym.evaluation.episode import play

SCENARIOS = ("gsp-stable", "mixed-fleet", "chat-stale", "coding-agents")
OTHER = 1100
"""First of the validation seeds whose decisions are learned or drawn from; what is scored plays others."""


@dataclass(frozen=True)
class Written:
    """Decisions of an episode.

    Attributes:
        layout: Where features stand.
        seen: Observations, scaled: (n, size).
        masks: Workers that were up: (n, workers).
        actions: What was done: (n,).
        advice: What others would have done: (n, others).
        J: Mean latency (s).
    """

    layout: Layout
    seen: NDArray[np.float32]
    masks: NDArray[np.bool_]
    actions: NDArray[np.int64]
    advice: NDArray[np.int64]
    J: float


class Watched(ShippedRouter):
    """The router with a notebook.

    Args:
        network: Its name.
        change: Changes an observation before the router sees it.
        advisers: Names of agents that are asked what they would do.
    """

    def __init__(self, network: str, change: Callable[[Observation], None] | None, advisers: Sequence[str]) -> None:
        """Nothing is written down."""
        super().__init__(network)
        self._change, self._advisers = change, [make_agent(name) for name in advisers]
        self.seen: list[Observation] = []
        self.masks: list[NDArray[np.bool_]] = []
        self.actions: list[int] = []
        self.advice: list[list[int]] = []

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        for adviser in self._advisers:
            adviser.reset(env, seed)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        shown = observation.copy()
        if self._change:
            self._change(shown)
        action = super().act(shown, info)
        self.seen.append(shown)
        self.masks.append(info["action_mask"].astype(bool))
        self.actions.append(action)
        if self._advisers:
            physical = self.layout.physical(shown).astype(np.float32)
            said = [one.act(physical if one.observation == "physical" else shown, info) for one in self._advisers]
            self.advice.append([int(worker) for worker in said])
        return action


def evictor_of(name: str) -> str:
    """The evictor of the best known pair of a scenario."""
    frontier = anchors.load()[name].frontier
    assert frontier is not None
    return frontier.pair.evictor


def watch(
    network: str,
    name: str,
    seed: int,
    change: Callable[[Observation], None] | None = None,
    advisers: Sequence[str] = (),
) -> Written:
    """An episode of the split "validation" with the evictor of the best known pair; arguments as `Watched` has them."""
    agent = Watched(network, change, advisers)
    J = play(agent, name, seed, evictor=evictor_of(name), split="validation").J
    kept = np.stack(agent.seen), np.stack(agent.masks), np.array(agent.actions), np.array(agent.advice)
    return Written(agent.layout, *kept, J)
