"""Clusters, networks and faults from the JSON values of a scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kvgym import _check
from kvgym.cluster import (
    ClusterSpec,
    Crash,
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

FAULT_KINDS = {"crash": Crash, "slow-down": Slowdown}


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    """`value` if it is a mapping; raises a ValueError that names it if not."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a mapping of names to values, got {value!r}")
    return value


def make_cluster(workers: Sequence[Any], network: Any, page_size: int) -> ClusterSpec:
    """The cluster of a scenario's `workers` and `network`.

    Raises:
        ValueError: If a description is not as `Scenario` says; the message names the worker.
    """
    specs: list[WorkerSpec] = []
    for number, worker in enumerate(workers):
        description = dict(mapping(f"worker {number}", worker))
        count = _check.whole(f"count of worker {number}", description.pop("count", 1), 1)
        specs += [_make_worker(number, description, page_size)] * count
    return ClusterSpec(tuple(specs), None if network is None else _make_network(network, len(specs)))


def _make_worker(number: int, description: dict[str, Any], page_size: int) -> WorkerSpec:
    try:
        if "cost" in description:
            cost = IterationCost(**mapping("cost", description.pop("cost")))
            pages = _check.whole("kv_tokens", description.pop("kv_tokens", None), page_size) // page_size
            size = description.pop("kv_bytes_per_token", 0)
            if description:
                raise ValueError(
                    f"keys {sorted(description)} are not known beside cost, kv_tokens and kv_bytes_per_token"
                )
            return WorkerSpec(pages, cost, size)
        return worker_spec(**description, page_size=page_size)
    except (TypeError, ValueError) as error:
        raise ValueError(f"worker {number}: {error}") from error


def _make_network(description: Any, n_workers: int) -> Network:
    given = dict(mapping("network", description))
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


def make_faults(description: Any, n_workers: int) -> FaultRates | tuple[Fault, ...]:
    """The fault schedule of a scenario's `faults`, or the rates to draw one with.

    Raises:
        ValueError: If the description is not as `Scenario` says, or at some moment no worker would be up.
    """
    given = mapping("faults", description)
    if "schedule" not in given:
        try:
            rates = FaultRates(**given)
        except TypeError as error:
            raise ValueError(f"faults: {error}") from error
        if n_workers == 1 and rates.crash_every_s > 0:
            raise ValueError("faults: a cluster of one worker can't have crashes, somebody must be up")
        return rates
    if len(given) > 1:
        raise ValueError(f"faults must have schedule alone or the fields of FaultRates, got {sorted(given)}")
    faults: list[Fault] = []
    if not isinstance(given["schedule"], (list, tuple)):
        raise ValueError(f"schedule must be a list of faults, got {given['schedule']!r}")
    for number, entry in enumerate(given["schedule"]):
        fields = dict(mapping(f"fault {number}", entry))
        kind = FAULT_KINDS[_check.choice(f"kind of fault {number}", fields.pop("kind", None), FAULT_KINDS)]
        try:
            faults.append(kind(**fields))
        except (TypeError, ValueError) as error:
            raise ValueError(f"fault {number}: {error}") from error
    return check_faults(faults, n_workers)
