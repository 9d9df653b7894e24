"""A scenario: a named, versioned combination of workload recipe, cluster, engine settings and objective."""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym import _check
from kvgym.cluster import ClusterSpec, Crash, EngineSpec, Fault, FaultRates
from kvgym.scenarios.describe import (
    CLASS_DEFAULTS,
    WORKER_KEYS,
    make_classes,
    make_cluster,
    make_engine,
    make_faults,
    plain,
)
from kvgym.scenarios.recipes import check_arguments, make_workload, trace_facts
from kvgym.scenarios.traces import Facts
from kvgym.sim import EVICTORS, ROUTERS, TRANSFERS, VIEWS, Simulator
from kvgym.workload import ServiceClass, Workload
from kvgym.workload.classes import draw_classes

OBJECTIVES = ("e2e", "ttft")
"""What is to be low: mean latency, or mean time to first token."""
SPLITS = ("train", "validation", "test", "all")
"""Workloads of different splits come from different random streams, or from different blocks of a trace; "all" is all
of a trace, for those who train nothing."""
TRAINING_SPLITS = ("train", "validation")
"""Those that a learner may see: what it is scored on it has not been shown."""

OVERRIDES = ("at_load", "n_workers")
"""What `Scenario.with_overrides` takes beside fields, and keys of workers."""
_WITHOUT_LOAD = frozenset(
    {
        *("text", "objective", "warmup_requests", "warmup_router", "episode_requests", "reward_scale_s"),
        *("slo_ttft_s", "slo_tpot_s", "refusal_cost_s", "evictor", "view", "history_tokens", "metrics_period_s"),
        *("output_hint_sigma", "decision_s"),
    }
)
"""Fields that have nothing to do with how much work arrives, nor with who does it."""

