"""What serves: how long an iteration of a worker takes, and how much KV memory a worker has."""

from kvgym.cluster.catalogue import Catalogue, Pair, load_catalogue, worker_spec
from kvgym.cluster.cost import IterationCost
from kvgym.cluster.memory import Gpu, Model, kv_tokens
from kvgym.cluster.spec import SCHEDULES, ClusterSpec, EngineSpec, WorkerSpec

__all__ = [
    "SCHEDULES",
    "Catalogue",
    "ClusterSpec",
    "EngineSpec",
    "Gpu",
    "IterationCost",
    "Model",
    "Pair",
    "WorkerSpec",
    "kv_tokens",
    "load_catalogue",
    "worker_spec",
]
