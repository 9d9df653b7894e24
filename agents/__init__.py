"""Agents by name, from the rules of production systems to learned ones; `make_agent` makes them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from kvgym.envs.layout import FORMS
from kvgym.evaluation.stage import env_kwargs_of, environment_of

from .base import Agent

__all__ = [
    "ADMISSION_AGENTS",
    "AGENTS",
    "BOUND_AGENTS",
    "EVICTION_AGENTS",
    "JOINT_AGENTS",
    "Agent",
    "make_agent",
]

_TABLE: dict[str, dict[str, str]] = {
    "routing": {
        "random": "random_agent:RandomAgent",
        "round_robin": "round_robin:RoundRobin",
        "least_loaded": "least_loaded:LeastLoaded",
        "least_work": "least_work:LeastWork",
        "power_of_two": "power_of_two:PowerOfTwo",
        "session_affinity": "session_affinity:SessionAffinity",
        "vllm_dp": "vllm_dp:VllmDp",
        "skywalker": "vllm_dp:SkyWalker",
        "chwbl": "consistent_hash:BoundedHash",
        "prefix_hash": "consistent_hash:BoundedHash",
        "dualmap": "consistent_hash:DualMap",
        "cache_aware": "cache_aware:CacheAware",
        "cache_aware_03": "cache_aware:CacheAware",
        "cache_aware_032": "cache_aware:CacheAware",
        "cache_aware_smg": "cache_aware:CacheAware",
        "prefixaware": "production_stack:PrefixAware",
        "kvaware": "production_stack:KvAware",
        "loadaware": "production_stack:LoadAware",
        "aibrix": "aibrix:AiBrix",
        "preble": "aibrix:Preble",
        "ray_affinity": "ray_affinity:RayAffinity",
        "kthena": "kthena:Kthena",
        "llmd": "llmd:LlmD",
        "llmd_scenario": "llmd:LlmD",
        "llmd_agentic": "llmd:LlmDAgentic",
        "llmd_predicted": "llmd_predicted:LlmDPredicted",
        "dynamo": "dynamo:Dynamo",
        "dynamo_scenario": "dynamo:Dynamo",
        "dynamo_tuned": "dynamo:Dynamo",
        "mooncake": "mooncake:Mooncake",
        "gorgo": "gorgo:Gorgo",
        "lmetric": "lmetric:LMetric",
        "lpwl": "lpwl:Lpwl",
        "lpwl_miss8": "lpwl:Lpwl",
        "lpwl_aged": "lpwl:Lpwl",
        "lpwl_tuned": "lpwl:Lpwl",
        "lbgr": "lbgr:Lbgr",
        "lbgr_unbounded": "lbgr:Lbgr",
        "lbgr_code": "lbgr_code:LbgrCode",
    },
    "admission": {"early_rejection": "early_rejection:EarlyRejection"},
    "eviction": {"lru": "lru:Lru", "random_leaf": "random_leaf:RandomLeaf", "rlt": "rlt:Rlt", "gdsf": "gdsf:Gdsf"},
    "joint": {"pair": "pair:Pair", "rule_pair": "rule_pair:RulePair", "learned:joint": "pair:Pair"},
    "bounds": {"planner": "planner:Planner", "planner_blind": "planner_blind:PlannerBlind"},
    "learned": {
        "learned": "agent:Learned",
        "learned:router": "router:ShippedRouter",
        "learned:evictor": "evictor:LearnedEvictor",
    },
}
"""Folder -> name of an agent -> its module and class: a new agent is a file there and a row here."""


def _classes(folder: str) -> dict[str, type[Agent]]:
    places = {name: place.split(":") for name, place in _TABLE[folder].items()}
    return {name: getattr(import_module(f"{__name__}.{folder}.{file}"), cls) for name, (file, cls) in places.items()}


AGENTS = _classes("routing")
"""Routing agents, for KVGym/Route-v0: name -> class."""

ADMISSION_AGENTS = _classes("admission")
"""Agents that route and refuse, for KVGym/Route-v0 with `admission=True`: name -> class. They play scenarios in which
refusals have a price."""

EVICTION_AGENTS = _classes("eviction")
"""Eviction agents, for KVGym/Evict-v0: name -> class. Where both are meant, "agents:rlt" is this one, "rlt" the evictor
of the simulator."""

JOINT_AGENTS = _classes("joint")
"""Agents that do both, for KVGym/Joint-v0: name -> class."""

BOUND_AGENTS = _classes("bounds")
"""Oracles that plan ahead on copies of the cluster, for KVGym/Route-v0: name -> class. They play where they are asked
for: an episode takes them seconds to minutes."""

NAMED = AGENTS | EVICTION_AGENTS | JOINT_AGENTS | ADMISSION_AGENTS | BOUND_AGENTS | _classes("learned")

TUNED: dict[str, dict[str, Any]] = {
    # Of 5 weights x 5 ages the lowest geometric mean of J over gsp-stable, gsp and multi-turn, on the validation seeds
    # 0 to 2: 225 episodes, 25 CPU seconds.
    "lpwl_aged": {"miss_weight": 8.0, "max_age_s": 30.0},
    # `python -m agents.tune lpwl` and `.. dynamo`, 497,664 decisions each on training seeds of nine scenarios.
    "lpwl_tuned": {"miss_weight": 24.0, "max_age_s": 40.9},
    "dynamo_tuned": {"scale": 8.39, "credit": 3.09, "credit_decay": 0.00512, "active_request": 45.9},
}
"""Rows whose constants were searched: name -> constants; docs/leaderboard.md has what they came to."""

PRESETS: dict[str, dict[str, Any]] = {
    # The default threshold of 0.5 sits on the sharing ratio of the GSP load; a tuned one is the fairer rival.
    "cache_aware_03": {"threshold": 0.3},
    "cache_aware_032": {"variant": "sglang-router-0.3.2"},
    "cache_aware_smg": {"variant": "smg-1.13"},
    "prefix_hash": {"key_tokens": 256, "virtual_nodes": 150, "full": "least"},
    "llmd_scenario": {"view": "scenario"},
    "dynamo_scenario": {"view": "scenario"},
    "lpwl_miss8": {"miss_weight": 8.0},
    "lbgr_unbounded": {"bound": None},
    # Router and evictor that come with the suite, each trained with another partner.
    "learned:joint": {"router": "learned:router", "evictor": "learned:evictor"},
    **TUNED,
}
"""Name -> arguments that it stands for, beside the class's defaults."""


