"""How time passes: a workload on a cluster becomes decisions and records of finished requests."""

from kvgym.sim.kernels.rules import EVICTORS, ROUTERS, RULES
from kvgym.sim.simulator import Decision, Simulator

__all__ = ["EVICTORS", "ROUTERS", "RULES", "Decision", "Simulator"]
