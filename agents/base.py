"""Base class of agents: docs/leaderboard.md has what a class declares, and what an agent that is ranked may know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar, cast

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from kvgym import _check
from kvgym.envs.layout import Layout
from kvgym.evaluation.stage import ROUTE

Observation = NDArray[np.float32]
Floats = NDArray[np.float64]
Info = Mapping[str, Any]

# Columns of env.unwrapped.finished() that agents here use, see docs/environments.md. A decision counts from 0; it is
# negative for requests routed in the warm-up. Of a request that came back from a worker that crashed it is the last one
# about it.
DECISION, ARRIVAL, FIRST_TOKEN, FINISH, OUTPUT_TOKENS = 0, 2, 3, 4, 6

Range = tuple[float, float] | tuple[float, float, str] | list[str]
"""What is searched of a constant, see `Agent.tunable`."""

AGES: Range = (5.0, 1000.0, "log")
"""Ages of a match (s): the longest is as good as none."""

EXACT: Mapping[str, Any] = MappingProxyType({"view": "exact"})
"""`Agent.env_kwargs` of a rule whose index is fed by the engines' events."""


class Places(dict[str, Any]):
    """Places of features in an observation, each looked up once."""

    def __init__(self, layout: Layout) -> None:
        """Knows none yet."""
        super().__init__()
        self._layout = layout

    def __missing__(self, name: str) -> Any:
        """An index for a feature of the request, a slice for one of the workers."""
        is_request = any(feature.name == name for feature in self._layout.request_features)
        place = self[name] = self._layout.request(name) if is_request else self._layout.workers(name)
        return place


