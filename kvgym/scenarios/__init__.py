"""Settings: a scenario is a workload recipe, a cluster, engine settings and an objective; of the suite, or your own."""

from kvgym.scenarios.find import Overrides, ScenarioLike, get_scenario
from kvgym.scenarios.library import (
    FAMILIES,
    SCENARIOS,
    SUITE_SCENARIOS,
    Family,
    family_of,
    refuse_held_out,
    register_scenario,
)
from kvgym.scenarios.recipes import register_recipe
from kvgym.scenarios.scenario import OBJECTIVES, OVERRIDES, SPLITS, TRAINING_SPLITS, Scenario, check_training_split

__all__ = [
    "FAMILIES",
    "OBJECTIVES",
    "OVERRIDES",
    "SCENARIOS",
    "SPLITS",
    "SUITE_SCENARIOS",
    "TRAINING_SPLITS",
    "Family",
    "Overrides",
    "Scenario",
    "ScenarioLike",
    "check_training_split",
    "family_of",
    "get_scenario",
    "refuse_held_out",
    "register_recipe",
    "register_scenario",
]