def make_agent(name_or_path: str, **kwargs: Any) -> Any:
    """Makes an agent.

    Args:
        name_or_path: A name in `AGENTS`, `ADMISSION_AGENTS`, `EVICTION_AGENTS`, `JOINT_AGENTS` or `BOUND_AGENTS`, or
            "path/to/file.py:Class" for an agent of your own: a class with `observation`, `reset(env, seed)` and
            `act(observation, info)`; one that does not play KVGym/Route-v0 says so with `environment`, see
            `agents.base`.
        **kwargs: Arguments of the class; they go before those that the name stands for.

    Raises:
        ValueError: If the name is not known (the message lists those that are), the file or class is not there, the
            class lacks part of the interface, or an argument is not accepted.
    """
    if name_or_path in NAMED:
        kwargs = PRESETS.get(name_or_path, {}) | kwargs
        make: Callable[..., Any] = NAMED[name_or_path]
    elif ".py:" in name_or_path:
        make = _load(name_or_path)
    else:
        raise ValueError(f'agent must be one of {", ".join(NAMED)}, or "path/to/file.py:Class"; got {name_or_path!r}')
    try:
        return partial(make, **kwargs)()
    except TypeError as error:
        raise ValueError(f"arguments of agent {name_or_path!r}: {error}") from error


def _load(place: str) -> Callable[..., Any]:
    """The class at "path/to/file.py:Class"."""
    path_name, _, class_name = place.rpartition(":")
    path = Path(path_name)
    if not path.is_file():
        raise ValueError(f"agent {place!r}: there is no file {path_name!r}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"agent {place!r}: {path_name!r} can't be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise ValueError(f"agent {place!r}: {path_name!r} has no class {class_name!r}")
    lacking = [name for name in ("reset", "act") if not callable(getattr(found, name, None))]
    if lacking:
        raise ValueError(f"agent {place!r}: class {class_name} lacks {' and '.join(lacking)}")
    form = getattr(found, "observation", None)
    if form not in FORMS:
        raise ValueError(f'agent {place!r}: {class_name}.observation must be "scaled" or "physical", got {form!r}')
    try:
        environment_of(found), env_kwargs_of(found)
    except ValueError as error:
        raise ValueError(f"agent {place!r}: {error}") from error
    return found
