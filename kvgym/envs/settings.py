"""Arguments of the environments, checked in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, Self

import numpy as np

from kvgym import _check
from kvgym.envs.layout import FORMS
from kvgym.scenarios import SPLITS, Scenario, ScenarioLike, get_scenario
from kvgym.sim import EVICTORS, ROUTERS, RULES

HORIZONS = ("drain", "truncate")
REWARDS = ("e2e", "ttft")
ACTIONS = ("leaf", "rule")
RENDER_MODES = ("human", "rgb_array", "ansi")
_SIZES = ("width", "height")
DEFAULT_SCENARIO = "gsp-stable"

V0_RULES = (
    "lru",
    "lru_node",
    "random",
    "rlt",
    "fifo",
    "lfu",
    "mru",
    "slru",
    "ghost_slru",
    "wlfu",
    "tail_lru",
    "gdsf",
    "workload_aware",
)
"""Evictors that the rule forms of the ids of version 0 choose from: an evictor that is added later changes no action
space of theirs, and is asked for with the argument `rules`."""

_OVERRIDES = {field.name for field in fields(Scenario)} - {"name", "version"} | {"n_workers"}
# Where an environment has no argument `evictor` its agent evicts: overriding the scenario's is no way to give it one.
_NO_HINT = ("evictor",)


@dataclass(frozen=True)
class EnvSettings:
    """Arguments that every environment takes.

    Attributes:
        scenario: A name of `kvgym.scenarios.SCENARIOS`, or what else `get_scenario` takes; then what that found.
        scenario_overrides: Fields of the scenario to change; then None, for they have been.
        observation: "scaled" or "physical".
        reward: "e2e" or "ttft"; None: the scenario's objective.
        horizon: "drain" or "truncate".
        split: "train", "validation" or "test".
        render_mode: "human", "rgb_array", "ansi" or None.
        render_size: Width and height of the picture in pixels; None: what the number of workers needs.

    Raises:
        ValueError: If an argument is not allowed.
    """

    scenario: ScenarioLike = DEFAULT_SCENARIO
    _: KW_ONLY
    scenario_overrides: Mapping[str, Any] | None = None
    observation: str = "scaled"
    reward: str | None = None
    horizon: str = "drain"
    split: str = "train"
    render_mode: str | None = None
    render_size: tuple[int, int] | None = None

    @classmethod
    def of(cls, environment: str, scenario: ScenarioLike, arguments: Mapping[str, Any]) -> Self:
        """The settings of an environment's arguments.

        Raises:
            TypeError: If an argument is not known, as Python has it (Gymnasium adds its own words to it); the message
                says what is allowed, or where the argument belongs.
            ValueError: If an argument is not allowed.
        """
        known = [field.name for field in fields(cls)]
        for name, value in arguments.items():
            if name not in known:
                raise TypeError(f"{environment}() {_explain(name, value, known)}")
        return cls(scenario, **arguments)

    def __post_init__(self) -> None:
        """Checks the arguments; made again from its own fields, it is the same."""
        scenario = get_scenario(self.scenario, self.scenario_overrides)
        _check.choice("split", self.split, SPLITS)
        if self.render_mode is not None:
            _check.choice("render_mode", self.render_mode, RENDER_MODES)
        if self.render_size is not None:
            self._set(render_size=_check_size(self.render_size))
        _check.choice("observation", self.observation, FORMS)
        reward = _check.choice("reward", scenario.objective if self.reward is None else self.reward, REWARDS)
        _check.choice("horizon", self.horizon, HORIZONS)
        self._set(scenario=scenario, scenario_overrides=None, reward=reward)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def played(self) -> Scenario:
        """The scenario."""
        assert isinstance(self.scenario, Scenario)
        return self.scenario

    @property
    def is_ttft(self) -> bool:
        """Whether the reward is "ttft"."""
        return self.reward == "ttft"

    @property
    def per_cost(self) -> float:
        """Reward of a request second."""
        return -1.0 / self.played.reward_scale_s


def _check_size(size: Any) -> tuple[int, int]:
    if not isinstance(size, (tuple, list, np.ndarray)) or len(size) != 2:
        raise ValueError(f"render_size must be (width, height) in pixels, got {size!r}")
    width, height = (_check.whole(f"{name} in render_size", n, 32) for name, n in zip(_SIZES, size, strict=True))
    return width, height


@dataclass(frozen=True)
class EvictingSettings(EnvSettings):
    """Arguments of environments whose agent evicts.

    Attributes:
        action: "leaf" or "rule".
        candidates: Slots of an EVICT decision, an even number >= 2 (leaf form).
        quantum: "leaf" or 1 (leaf form; checked by the simulator).
        rules: Names of the evictors to choose from, of `kvgym.sim.RULES` (rule form); None: `V0_RULES`.
    """

    action: str = "leaf"
    candidates: int = 16
    quantum: str | int = "leaf"
    rules: Sequence[str] | None = None

    def __post_init__(self) -> None:
        """Checks the arguments."""
        super().__post_init__()
        _check.choice("action", self.action, ACTIONS)
        if self.leaf and self.rules is not None:
            raise ValueError(f'rules is for action="rule", got {self.rules!r} with action="leaf"')
        for name, default in (("candidates", 16), ("quantum", "leaf")):
            given = getattr(self, name)
            if not self.leaf and given != default:
                raise ValueError(f'{name} is for action="leaf", got {given!r} with action="rule"')
        if _check.whole("candidates", self.candidates, 2) % 2:
            raise ValueError(f"candidates must be an even number >= 2, got {self.candidates!r}")
        if self.rules is not None:
            self._set(rules=_rules(self.rules))

    @property
    def leaf(self) -> bool:
        """Whether the agent chooses leaves."""
        return self.action == "leaf"

    @property
    def slots(self) -> int:
        """Slots of an EVICT decision; 0 in rule form."""
        return self.candidates if self.leaf else 0

    @property
    def choices(self) -> tuple[str, ...]:
        """The evictors to choose from."""
        return V0_RULES if self.rules is None else tuple(self.rules)

    @property
    def rule_numbers(self) -> list[int]:
        """Their numbers in the simulator."""
        return [EVICTORS.index(rule) for rule in self.choices]


def _rules(rules: Any) -> tuple[str, ...]:
    wrong = ValueError(f"rules must be a list of two or more different evictors, got {rules!r}")
    if not isinstance(rules, (list, tuple)) or len(rules) < 2:
        raise wrong
    names = tuple(_check.choice("rules", rule, RULES) for rule in rules)
    if len(set(names)) != len(names):
        raise wrong
    return names


def split_router(router: object) -> tuple[str, str | None]:
    """Takes the argument `router` of an environment apart.

    Args:
        router: A rule of `kvgym.sim.ROUTERS` but "agent", or "module:name" for the agent that `module.make_agent(name)`
            makes, such as "agents:lbgr_code".

    Returns:
        Router of the simulator, and the agent's "module:name" if there is one.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(router, str) and ":" in router:
        return "agent", router
    try:
        return _check.choice("router", router, ROUTERS[1:]), None
    except ValueError as error:
        raise ValueError(f'{error}; or "module:name" of an agent, as "agents:lbgr_code"') from None


def _explain(name: str, value: object, known: list[str]) -> str:
    text = f"got an unexpected keyword argument {name!r}"
    if name in _OVERRIDES and name not in _NO_HINT:
        return f"{text}: the scenario has it, give it as scenario_overrides={{{name!r}: {value!r}}}"
    return f"{text}; allowed are {', '.join(known)}"
