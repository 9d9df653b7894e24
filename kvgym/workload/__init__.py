"""Workloads: requests, sessions and the prefix tree, as flat tables. Importing this does not load numba."""

from kvgym.workload.access_log import read_access_log
from kvgym.workload.adversary import adversary
from kvgym.workload.agent_sessions import read_agent_sessions
from kvgym.workload.arrivals import PROCESSES, Arrivals, arrive, chain, poisson_arrivals, slotted_arrivals, think_times
from kvgym.workload.classes import ServiceClass
from kvgym.workload.coding_agents import coding_agents
from kvgym.workload.conversations import read_conversations
from kvgym.workload.formats import FORMATS, detect, read_trace
from kvgym.workload.lengths import read_lengths
from kvgym.workload.measure import Figures, figures, nominal_arrivals
from kvgym.workload.mix import Part, mix
from kvgym.workload.mooncake import read_bailian, read_mooncake
from kvgym.workload.multi_turn import multi_turn
from kvgym.workload.open_loop import equal_requests, gsp, long_documents
from kvgym.workload.presets import PRESETS, Preset, preset
from kvgym.workload.servegen import read_servegen
from kvgym.workload.sessions import kind, sessions
from kvgym.workload.tables import NODE, REQUEST, Columns
from kvgym.workload.trace_file import TraceError
from kvgym.workload.workload import Workload

__all__ = [
    "FORMATS",
    "NODE",
    "PRESETS",
    "PROCESSES",
    "REQUEST",
    "Arrivals",
    "Columns",
    "Figures",
    "Part",
    "Preset",
    "ServiceClass",
    "TraceError",
    "Workload",
    "adversary",
    "arrive",
    "chain",
    "coding_agents",
    "detect",
    "equal_requests",
    "figures",
    "gsp",
    "kind",
    "long_documents",
    "mix",
    "multi_turn",
    "nominal_arrivals",
    "poisson_arrivals",
    "preset",
    "read_access_log",
    "read_agent_sessions",
    "read_bailian",
    "read_conversations",
    "read_lengths",
    "read_mooncake",
    "read_servegen",
    "read_trace",
    "sessions",
    "slotted_arrivals",
    "think_times",
]
