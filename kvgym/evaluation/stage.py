"""The environment that an agent plays: what it declares, checked and made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from kvgym import _check
from kvgym.envs.adapter import ROUTE_ID
from kvgym.envs.layout import FORMS
from kvgym.scenarios import Scenario, ScenarioLike, get_scenario

ROUTE, EVICT, JOINT = ENVIRONMENTS = (ROUTE_ID, "KVGym/Evict-v0", "KVGym/Joint-v0")
ASKABLE = ("action", "candidates", "offer", "quantum", "rules", "admission", "view")
"""Arguments that decide what an action means, and the view of the caches that a routing rule has in production. All
others decide what is played, and that is not the agent's to say."""


def environment_of(agent: Any) -> str:
    """Id of the environment that an agent, or a class of agents, plays: its `environment`, default KVGym/Route-v0.

    Raises:
        ValueError: If there is no such environment.
    """
    name = getattr(agent, "environment", ROUTE)
    if name in gym.registry:
        return str(name)
    return _check.choice(f"{_class_name(agent)}.environment", name, ENVIRONMENTS)


def env_kwargs_of(agent: Any) -> dict[str, Any]:
    """Arguments that an agent asks of its environment: its `env_kwargs`, default nothing.

    Raises:
        ValueError: If it asks for more than it may.
    """
    asked = getattr(agent, "env_kwargs", {})
    what = f"{_class_name(agent)}.env_kwargs"
    if not isinstance(asked, Mapping):
        raise ValueError(f"{what} must be a mapping, got {asked!r}")
    return {_check.choice(f"a name in {what}", name, ASKABLE): value for name, value in asked.items()}


def make_env(
    agent: Any,
    scenario: ScenarioLike,
    *,
    overrides: Mapping[str, Any] | None = None,
    evictor: str | None = None,
    router: str | None = None,
    split: str = "test",
) -> Any:
    """Makes the environment that an agent plays, without Gymnasium's wrappers.

    Args:
        agent: Who plays.
        scenario: Name of a scenario, or what else `kvgym.get_scenario` takes.
        overrides: Fields of the scenario to change.
        evictor: Where the agent routes alone: which pages go; default: the environment's.
        router: Where the agent evicts alone: who routes, see KVGym/Evict-v0; default: the environment's.
        split: "train", "validation" or "test".

    Raises:
        ValueError: If an argument is not allowed, or names a part that the agent plays itself; if the agent may refuse
            requests, and that costs nothing.
    """
    name, asked = environment_of(agent), env_kwargs_of(agent)
    if asked.get("admission"):
        scenario = _priced(agent, get_scenario(scenario, overrides))
        overrides = None
    _check.choice(f"{_class_name(agent)}.observation", agent.observation, FORMS)
    if "view" in asked:
        if name not in (ROUTE, JOINT):
            raise ValueError(f"{_class_name(agent)}.env_kwargs: view is for agents that route, this one plays {name}")
        overrides = {**(overrides or {}), "view": asked.pop("view")}
    given = {"scenario": scenario, "scenario_overrides": overrides, "observation": agent.observation, "split": split}
    for what, value, verb, own in (("evictor", evictor, "evicts", EVICT), ("router", router, "routes", ROUTE)):
        if value is not None and name in (own, JOINT):
            raise ValueError(f"{what} must be None for an agent of {name}, which {verb} itself; got {value!r}")
        if value is not None:
            given[what] = value
    try:
        return gym.make(name, disable_env_checker=True, **{**asked, **given}).unwrapped
    except TypeError as error:
        raise ValueError(f"{_class_name(agent)}.env_kwargs {asked}: {error}") from error


def _priced(agent: Any, scenario: Scenario) -> Scenario:
    """The scenario, whose refusals have a price: J would reward nothing so much as refusing all."""
    free = [one.name for one in scenario.service_classes if one.refusal_cost_s == 0]
    if free:
        raise ValueError(
            f"{_class_name(agent)} may refuse requests, which costs nothing in scenario {scenario.name!r} (classes: "
            f"{', '.join(free)}): give it or its classes a refusal_cost_s above 0"
        )
    return scenario


def _class_name(agent: Any) -> str:
    return agent.__name__ if isinstance(agent, type) else type(agent).__name__
