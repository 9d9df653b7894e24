"""What serves: how long an iteration of a worker takes, and how much KV memory a worker has."""

from kvgym.cluster.catalogue import Catalogue, RequestOverhead, load_catalogue, worker_spec
from kvgym.cluster.cost import IterationCost
from kvgym.cluster.memory import kv_tokens
from kvgym.cluster.pair import Pair
from kvgym.cluster.published import WEIGHTS, Architecture, Gpu, Model
from kvgym.cluster.roofline import published_cost
from kvgym.cluster.spec import SCHEDULES, ClusterSpec, EngineSpec, WorkerSpec

__all__ = [
    "SCHEDULES",
    "WEIGHTS",
    "Architecture",
    "Catalogue",
    "ClusterSpec",
    "EngineSpec",
    "Gpu",
    "IterationCost",
    "Model",
    "Pair",
    "RequestOverhead",
    "WorkerSpec",
    "kv_tokens",
    "load_catalogue",
    "published_cost",
    "worker_spec",
]
