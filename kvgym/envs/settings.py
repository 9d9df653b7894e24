"""Arguments of the environments, checked in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, Self

import numpy as np

from kvgym import _check
from kvgym.envs.kernels.codes import REWARDS
from kvgym.envs.layout import FORMS
from kvgym.scenarios import OVERRIDES, SPLITS, Overrides, Scenario, ScenarioLike, check_training_split, get_scenario
from kvgym.sim import EVICTORS, ROUTERS, RULES

HORIZONS = ("drain", "truncate")
ACTIONS = ("leaf", "rule")
RENDER_MODES = ("human", "rgb_array", "ansi")
_SIZES = ("width", "height")
DEFAULT_SCENARIO = "gsp-stable"

V0_RULES = (
    *("lru", "lru_node", "random", "rlt", "fifo", "lfu", "mru", "slru_two_hits", "ghost_slru", "wlfu"),
    *("tail_lru", "gdsf", "workload_aware"),
)
"""Evictors that the rule forms of the ids of version 0 choose from: an evictor that is added later changes no action
space of theirs, and is asked for with the argument `rules`."""

# What may be an override. Where an environment has no argument `evictor` its agent evicts: overriding the scenario's is
# no way to give it one.
_OVERRIDES = {field.name for field in fields(Scenario)} - {"name", "version", "evictor"} | set(OVERRIDES)


@dataclass(frozen=True)
class EnvSettings:
    """Arguments that every environment takes, see `RouteEnv`.

    Once checked, `scenario` is the scenario with its overrides, `scenario_overrides` None, and `reward` a name.

    Raises:
        ValueError: If an argument is not allowed.
    """

    scenario: ScenarioLike = DEFAULT_SCENARIO
    _: KW_ONLY
    scenario_overrides: Overrides | None = None
    observation: str = "scaled"
    reward: str | None = None
    horizon: str = "drain"
    split: str = "train"
    render_mode: str | None = None
    render_size: tuple[int, int] | None = None

    @classmethod
    def of(cls, environment: str, scenario: ScenarioLike, arguments: Mapping[str, Any]) -> Self:
        """The settings that arguments stand for; a TypeError says where one that is not known belongs."""
        known = [field.name for field in fields(cls)]
        for name, value in arguments.items():
            if name not in known:
                hint = f"; allowed are {', '.join(known)}"
                if name == "admission":
                    hint = ": only KVGym/Route-v0 has an action that refuses requests"
                if name in _OVERRIDES:
                    hint = f": the scenario has it, give it as scenario_overrides={{{name!r}: {value!r}}}"
                raise TypeError(f"{environment}() got an unexpected keyword argument {name!r}{hint}")
        return cls(scenario, **arguments)

    def __post_init__(self) -> None:
        scenario = get_scenario(self.scenario, self.scenario_overrides)
        for name, allowed in (("split", SPLITS), ("observation", FORMS), ("horizon", HORIZONS)):
            _check.choice(name, getattr(self, name), allowed)
        if self.horizon == "truncate":
            check_training_split('horizon="truncate"', self.split)
        if self.render_mode is not None:
            _check.choice("render_mode", self.render_mode, RENDER_MODES)
        if self.render_size is not None:
            vars(self).update(render_size=_check_size(self.render_size))
        reward = _check.choice("reward", scenario.objective if self.reward is None else self.reward, REWARDS)
        aimless = [one.name for one in scenario.service_classes if not one.has_target]
        if reward == "slo" and aimless:
            raise ValueError(
                f'reward "slo" needs a target, slo_ttft_s or slo_tpot_s above 0, in each service class of scenario '
                f"{scenario.name!r} ({', '.join(one.name for one in scenario.service_classes)}); "
                f"without one: {', '.join(aimless)}"
            )
        # Made again from these, settings are the same.
        vars(self).update(scenario=scenario, scenario_overrides=None, reward=reward)

    @property
    def played(self) -> Scenario:
        """The scenario."""
        assert isinstance(self.scenario, Scenario)
        return self.scenario


def _check_size(size: Any) -> tuple[int, int]:
    if not isinstance(size, (tuple, list, np.ndarray)) or len(size) != 2:
        raise ValueError(f"render_size must be (width, height) in pixels, got {size!r}")
    width, height = (_check.whole(f"{name} in render_size", n, 32) for name, n in zip(_SIZES, size, strict=True))
    return width, height


@dataclass(frozen=True)
class EvictingSettings(EnvSettings):
    """Arguments of environments whose agent evicts, see `EvictEnv`; the simulator checks `offer` and `quantum`."""

    action: str = "leaf"
    candidates: int = 16
    offer: str = "oldest"
    quantum: str | int = "leaf"
    rules: Sequence[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check.choice("action", self.action, ACTIONS)
        if self.leaf and self.rules is not None:
            raise ValueError(f'rules is for action="rule", got {self.rules!r} with action="leaf"')
        for name, default in (("candidates", 16), ("offer", "oldest"), ("quantum", "leaf")):
            given = getattr(self, name)
            if not self.leaf and given != default:
                raise ValueError(f'{name} is for action="leaf", got {given!r} with action="rule"')
        if _check.whole("candidates", self.candidates, 2) % 2:
            raise ValueError(f"candidates must be an even number >= 2, got {self.candidates!r}")
        if self.rules is not None:
            is_list = isinstance(self.rules, (list, tuple)) and len(self.rules) > 1
            names = [_check.choice("rules", rule, RULES) for rule in self.rules] if is_list else []
            if not is_list or len(set(names)) < len(names):
                raise ValueError(f"rules must be a list of two or more different evictors, got {self.rules!r}")
            vars(self).update(rules=tuple(names))

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


def split_router(router: object) -> tuple[str, str | None]:
    """The simulator's router that the argument `router` stands for, and "module:name" of the agent if it is one.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(router, str) and ":" in router:
        return "agent", router
    try:
        return _check.choice("router", router, ROUTERS[1:]), None
    except ValueError as error:
        raise ValueError(f'{error}; or "module:name" of an agent, as "agents:lbgr_code"') from None
