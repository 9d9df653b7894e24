"""kvgym: Gymnasium environments in which an agent runs a simulated cluster of LLM servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envs_registry import register_envs

if TYPE_CHECKING:
    from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost, WorkerSpec
    from kvgym.envs.vector import make_vec
    from kvgym.scenarios import Scenario, get_scenario, register_recipe, register_scenario
    from kvgym.sim import Simulator
    from kvgym.workload import ServiceClass, Workload

__version__ = "0.1.0"

__all__ = [
    "ClusterSpec",
    "EngineSpec",
    "IterationCost",
    "Scenario",
    "ServiceClass",
    "Simulator",
    "WorkerSpec",
    "Workload",
    "get_scenario",
    "make_vec",
    "register_recipe",
    "register_scenario",
]

# Imported on first use: `import kvgym` only registers the environments, and stays fast.
_HOMES = {
    "ClusterSpec": "kvgym.cluster",
    "EngineSpec": "kvgym.cluster",
    "IterationCost": "kvgym.cluster",
    "Scenario": "kvgym.scenarios",
    "ServiceClass": "kvgym.workload",
    "Simulator": "kvgym.sim",
    "WorkerSpec": "kvgym.cluster",
    "Workload": "kvgym.workload",
    "get_scenario": "kvgym.scenarios",
    "make_vec": "kvgym.envs.vector",
    "register_recipe": "kvgym.scenarios",
    "register_scenario": "kvgym.scenarios",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kvgym' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))


register_envs()
