"""Workloads: requests, sessions and the prefix tree, as flat tables. Importing this does not load numba."""

from kvgym.workload.agent_sessions import read_agent_sessions
from kvgym.workload.arrivals import chain, poisson_arrivals, slotted_arrivals, think_times
from kvgym.workload.classes import ServiceClass
from kvgym.workload.coding_agents import coding_agents
from kvgym.workload.measure import Figures, figures, nominal_arrivals
from kvgym.workload.mooncake import read_mooncake
from kvgym.workload.multi_turn import multi_turn
from kvgym.workload.open_loop import equal_requests, gsp, long_documents
from kvgym.workload.tables import NODE, REQUEST, Columns
from kvgym.workload.trace_file import TraceError
from kvgym.workload.workload import Workload

__all__ = [
    "NODE",
    "REQUEST",
    "Columns",
    "Figures",
    "ServiceClass",
    "TraceError",
    "Workload",
    "chain",
    "coding_agents",
    "equal_requests",
    "figures",
    "gsp",
    "long_documents",
    "multi_turn",
    "nominal_arrivals",
    "poisson_arrivals",
    "read_agent_sessions",
    "read_mooncake",
    "slotted_arrivals",
    "think_times",
]
