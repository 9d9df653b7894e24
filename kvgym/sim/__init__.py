"""How time passes: a workload on a cluster becomes decisions and records of finished requests."""

from kvgym.sim.base.codes import ROUTERS
from kvgym.sim.decision import Decision
from kvgym.sim.evictors import EVICTORS, RULES
from kvgym.sim.simulator import TRANSFERS, Simulator

__all__ = ["EVICTORS", "ROUTERS", "RULES", "TRANSFERS", "Decision", "Simulator"]
