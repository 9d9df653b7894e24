"""How time passes: a workload on a cluster becomes decisions and records of finished requests."""

from kvgym.sim.kernels.rules import EVICTORS, ROUTERS, RULES
from kvgym.sim.simulator import TRANSFERS, Decision, Simulator

__all__ = ["EVICTORS", "ROUTERS", "RULES", "TRANSFERS", "Decision", "Simulator"]
