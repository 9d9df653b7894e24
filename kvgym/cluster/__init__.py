"""Workers: how long an iteration of a worker takes, and how much KV memory a worker has."""

from kvgym.cluster.catalogue import Catalogue, RequestOverhead, load_catalogue, worker_spec
from kvgym.cluster.cost import IterationCost
from kvgym.cluster.faults import Crash, Fault, FaultRates, Slowdown, check_faults
from kvgym.cluster.memory import kv_tokens
from kvgym.cluster.network import Link, Network, find_link
from kvgym.cluster.pair import Pair
from kvgym.cluster.presets import PRESETS, Preset, find_preset
from kvgym.cluster.published import KV_DTYPES, WEIGHTS, Architecture, Gpu, Model
from kvgym.cluster.roofline import published_cost
from kvgym.cluster.spec import SCHEDULES, ClusterSpec, EngineSpec, WorkerSpec

__all__ = [
    "KV_DTYPES",
    "PRESETS",
    "SCHEDULES",
    "WEIGHTS",
    "Architecture",
    "Catalogue",
    "ClusterSpec",
    "Crash",
    "EngineSpec",
    "Fault",
    "FaultRates",
    "Gpu",
    "IterationCost",
    "Link",
    "Model",
    "Network",
    "Pair",
    "Preset",
    "RequestOverhead",
    "Slowdown",
    "WorkerSpec",
    "check_faults",
    "find_link",
    "find_preset",
    "kv_tokens",
    "load_catalogue",
    "published_cost",
    "worker_spec",
]
