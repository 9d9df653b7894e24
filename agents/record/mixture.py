"""A behaviour policy: agents that take decisions in turns, drawn, and how likely each action was."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import gymnasium as gym
import numpy as np

from kvgym import _check
from kvgym.envs.view import is_oracle, shown
from kvgym.evaluation.actions import reader
from kvgym.evaluation.stage import env_kwargs_of, environment_of

from ..base import Agent, Info, Observation, draw


class Mixture(Agent):
    """At each decision one of several agents, drawn with known weights, or any legal action, decides.

    All are asked, and the probability of what is done is exact: with probability `epsilon` a legal action drawn
    uniformly, else what the drawn agent says. An agent that is not followed does not know it, so rules that remember
    what they chose themselves are not quite themselves in a mixture; those that go by the observation are.

    One agent alone, without `epsilon`, plays as it does everywhere: it gets the same seed.

    Attributes:
        propensity: Probability with which the last action was taken, given all that the agents had seen; NaN where one
            of them draws and does not say how (`Agent.chance`).

    Args:
        parts: The agents. They must play the same environment, with the same arguments and form of observations.
        weights: Of each, of any sum; default: all alike.
        epsilon: Share of decisions that are drawn uniformly, 0 to 1.

    Raises:
        ValueError: If an argument is not allowed.
    """

    def __init__(self, parts: Sequence[Any], weights: Sequence[float] | None = None, epsilon: float = 0.0) -> None:
        """Checks the arguments."""
        if not parts:
            raise ValueError(f"parts must hold at least one agent, got {parts!r}")
        given = [1.0] * len(parts) if weights is None else weights
        if len(given) != len(parts):
            raise ValueError(f"weights must be a number for each of the {len(parts)} agents, got {list(given)}")
        shares = np.array([_check.finite("a weight", weight) for weight in given])
        if not shares.sum() > 0:
            raise ValueError(f"weights must have a sum above 0, got {list(given)}")
        self.parts, self.weights = list(parts), (shares / shares.sum()).tolist()
        self.epsilon = _check.finite("epsilon", epsilon, 0.0, 1.0)
        wishes = [(environment_of(part), env_kwargs_of(part), part.observation) for part in self.parts]
        for part, wish in zip(self.parts, wishes, strict=True):
            if wish != wishes[0]:
                raise ValueError(
                    "agents of a mixture must play the same environment, with the same arguments and form of "
                    f"observations: {type(self.parts[0]).__name__} {wishes[0]}, {type(part).__name__} {wish}"
                )
        self.environment, self.env_kwargs, self.observation = wishes[0]  # type: ignore[misc]
        self.oracle = any(map(is_oracle, self.parts))
        self.propensity = float("nan")

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        # Streams of their own: agents with the same seed would draw in step.
        self.random = Random(f"mixture {seed}")
        self._read = reader(self.env.action_space)
        for number, part in enumerate(self.parts):
            own = seed if number == 0 else Random(f"part {number} of {seed}").getrandbits(32)
            part.reset(shown(self.env, part) if self.oracle else self.env, own)

    def act(self, observation: Observation, info: Info) -> Any:
        """See `Agent.act`."""
        proposed = [self._read(part.act(observation, info)) for part in self.parts]
        legal = self._legal(info) if self.epsilon else proposed
        if self.epsilon and self.random.random() < self.epsilon:
            action = draw(legal, self.random)
        else:
            action = self.random.choices(proposed, self.weights)[0]
        follows = sum(
            weight * (_chance(part, action) if getattr(part, "draws", True) else float(own == action))
            for part, weight, own in zip(self.parts, self.weights, proposed, strict=True)
            if weight > 0
        )
        self.propensity = (1.0 - self.epsilon) * follows + self.epsilon * (action in legal) / len(legal)
        return action

    def _legal(self, info: Info) -> list[Any]:
        """All actions that the mask allows, in their order."""
        space, mask = self.env.action_space, info["action_mask"]
        if isinstance(space, gym.spaces.Discrete):
            return [int(action) for action in np.flatnonzero(mask)]
        n = int(space.nvec[0])
        return [(int(one), int(two)) for one in np.flatnonzero(mask[:n]) for two in np.flatnonzero(mask[n:])]


def _chance(part: Any, action: Any) -> float:
    """See `Agent.chance`; an agent of one's own may do without it."""
    return float(part.chance(action)) if hasattr(part, "chance") else float("nan")
