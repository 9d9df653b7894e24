"""The view that an agent has of its environment: what it may know, and no way to the rest."""

from __future__ import annotations

import operator
from copy import deepcopy
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from kvgym.envs.layout import Layout

RULE = (
    "a ranked agent knows what it is shown and nothing behind it; one that needs more declares `oracle = True`, "
    "and is shown without being ranked (docs/leaderboard.md)"
)

PUBLIC = (
    "name",
    "version",
    "text",
    "workers",
    "engine",
    "objective",
    "evictor",
    "view",
    "history_tokens",
    "metrics_period_s",
    "decision_s",
    "warmup_requests",
    "warmup_router",
    "episode_requests",
    "reward_scale_s",
    "output_hint_sigma",
    "slo_ttft_s",
    "slo_tpot_s",
    "refusal_cost_s",
    "classes",
    "network",
    "transfer",
    "cluster",
)
"""Fields of a scenario that an agent may read: not what arrives (a trace is a file) nor when workers will fail."""


class RuleBroken(AttributeError):
    """An agent did what a ranked one may not do."""


class Closed:
    """Base of what agents are given: read-only, and clear about what is not there."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuses."""
        raise RuleBroken(f"{self!r} is read-only: {name} can't be set; {RULE}")

    def __delattr__(self, name: str) -> NoReturn:
        """Refuses."""
        raise RuleBroken(f"{self!r} is read-only: {name} can't be deleted; {RULE}")

    def __getattr__(self, name: str) -> NoReturn:
        """Refuses what is not there."""
        raise RuleBroken(f"{self!r} has no {name}: {RULE}")


class Settings(Closed):
    """The settings of a scenario that are no secret: copies of its fields `PUBLIC`.

    Args:
        scenario: The scenario.
    """

    def __init__(self, scenario: Any) -> None:
        """Copies them."""
        self.__dict__.update({name: deepcopy(getattr(scenario, name)) for name in PUBLIC})

    def __repr__(self) -> str:
        """Of which scenario."""
        return f"the public settings of {self.__dict__.get('name')}"


class View(Closed):
    """Given to an agent in place of its environment, or of its adapter to one.

    A rule made visible, not a wall: in a process that holds the environment it can be found. So agents that come with a
    file play in processes that don't (`kvgym.evaluation.remote`).

    Attributes:
        layout: Where features stand in an observation.
        scenario: See `Settings`.
        action_space: A copy.
        observation_space: A copy.
        rules: Names of the evictors to choose from, where the agent evicts.

    Args:
        env: An environment, or an adapter to one.
    """

    layout: Layout
    scenario: Any
    action_space: spaces.Space[Any]
    observation_space: spaces.Space[Any]

    def __init__(self, env: Any) -> None:
        """Copies what is constant."""
        scenario = env.scenario
        self.__dict__.update(
            layout=replace(env.layout),
            scenario=scenario if isinstance(scenario, Settings) else Settings(scenario),
            action_space=deepcopy(env.action_space),
            observation_space=deepcopy(env.observation_space),
            **({"rules": tuple(env.rules)} if hasattr(env, "rules") else {}),
            _env=env,
        )

    @property
    def unwrapped(self) -> View:
        """Itself: there is nothing inside."""
        return self

    def finished(self, first: int | None = None) -> NDArray[np.float64]:
        """See `ClusterEnv.finished`."""
        # A plain number: what else there is runs its methods where it is looked at, and that is to be here.
        rows: NDArray[np.float64] = self._env.finished() if first is None else self._env.finished(plain(first))
        return rows

    def n_finished(self) -> int:
        """See `ClusterEnv.n_finished`."""
        return int(self._env.n_finished())

    def prompt_pages(self) -> NDArray[np.int64]:
        """See `ClusterEnv.prompt_pages`."""
        pages: NDArray[np.int64] = self._env.prompt_pages()
        return pages

    def action_masks(self) -> NDArray[np.bool_]:
        """See `ClusterEnv.action_masks`."""
        masks: NDArray[np.bool_] = self._env.action_masks()
        return masks

    def __repr__(self) -> str:
        """The name of it."""
        return "the view that an agent has of its environment"

    def __copy__(self) -> NoReturn:
        """Refuses."""
        raise RuleBroken(f"{self!r} can't be copied: {RULE}")

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        """Refuses."""
        raise RuleBroken(f"{self!r} can't be copied: {RULE}")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuses."""
        raise RuleBroken(f"{self!r} can't be pickled: {RULE}")


def is_oracle(agent: Any) -> bool:
    """Whether an agent, or a class of agents, says that it needs more than a ranked one may have."""
    return bool(getattr(agent, "oracle", False))


def shown(env: Any, agent: Any) -> Any:
    """An environment, or an adapter to one, as an agent is given it: a view, or all of it if it is an oracle."""
    return env if is_oracle(agent) else View(env)


def plain(number: Any) -> int:
    """A number as an int and nothing more; a bool stays one.

    Raises:
        TypeError: If it is no whole number.
    """
    index = operator.index(number)
    return index if type(index) in (int, bool) else int(index)
