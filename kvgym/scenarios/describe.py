"""Engines, clusters, networks and faults from the JSON values of a scenario."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np

from kvgym import _check
from kvgym.cluster import (
    ClusterSpec,
    Crash,
    EngineSpec,
    Fault,
    FaultRates,
    IterationCost,
    Network,
    Slowdown,
    WorkerSpec,
    check_faults,
    find_link,
    load_catalogue,
    worker_spec,
)
from kvgym.workload import ServiceClass
from kvgym.workload.classes import check_classes

WORKER_KEYS = ("count", "kv_tokens", *(name for name in signature(worker_spec).parameters if name != "page_size"))
"""What the description of a worker of the catalogue may hold."""
CLASS_DEFAULTS = ("slo_ttft_s", "slo_tpot_s", "refusal_cost_s")
"""Fields of a scenario that its classes have where they don't say."""
FAULT_KINDS = {"crash": Crash, "slow-down": Slowdown}


def plain(name: str, value: Any) -> Any:
    """A copy of a JSON value in dicts, lists and plain numbers; paths become strings.

    Raises:
        ValueError: If something in it is no JSON value; the message says where.
    """
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{name} must have names as keys, got {key!r}")
        return {key: plain(f"{key} of {name}", item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(f"entry {i} of {name}", item) for i, item in enumerate(value)]
    if isinstance(value, np.ndarray | np.generic):
        return plain(name, value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"{name} must be a JSON value (number, string, True, False, None, list, mapping), got {value!r}")


def make_engine(given: Any, base: EngineSpec | None = None) -> EngineSpec:
    """The engine's settings, from a mapping of them; those that it lacks are those of `base`.

    With "preset" (and "gpu", both as in `EngineSpec.preset`) they are those of the preset instead.

    Raises:
        ValueError: If a setting is not known or not allowed.
    """
    if "preset" in _check.mapping("engine", given):
        changes = {key: value for key, value in given.items() if key not in ("preset", "gpu")}
        _check.keywords("engine", changes, EngineSpec)
        return EngineSpec.preset(given["preset"], gpu=given.get("gpu"), **changes)
    _check.keywords("engine", given, EngineSpec)
    return replace(EngineSpec() if base is None else base, **given)


def make_cluster(workers: Sequence[Any], network: Any, page_size: int) -> ClusterSpec:
    """The cluster of a scenario's `workers` and `network`.

    Raises:
        ValueError: If a description is not as `Scenario` says; the message names the worker.
    """
    specs: list[WorkerSpec] = []
    models: dict[str, None] = {}
    for number, worker in enumerate(workers):
        description = dict(_check.mapping(f"worker {number}", worker))
        models |= {str(description["model"]): None} if "model" in description else {}
        count = _check.whole(f"count of worker {number}", description.pop("count", 1), 1)
        specs += [_make_worker(number, description, page_size)] * count
    if len(models) > 1:
        raise ValueError(
            f"workers must serve one model, got {', '.join(models)}: requests do not name theirs, and routers would "
            "send them to any"
        )
    return ClusterSpec(tuple(specs), None if network is None else _make_network(network, len(specs)))


def _make_worker(number: int, description: dict[str, Any], page_size: int) -> WorkerSpec:
    where = f"worker {number}"
    own = "cost" in description or ("kv_tokens" in description and not {"model", "gpu"} & description.keys())
    tokens = None if own else description.pop("kv_tokens", None)
    _check.keywords(where, description, _own_worker if own else worker_spec, without=("page_size",))
    try:
        spec = (_own_worker if own else worker_spec)(**description, page_size=page_size)
        return spec if tokens is None else replace(spec, kv_pages=_pages(tokens, page_size))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _own_worker(*, kv_tokens: Any, cost: Any, kv_bytes_per_token: Any = 0, gpus: Any = 1, page_size: int) -> WorkerSpec:
    """A worker that is not of the catalogue."""
    _check.keywords("cost", _check.mapping("cost", cost), IterationCost)
    return WorkerSpec(_pages(kv_tokens, page_size), IterationCost(**cost), kv_bytes_per_token, gpus)


def _pages(kv_tokens: Any, page_size: int) -> int:
    return _check.whole("kv_tokens", kv_tokens, page_size) // page_size


def _make_network(description: Any, n_workers: int) -> Network:
    given = dict(_check.mapping("network", description))
    for key in given:
        _check.choice("network key", key, ("nodes", "per_node", "inside", "between"))
    if ("nodes" in given) == ("per_node" in given):
        raise ValueError(f"network must have either nodes (of each worker) or per_node (workers), got {sorted(given)}")
    if "nodes" in given:
        nodes = given["nodes"]
    else:
        per_node = _check.whole("per_node of the network", given["per_node"], 1)
        nodes = [w // per_node for w in range(n_workers)]
    links = load_catalogue().links
    return Network(nodes, *(find_link(links, given.get(name), name) for name in ("inside", "between")))


def make_classes(descriptions: Any, defaults: Mapping[str, Any]) -> tuple[ServiceClass, ...]:
    """The service classes of a scenario's `classes`; one with the defaults if there are none.

    Raises:
        ValueError: If a description is not as `Scenario` says.
    """
    if not isinstance(descriptions, (list, tuple)):
        raise ValueError(f"classes must be a list of service classes, got {descriptions!r}")
    unnamed = ServiceClass("all", **defaults)  # checks the defaults, whether there are classes or not
    classes = []
    for number, given in enumerate(descriptions):
        _check.keywords(f"class {number}", _check.mapping(f"class {number}", given), ServiceClass)
        try:
            classes.append(ServiceClass(**{**defaults, **given}))
        except ValueError as error:
            raise ValueError(f"class {number}: {error}") from error
    return check_classes(classes) or (unnamed,)


def make_faults(description: Any, n_workers: int) -> FaultRates | tuple[Fault, ...]:
    """The fault schedule of a scenario's `faults`, or the rates to draw one with.

    Raises:
        ValueError: If the description is not as `Scenario` says, or at some moment no worker would be up.
    """
    given = _check.mapping("faults", description)
    if "schedule" not in given:
        _check.keywords("faults", given, FaultRates)
        rates = FaultRates(**given)
        if n_workers == 1 and rates.crash_every_s > 0:
            raise ValueError("faults: a cluster of one worker can't have crashes, somebody must be up")
        return rates
    if len(given) > 1:
        raise ValueError(f"faults must have schedule alone or the fields of FaultRates, got {sorted(given)}")
    faults: list[Fault] = []
    if not isinstance(given["schedule"], (list, tuple)):
        raise ValueError(f"schedule must be a list of faults, got {given['schedule']!r}")
    for number, entry in enumerate(given["schedule"]):
        fields = dict(_check.mapping(f"fault {number}", entry))
        kind = FAULT_KINDS[_check.choice(f"kind of fault {number}", fields.pop("kind", None), FAULT_KINDS)]
        _check.keywords(f"fault {number}", fields, kind)
        try:
            faults.append(kind(**fields))
        except ValueError as error:
            raise ValueError(f"fault {number}: {error}") from error
    return check_faults(faults, n_workers)
