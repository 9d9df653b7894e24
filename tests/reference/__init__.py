"""An independent plain-Python simulator, the oracle that the compiled one is compared with.

It was written from the semantics alone, steps every iteration and looks at every page. Slow and obvious on purpose.
"""

from .asked import Candidate, Question
from .roster import RULES
from .simulator import simulate
from .types import (
    RefCost,
    RefCrash,
    RefEngine,
    RefLink,
    RefNetwork,
    RefRecord,
    RefRequest,
    RefResult,
    RefSlowdown,
    RefTotals,
)
from .views import View, least_loaded, prefix_affinity, round_robin

__all__ = [
    "RULES",
    "Candidate",
    "Question",
    "RefCost",
    "RefCrash",
    "RefEngine",
    "RefLink",
    "RefNetwork",
    "RefRecord",
    "RefRequest",
    "RefResult",
    "RefSlowdown",
    "RefTotals",
    "View",
    "least_loaded",
    "prefix_affinity",
    "round_robin",
    "simulate",
]
