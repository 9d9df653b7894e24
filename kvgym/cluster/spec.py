"""Specifications of a cluster: the workers, and the settings of the engine that runs on each of them."""

from dataclasses import dataclass
from typing import Any, Self

from kvgym import _check
from kvgym.cluster.cost import IterationCost
from kvgym.cluster.network import Network
from kvgym.cluster.presets import find_preset

SCHEDULES = ("mixed", "prefill_first")
"""What an iteration may hold: prefill and decodes, or prefill as long as there is any."""
QUEUES = ("fcfs", "priority")
"""Who is admitted first: who came first, or the lowest priority."""


@dataclass(frozen=True)
class WorkerSpec:
    """One worker: a model replica, on one or more GPUs.

    Attributes:
        kv_pages: Pages of KV memory, >= 1; a page holds `EngineSpec.page_size` tokens.
        cost: Duration of its iterations.
        kv_bytes_per_token: Bytes of KV cache per token of its model, what transfers move; 0: not known.
        gpus: GPUs that it has, >= 1.

    Raises:
        ValueError: If `kv_pages` or `gpus` is not an integer >= 1, `cost` is no IterationCost, or `kv_bytes_per_token`
            no integer >= 0.
    """

    kv_pages: int
    cost: IterationCost
    kv_bytes_per_token: int = 0
    gpus: int = 1

    def __post_init__(self) -> None:
        """Checks the fields."""
        object.__setattr__(self, "kv_pages", _check.whole("kv_pages", self.kv_pages, 1))
        if not isinstance(self.cost, IterationCost):
            raise ValueError(f"cost must be an IterationCost, got {self.cost!r}")
        size = _check.whole("kv_bytes_per_token", self.kv_bytes_per_token, 0)
        object.__setattr__(self, "kv_bytes_per_token", size)
        object.__setattr__(self, "gpus", _check.whole("gpus", self.gpus, 1))


@dataclass(frozen=True)
class ClusterSpec:
    """The workers of a cluster, in the order of their indices.

    Attributes:
        workers: One WorkerSpec per worker, at least one; any iterable is turned into a tuple.
        network: How cached pages get from worker to worker; None: not at all.

    Raises:
        ValueError: If there is no worker, or one is no WorkerSpec; if the network is none, or of another number of
            workers, or connects workers whose KV differs in size, or is not known.
    """

    workers: tuple[WorkerSpec, ...]
    network: Network | None = None

    def __post_init__(self) -> None:
        """Checks the workers."""
        try:
            workers = tuple(self.workers)
        except TypeError:
            workers = ()
        if not workers or not all(isinstance(worker, WorkerSpec) for worker in workers):
            raise ValueError(f"workers must be at least one WorkerSpec, got {self.workers!r}")
        object.__setattr__(self, "workers", workers)
        if self.network is not None:
            self._check_network(self.network)

    def _check_network(self, network: object) -> None:
        if not isinstance(network, Network):
            raise ValueError(f"network must be a Network or None, got {network!r}")
        if len(network.nodes) != len(self.workers):
            raise ValueError(
                f"network must name the node of {len(self.workers)} workers, it names {len(network.nodes)}"
            )
        sizes = sorted({worker.kv_bytes_per_token for worker in self.workers})
        if len(sizes) > 1 or sizes[0] == 0:
            raise ValueError(
                "workers on a network must have the same kv_bytes_per_token above 0, they exchange KV of one model; "
                f"got {sizes}"
            )

    @classmethod
    def uniform(cls, n: int, kv_pages: int, cost: IterationCost) -> Self:
        """A cluster of `n` equal workers.

        Raises:
            ValueError: If `n` is not an integer >= 1, or as for `WorkerSpec`.
        """
        return cls((WorkerSpec(kv_pages, cost),) * _check.whole("n", n, 1))

    def __len__(self) -> int:
        """Number of workers."""
        return len(self.workers)


@dataclass(frozen=True)
class EngineSpec:
    """Settings of the continuous-batching engine, the same on every worker.

    Attributes:
        page_size: Tokens per page, >= 1: 1 is the token level, 16 the default of vLLM.
        schedule: "mixed" (prefill chunks and decodes share an iteration, as in vLLM V1) or "prefill_first" (each
            iteration has one or the other, prefills first, as in SGLang 0.4).
        chunk_tokens: Token budget of an iteration.
        max_running: Most requests in the batch, from 1 to `chunk_tokens` (each decode takes a token of the budget).
        evict_full_request: Evict as many pages as an allocation asks for instead of only those that are missing.
        reserve_output: Share of the output that "prefill_first" reserves at admission, >= 0; 1 is SGLang with
            known lengths.
        queue: Who is admitted first: "fcfs" (who came first) or "priority" (the lower priority of its service class, as
            with vLLM's --scheduling-policy priority; docs/semantics.md#e6-priority).

    Raises:
        ValueError: If a field is outside its range.
    """

    page_size: int = 16
    schedule: str = "mixed"
    chunk_tokens: int = 8192
    max_running: int = 256
    evict_full_request: bool = False
    reserve_output: float = 1.0
    queue: str = "fcfs"

    def __post_init__(self) -> None:
        """Checks the fields."""
        checked = {
            "page_size": _check.whole("page_size", self.page_size, 1),
            "schedule": _check.choice("schedule", self.schedule, SCHEDULES),
            "chunk_tokens": _check.whole("chunk_tokens", self.chunk_tokens, 1),
            "max_running": _check.whole("max_running", self.max_running, 1),
            "evict_full_request": _check.flag("evict_full_request", self.evict_full_request),
            "reserve_output": _check.finite("reserve_output", self.reserve_output),
            "queue": _check.choice("queue", self.queue, QUEUES),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.max_running > self.chunk_tokens:
            raise ValueError(
                f"max_running must be at most chunk_tokens ({self.chunk_tokens}), since every decode takes a token of "
                f"the budget; got {self.max_running}"
            )

    @classmethod
    def preset(cls, name: str, *, gpu: str | None = None, **changes: Any) -> Self:
        """The settings that an engine starts with.

        Args:
            name: The engine and its version, one of `kvgym.cluster.PRESETS`; each figure has its source there.
            gpu: Name of a GPU of the package, for defaults that depend on it, such as vLLM's chunk size. None: those of
                an A100 with 80 GB.
            **changes: Fields that are otherwise. `max_running`, unless it is among them, is at most `chunk_tokens`.

        Raises:
            ValueError: If there is no such preset or GPU, or a change is no field or outside its range.
        """
        _check.keywords(f"changes of preset {name!r}", changes, cls)
        settings = {**find_preset(name).engine(gpu), **changes}
        if "max_running" not in changes:
            chunk = _check.whole("chunk_tokens", settings["chunk_tokens"], 1)
            settings["max_running"] = min(settings["max_running"], chunk)
        return cls(**settings)
