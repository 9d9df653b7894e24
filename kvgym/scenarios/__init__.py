"""Named settings: a scenario is a workload recipe, a cluster, engine settings and an objective."""

from kvgym.scenarios.library import SCENARIOS, get_scenario
from kvgym.scenarios.scenario import OBJECTIVES, SPLITS, Scenario

__all__ = ["OBJECTIVES", "SCENARIOS", "SPLITS", "Scenario", "get_scenario"]
