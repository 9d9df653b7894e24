"""A routing agent and an evicting agent as one agent for KVGym/Joint-v0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from kvgym.envs.adapter import Adapter
from kvgym.envs.features import DECISION_FEATURES
from kvgym.envs.layout import Layout
from kvgym.envs.view import is_oracle
from kvgym.evaluation.stage import EVICT, JOINT, ROUTE, env_kwargs_of, environment_of

from ..base import Agent, Info, Observation

# The joint observation: which decision is due, then the observation of Route-v0, then what is wanted and candidates.
# What follows the first part is the observation of Evict-v0.
_FLAGS = len(DECISION_FEATURES)

Part = Any
"""An agent, or a name that `agents.make_agent` knows."""


def as_agent(argument: str, part: Part, environment: str) -> Any:
    """The agent that `part` is, or names.

    Args:
        argument: What to call it in messages.
        part: An agent, or a name.
        environment: Id of the environment that it has to play.

    Raises:
        ValueError: If there is no such agent, or it plays another environment.
    """
    from .. import make_agent  # not above: the names include those of agents that have agents inside

    agent = make_agent(part) if isinstance(part, str) else part
    if environment_of(agent) != environment:
        what = part if isinstance(part, str) else type(part).__name__
        raise ValueError(f"{argument} must be an agent of {environment}, {what} plays {environment_of(agent)}")
    return agent


def tell_training(agent: Any, *parts: Any) -> None:
    """Has an agent say what its learned parts say, with the fewest training seeds: it is a learned one if they are."""
    learned = [part for part in parts if getattr(part, "training_seeds", None) is not None]
    if learned:
        agent.training_seeds = min(part.training_seeds for part in learned)
        agent.trained_on = ", and ".join(part.trained_on for part in learned)


class Pair(Agent):
    """One agent routes, another evicts, each as if it were alone in its own environment.

    Both see the observation, action mask, time since their own last decision, and pulled methods of KVGym/Route-v0 and
    KVGym/Evict-v0; `Pair("lbgr_code", "rlt")` is the pair of arXiv 2601.18999. If one of them wants scaled observations
    and the other one physical ones, the scaled ones are computed here, up to float32 rounding.

    Args:
        router: Who routes: an agent, or a name that `agents.make_agent` knows.
        evictor: Who evicts leaves, likewise.

    Raises:
        ValueError: If one of them plays another environment, or the evictor chooses rules instead of leaves.
    """

    environment: ClassVar[str] = JOINT

    def __init__(self, router: Part, evictor: Part) -> None:
        """Makes and checks both."""
        self.router = as_agent("router", router, ROUTE)
        self.evictor = as_agent("evictor", evictor, EVICT)
        asked = env_kwargs_of(self.evictor)
        if asked.setdefault("action", "leaf") != "leaf":
            raise ValueError("evictor must choose leaves, it chooses rules: see agents.joint.rule_pair.RulePair")
        self.env_kwargs: Mapping[str, Any] = {**env_kwargs_of(self.router), **asked}
        self.oracle = is_oracle(self.router) or is_oracle(self.evictor)
        self.draws = any(getattr(part, "draws", True) for part in (self.router, self.evictor))
        tell_training(self, self.router, self.evictor)
        forms = {self.router.observation, self.evictor.observation}
        self.observation = forms.pop() if len(forms) == 1 else "physical"

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        n, layout, form = self.n_workers, self.layout, self.observation
        self._routes = HalfAdapter(self.env, self.router, layout.of_router(), 0, n, form)
        self._evicts = HalfAdapter(self.env, self.evictor, layout.of_evictor(), n, layout.n_candidates, form)
        for half in (self._routes, self._evicts):
            half.reset(seed)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        return (self._routes if observation[0] else self._evicts).act(observation, info)


class HalfAdapter(Adapter):
    """That of one of the two: a part of the joint observations, actions and masks.

    Args:
        env: The joint environment.
        agent: The agent.
        layout: That of its own environment.
        first: First of its actions among the joint ones.
        n_actions: How many it has.
        form: Of the joint observations.
    """

    def __init__(self, env: Any, agent: Any, layout: Layout, first: int, n_actions: int, form: str) -> None:
        """Makes the adapter for an episode."""
        super().__init__(env, agent, layout, n_actions)
        self._actions = slice(first, first + n_actions)
        self._features = slice(_FLAGS, _FLAGS + layout.size)
        self._scales = agent.observation != form

    def act(self, observation: Observation, info: Info) -> int:
        """The agent's answer, as a joint action."""
        own = observation[self._features]
        if self._scales:
            own = self.layout.scaled(own)
        answer = self.ask(own, info["action_mask"][self._actions], info["time"], info["session"])
        if not 0 <= answer < self.action_space.n:
            raise ValueError(
                f"{type(self.agent).__name__}: action must be 0 to {self.action_space.n - 1}, got {answer}"
            )
        return self._actions.start + int(answer)

    def action_masks(self) -> NDArray[np.bool_]:
        """Which of its actions are legal: bool (n,)."""
        masks: NDArray[np.bool_] = self.env.action_masks()[self._actions]
        return masks