class Agent(ABC):
    """Base class of the agents here, and of routing agents as it is; an agent of your own may do without it.

    Attributes:
        observation: Form of the observations that `act` expects.
        environment: Id of the environment that it plays.
        env_kwargs: Arguments of that environment which decide what its actions mean; "view" is the view of the caches
            that the rule has in production, where that is not for the scenario to say.
        oracle: It needs the environment itself, and is not ranked.
        draws: What it does may depend on random numbers of its own. False: it says that an episode so far settles its
            next action.
        needs: "sessions" if it goes by them alone: tables say so where no session comes back.
        tunable: Constants that `agents.tune` may search, by the name of the argument: (low, high), (low, high, "log")
            for those that are searched by their logarithm, whole numbers where both ends are ints; or a list of names.
        scores: How it rated the actions of its last decision, higher for those that it prefers; None: it does not say.
            For those who look on (`kvgym watch`).
        env: The unwrapped environment, or the view of it; this and the rest are there after `reset`.
        layout: Where features stand in an observation.
        at: The same by name, for the features of the request (an index) and of the workers (a slice over them).
        n_workers: Number of workers.
        random: The agent's own random numbers.
    """

    observation: str = "physical"
    environment: ClassVar[str] = ROUTE
    env_kwargs: Mapping[str, Any] = MappingProxyType({})
    oracle: bool = False
    draws: bool = True
    needs: ClassVar[str] = ""
    tunable: ClassVar[Mapping[str, Range]] = MappingProxyType({})
    scores: Sequence[float] | None = None
    env: Any
    layout: Layout
    at: Places
    n_workers: int
    random: Random

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """Starts an episode; call it after `env.reset()`.

        Args:
            env: The environment, possibly wrapped, or a `kvgym.envs.view.View` of it: what an evaluation gives.
            seed: Seed of the agent's own random choices.
        """
        self.env = cast(Any, env.unwrapped)  # gym.Env does not know layout, finished(), prompt_pages()
        self.layout = self.env.layout
        self.n_workers = self.layout.n_workers
        self.random = Random(seed)
        self.at = Places(self.layout)
        self._all_up = self._up = np.ones(self.n_workers, np.int8).tobytes()

    @abstractmethod
    def act(self, observation: Observation, info: Info) -> Any:
        """Chooses an action that `info["action_mask"]` allows: the index of a worker in KVGym/Route-v0.

        Args:
            observation: What the environment shows, in the form that `observation` names.
            info: The environment's info with action_mask, dt, time (s) and session.
        """

    def chance(self, action: Any) -> float:
        """Probability with which its last decision could have come out as `action`, given all that it had seen.

        NaN where that is not known; agents that do not draw need no such method. For those who learn from logs
        (`agents.record`).
        """
        return float("nan")

    def legal_workers(self, info: Info) -> list[int]:
        """Workers that may be chosen, in their order; for agents that route. It may be legal to refuse, too."""
        up: list[int] = info["action_mask"][: self.n_workers].nonzero()[0].tolist()
        return up

    def up(self, info: Info) -> NDArray[np.bool_]:
        """The same as a mask: bool (n_workers,)."""
        mask: NDArray[np.bool_] = info["action_mask"][: self.n_workers] > 0
        return mask

    def all_up(self, info: Info) -> bool:
        """Whether every worker may be chosen: the usual case, which rules need not mask."""
        up: bool = info["action_mask"][: self.n_workers].tobytes() == self._all_up
        return up

    def fallen(self, info: Info) -> list[int]:
        """Workers that went down since the last call; for agents that route and call it at each decision.

        What the agent remembers of such a worker is void: its cache is lost, and the requests that were there come back
        with decisions of their own. One that was down between two decisions only is not seen; nothing was in flight
        there then, since what comes back is decided about at once.

        Args:
            info: As `act` is given it.
        """
        before, self._up = self._up, info["action_mask"][: self.n_workers].tobytes()
        if before == self._up:
            return []
        return [worker for worker, (was, now) in enumerate(zip(before, self._up, strict=True)) if was and not now]

    def column(self, observation: Observation, name: str) -> Floats:
        """A feature of all workers, in double precision: float64 (n_workers,)."""
        column: Floats = observation[self.at[name]].astype(np.float64)
        return column

    def misses(self, observation: Observation, max_age_s: float | None = None) -> Floats:
        """Prompt tokens that each worker would compute, if a match sent more than `max_age_s` ago counts as cold."""
        miss = self.column(observation, "miss")
        if max_age_s is None:
            return miss
        old = observation[self.at["match_age"]] > max_age_s
        return np.where(old, float(observation[self.at["prompt"]]), miss)

    def cheapest(self, costs: Floats, info: Info) -> list[int]:
        """The legal workers of the lowest cost, in their order; costs become the agent's scores."""
        self.scores = (-costs).tolist()
        if not self.all_up(info):
            costs = np.where(self.up(info), costs, np.inf)
        best: list[int] = (costs == least(costs)).nonzero()[0].tolist()
        return best


def legal_actions(info: Info) -> list[int]:
    """Actions that may be chosen, workers or slots, in their order."""
    return [action for action, allowed in enumerate(info["action_mask"].tolist()) if allowed]


def least(values: NDArray[Any]) -> Any:
    """The least of some values; where these are few, several times as fast as their `min`."""
    return values[values.argmin()]


def most(values: NDArray[Any]) -> Any:
    """The largest of some values, of flags whether there is one; where these are few, faster than `max` and `any`."""
    return values[values.argmax()]


def lowest(values: Sequence[Any], workers: Iterable[int]) -> int:
    """The worker with the lowest value; the first of equals."""
    return min(workers, key=values.__getitem__)


def draw(actions: Sequence[int], random: Random) -> int:
    """One of the actions, drawn uniformly."""
    return actions[int(random.random() * len(actions))]


def check_age(agent: Any) -> None:
    """Checks `max_age_s`, which is None or a finite number >= 0.

    Raises:
        ValueError: If it is not.
    """
    if agent.max_age_s is not None:
        check_weights(agent, "max_age_s")


def check_weights(agent: Agent, *names: str) -> None:
    """Turns these attributes, which must be finite numbers >= 0, into floats.

    Raises:
        ValueError: If one is not; the message names it and its value.
    """
    for name in names:
        setattr(agent, name, _check.finite(name, getattr(agent, name)))
