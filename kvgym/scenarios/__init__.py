"""Settings: a scenario is a workload recipe, a cluster, engine settings and an objective; of the suite, or your own."""

from kvgym.scenarios.find import Overrides, ScenarioLike, get_scenario
from kvgym.scenarios.library import SCENARIOS, SUITE_SCENARIOS, register_scenario
from kvgym.scenarios.recipes import register_recipe
from kvgym.scenarios.scenario import OBJECTIVES, SPLITS, Scenario

__all__ = [
    "OBJECTIVES",
    "SCENARIOS",
    "SPLITS",
    "SUITE_SCENARIOS",
    "Overrides",
    "Scenario",
    "ScenarioLike",
    "get_scenario",
    "register_recipe",
    "register_scenario",
]
