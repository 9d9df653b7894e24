"""An independent plain-Python simulator, the oracle that the compiled one is compared with.

It was written from the semantics alone, steps every iteration and looks at every page. Slow and obvious on purpose.
"""

from .asked import Candidate, Question
from .objectives import Score, score
from .roster import RULES
from .simulator import simulate
from .types import (
    RefClass,
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
    "RefClass",
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
    "Score",
    "View",
    "least_loaded",
    "prefix_affinity",
    "round_robin",
    "score",
    "simulate",
]