# Children of an episode's seed; the workload's own streams are its children 0, 1, .. (`kvgym.workload.random`).
_RULES, _HINTS, _FAULTS, _CLASSES = 1000, 1001, 1002, 1003


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Workload, cluster, engine and objective of an environment.

    Fields are JSON values, and the engine's are those of a mapping: `Scenario(**scenario.to_dict())` is the same again.

    Attributes:
        name: Its name: letters, digits, spaces and _ . + -; results and trained files are named by it.
        version: Raised with every change of the scenario; scores of different versions are not comparable.
        text: One line for tables.
        recipe: How the workload is made: one of `kvgym.scenarios.recipes.RECIPES`, or "module:name" of a function, see
            `kvgym.scenarios.recipes.Recipe`.
        recipe_args: Keyword arguments of the recipe.
        rate_scale: Requests, or the sessions of closed loops, arrive so many times as fast as the recipe has them; the
            pauses inside sessions stay.
        load: What this is of the highest rate that the best known policy sustains (docs/scenarios.md), as measured with
            all other fields as they are; None where nobody has measured it.
        workers: Worker descriptions; each has either the keys model, gpu and optionally tp, weights, form,
            kv_dtype, context_tokens, data_attention, mem_fraction, overhead_ms of `kvgym.cluster.worker_spec`, and
            kv_tokens, its KV memory if it is not what the GPU has left; or kv_tokens and cost (keyword arguments of
            `IterationCost`) and optionally kv_bytes_per_token and gpus. And optionally count, how many there are of
            it. Of the catalogue's models there may be one: routing knows no others.
        engine: Settings of the engine on each worker: an EngineSpec, or a mapping of its fields, beside which may stand
            preset and gpu (see `EngineSpec.preset`), whose settings the other fields change.
        objective: Latency that counts: "e2e" or "ttft".
        evictor: Which cached pages go when memory is short.
        view: A router's view of the caches, "exact", "history" or "speculative".
        history_tokens: Tokens per worker that the history view remembers.
        metrics_period_s: Engine metrics are snapshots at multiples of this; 0 = always current.
        decision_s: Seconds that a routing decision takes (docs/semantics.md#d1-time).
        warmup_requests: First arrivals, routed by `warmup_router` and not counted.
        warmup_router: Rule of the warm-up.
        episode_requests: Arrivals that count.
        reward_scale_s: Rewards are seconds of waiting over this.
        output_hint_sigma: None: output lengths are hidden; x from 0 to 10: observations hint them with log-normal noise
            of sigma x.
        slo_ttft_s: Target for the time to first token, 0 = none; used by goodput and by the reward "slo".
        slo_tpot_s: Target for the time per output token, 0 = none.
        refusal_cost_s: Request seconds that a refusal costs.
        classes: Service classes, by their number in the workload: mappings with name and optionally the other fields of
            `kvgym.ServiceClass`; slo_ttft_s, slo_tpot_s and refusal_cost_s are those above where a class does not say.
            With shares, classes are drawn, one for each session, with the workload's seed. A single class is for all
            requests. None: all are of one.
        network: None, or how cached pages get from worker to worker: a mapping with nodes (the node of each worker) or
            per_node (workers of a node, in order), inside and between: a link of the catalogue, or its latency_ms,
            gb_per_s and perhaps page_us and overlap, or link (of the catalogue) with one or both of these.
        transfer: "auto": pages that a request misses are fetched from another worker where that is faster than
            computing them; "never".
        faults: Nothing, or the fields of `kvgym.cluster.FaultRates`: schedules are drawn, one per episode, with the
            workload's seed; or schedule, a list of faults that every episode has: mappings with kind ("crash" or
            "slow-down") and the fields of `kvgym.cluster.Crash` or `Slowdown`.
        cluster: The workers and their network, built from the fields.

    Raises:
        ValueError: If a field is not as described.
    """

    name: str
    version: int = 0
    text: str = ""
    recipe: str
    recipe_args: Mapping[str, Any] = field(default_factory=dict)
    rate_scale: float = 1.0
    load: float | None = None
    workers: Sequence[Mapping[str, Any]]
    engine: EngineSpec = field(default_factory=EngineSpec)
    objective: str = "e2e"
    evictor: str = "lru"
    view: str = "history"
    history_tokens: int = 2_600_000
    metrics_period_s: float = 0.1
    decision_s: float = 0.0
    warmup_requests: int = 0
    warmup_router: str = "least_loaded"
    episode_requests: int = 4096
    reward_scale_s: float = 1.0
    output_hint_sigma: float | None = None
    slo_ttft_s: float = 0.0
    slo_tpot_s: float = 0.0
    refusal_cost_s: float = 0.0
    classes: Sequence[Mapping[str, Any]] = ()
    network: Mapping[str, Any] | None = None
    transfer: str = "never"
    faults: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks the fields and builds the cluster."""
        for name in ("recipe_args", "faults", *(() if self.network is None else ("network",))):
            _check.mapping(name, getattr(self, name))
        for one in fields(self):
            if one.name != "engine":
                object.__setattr__(self, one.name, plain(one.name, getattr(self, one.name)))
            elif not isinstance(self.engine, EngineSpec):
                object.__setattr__(self, "engine", make_engine(self.engine))
        object.__setattr__(self, "workers", tuple(_workers(self.workers)))
        if not re.fullmatch(r"[\w .+-]+", _check.string("name of a scenario", self.name)):
            raise ValueError(f"name of a scenario must be letters, digits, spaces and _ . + -, got {self.name!r}")
        _check.whole("version", self.version, 0)
        _check.string("text", self.text, empty=True)
        check_arguments(self.recipe, self.recipe_args, complete=False)
        _check.choice("objective", self.objective, OBJECTIVES)
        _check.choice("evictor", self.evictor, EVICTORS)
        _check.choice("view", self.view, VIEWS)
        _check.choice("warmup_router", self.warmup_router, ROUTERS[1:])
        if self.load is not None and not _check.finite("load", self.load) > 0:
            raise ValueError(f"load must be a finite number > 0 or None, got {self.load!r}")
        _check.whole("history_tokens", self.history_tokens, self.engine.page_size)
        _check.whole("warmup_requests", self.warmup_requests, 0)
        _check.whole("episode_requests", self.episode_requests, 1)
        _check.finite("metrics_period_s", self.metrics_period_s)
        _check.finite("decision_s", self.decision_s, maximum=3600.0)
        for name in ("reward_scale_s", "rate_scale"):
            if not _check.finite(name, getattr(self, name)) > 0:
                raise ValueError(f"{name} must be a finite number > 0, got {getattr(self, name)!r}")
        if self.output_hint_sigma is not None:
            _check.finite("output_hint_sigma", self.output_hint_sigma, maximum=10.0)
        if _check.choice("transfer", self.transfer, TRANSFERS) == "auto" and self.network is None:
            raise ValueError('transfer "auto" needs a network, the scenario has none')
        # Built now, and with the faults the cluster, so that what is not allowed raises now.
        self.service_classes, self._faults  # noqa: B018

    @cached_property
    def cluster(self) -> ClusterSpec:
        """The workers and their network."""
        return make_cluster(self.workers, self.network, self.engine.page_size)

    @cached_property
    def service_classes(self) -> tuple[ServiceClass, ...]:
        """The service classes, by their number; without any given, the one that all requests are of."""
        return make_classes(self.classes, {name: getattr(self, name) for name in CLASS_DEFAULTS})

    @cached_property
    def _faults(self) -> FaultRates | tuple[Fault, ...]:
        return make_faults(self.faults, len(self.cluster))

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values: what a file holds, and what `scenario=` of an environment takes."""
        values = asdict(self)
        return {**values, "workers": list(values["workers"])}

    @property
    def key(self) -> int:
        """A number that stands for name and version in seeds."""
        return zlib.crc32(f"{self.name}/{self.version}".encode())

    def with_overrides(self, overrides: Mapping[str, Any]) -> Scenario:
        """The scenario with some fields changed; "engine" and "recipe_args" are merged, the others replaced.

        Another "recipe" starts without arguments. Beside the fields there may be keys of a worker (model, gpu, tp, ..):
        the fleet is then as many as before, or "count", all as the first worker with those keys changed. "n_workers" is
        another name of count. "at_load" sets rate_scale so that the load is this. A change that leaves nobody knowing
        the load makes it None.

        Raises:
            ValueError: If a key is no field (the message lists those that are), or a value is not allowed.
        """
        changes = dict(_check.mapping("scenario_overrides", overrides))
        known = [f.name for f in fields(self) if f.init and f.name not in ("name", "version")]
        known += [*OVERRIDES, *WORKER_KEYS]
        for key in changes:
            _check.choice("scenario_overrides key", key, known)
        if "at_load" in changes:
            changes.update(self._at_load(changes.pop("at_load"), changes))
        elif not _WITHOUT_LOAD.issuperset(changes):
            changes.setdefault("load", None)
        if "engine" in changes:
            changes["engine"] = make_engine(changes["engine"], self.engine)
        if "recipe_args" in changes or "recipe" in changes:
            own = self.recipe_args if changes.get("recipe", self.recipe) == self.recipe else {}
            changes["recipe_args"] = {**own, **_check.mapping("recipe_args", changes.get("recipe_args", {}))}
        if "n_workers" in changes:
            changes["count"] = _check.whole("n_workers", changes.pop("n_workers"), 1)
        if own := {key: changes.pop(key) for key in WORKER_KEYS if key in changes}:
            changes["workers"] = (_fleet_of(_workers(changes.get("workers", self.workers)), own),)
        return replace(self, **changes)

    def _at_load(self, load: Any, changes: Mapping[str, Any]) -> dict[str, float]:
        if not _check.finite("at_load", load) > 0:
            raise ValueError(f"at_load must be a finite number > 0, got {load!r}")
        if self.load is None:
            raise ValueError(f"at_load: what load scenario {self.name!r} is has not been measured; use rate_scale")
        if others := sorted({*changes} - _WITHOUT_LOAD):
            raise ValueError(
                f"at_load: with another {others[0]} the load of {self.name!r} is not known; use rate_scale"
            )
        return {"load": load, "rate_scale": self.rate_scale * load / self.load}

    def variant(self, changes: Mapping[str, Any]) -> Scenario:
        """Another scenario: `changes` are its name, and as in `with_overrides` the fields in which it differs.

        Its version is 0 unless they say so; its text says what it is a variant of.

        Raises:
            ValueError: If there is no name, a key is no field, or a value is not allowed.
        """
        given = dict(changes)
        if "name" not in given:
            raise ValueError(f"'name' is missing; a variant must have a name, got {given!r}")
        own = {"name": given.pop("name"), "version": given.pop("version", 0)}
        return replace(self.with_overrides({"text": f"{self.name} with other fields", **given}), **own)

    def seeds(self, seed: int, split: str, episode: int) -> tuple[np.random.SeedSequence, np.random.SeedSequence]:
        """Seeds of one episode's workload, and of the random choices of rules."""
        key = (SPLITS.index(_check.choice("split", split, SPLITS)), self.key, episode)
        return np.random.SeedSequence(seed, spawn_key=key), np.random.SeedSequence(seed, spawn_key=(*key, _RULES))

    def workload(self, seed: np.random.SeedSequence, split: str = "train") -> Workload:
        """The workload of one episode; requests that no worker can hold are dropped and counted in `n_dropped`.

        Raises:
            ValueError: If the recipe makes fewer requests than the episode has, or its arguments are not allowed.
        """
        sys.audit("kvgym.workload", split)  # `kvgym.evaluation.guard` listens
        wanted = self.warmup_requests + self.episode_requests
        asked = wanted + 1  # an episode that is cut ends at the arrival after its last one
        while True:
            made = make_workload(
                self.recipe, seed, self.engine.page_size, asked, split, self.recipe_args, self._smallest
            )
            workload = made.drop_oversized(self._smallest)
            if len(workload) >= wanted or len(made) != asked:
                break
            asked += wanted - len(workload)  # what was dropped has to be made up for
        if len(workload) < wanted:
            raise ValueError(
                f"scenario {self.name!r} plays {wanted} requests (warmup_requests + episode_requests), its workload "
                f"has {len(workload)} ({workload.n_dropped} fit on no worker): lower them or change recipe_args"
            )
        if self.rate_scale == 1 and self.service_classes[0].share is None:
            return workload
        requests = workload.requests.copy()
        if self.rate_scale != 1:
            first = requests["predecessor"] < 0
            requests["arrival_ps"][first] = np.rint(requests["arrival_ps"][first] / self.rate_scale).astype(np.int64)
        if self.service_classes[0].share is not None:
            requests["service_class"] = draw_classes(self.service_classes, requests["session"], seed, _CLASSES)
        return replace(workload, requests=requests)

    @property
    def _smallest(self) -> int:
        return min(worker.kv_pages for worker in self.cluster.workers)

    def trace_facts(self, split: str) -> Facts | None:
        """What a trace offers: requests, and episodes that share none; None where any number of them can be made.

        Raises:
            ValueError: If the recipe's arguments are not allowed.
        """
        wanted = self.warmup_requests + self.episode_requests + 1
        return trace_facts(self.recipe, self.engine.page_size, wanted, split, self.recipe_args, self._smallest)

    @property
    def transfers(self) -> bool:
        """Whether pages may be fetched from other workers."""
        return self.transfer == "auto"

    @property
    def fails(self) -> bool:
        """Whether workers may be down."""
        if isinstance(self._faults, FaultRates):
            return self._faults.crash_every_s > 0
        return any(isinstance(fault, Crash) for fault in self._faults)

    def fault_schedule(self, seed: np.random.SeedSequence) -> tuple[Fault, ...]:
        """The faults of the episode whose workload has this seed."""
        if isinstance(self._faults, tuple):
            return self._faults
        if self._faults.crash_every_s == self._faults.slow_every_s == 0:
            return ()
        return self._faults.draw(_child(seed, _FAULTS), len(self.cluster))

    def simulator(self, evictor: str | None = None, router: str = "agent", **options: Any) -> Simulator:
        """A simulator of the scenario's cluster."""
        return Simulator(
            self.cluster,
            self.engine,
            self.evictor if evictor is None else evictor,
            router,
            self.view,
            history_pages=self.history_tokens // self.engine.page_size,
            metrics_period_s=self.metrics_period_s,
            transfer=self.transfer,
            decision_s=self.decision_s,
            **options,
        )

    def hints(self, workload: Workload, seed: np.random.SeedSequence) -> NDArray[np.int32] | None:
        """Output-length hints of a workload's requests, None where the scenario hides them."""
        if self.output_hint_sigma is None:
            return None
        noise = np.random.default_rng(_child(seed, _HINTS))
        lengths = workload.requests["output_tokens"] * np.exp(
            self.output_hint_sigma * noise.standard_normal(len(workload))
        )
        hints: NDArray[np.int32] = np.clip(np.rint(lengths), 1, np.iinfo(np.int32).max).astype(np.int32)
        return hints


def check_training_split(what: str, split: str) -> None:
    """Raises a ValueError that names `what` if it is for learning, and workloads of `split` are not."""
    if split not in TRAINING_SPLITS:
        raise ValueError(
            f"{what} is for training, and split must be one of {', '.join(TRAINING_SPLITS)} there; got {split!r}: what "
            "agents are scored on is never trained on"
        )


def _child(seed: np.random.SeedSequence, number: int) -> np.random.SeedSequence:
    """A stream of its own beside the workload's."""
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, number))


def _fleet_of(workers: Sequence[Any], own: dict[str, Any]) -> dict[str, Any]:
    """One description for as many workers as there were: the first one's, with some keys changed."""
    first = _check.mapping("worker 0", workers[0])
    if "cost" in first and {"model", "gpu"} & own.keys():  # its figures were those of another machine
        first = {}
    described = [_check.mapping(f"worker {i}", worker) for i, worker in enumerate(workers)]
    counts = [_check.whole(f"count of worker {i}", worker.get("count", 1), 1) for i, worker in enumerate(described)]
    return {**first, "count": sum(counts), **own}


def _workers(value: Any) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"workers must be a list of worker descriptions, got {value!r}")
    return value
