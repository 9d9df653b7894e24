"""Making, copying and addressing the simulator's tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kvgym.cluster import ClusterSpec, EngineSpec, Fault
from kvgym.sim import evictors
from kvgym.sim.base.tables import INFINITE, KEPT_TABLES, N_LISTS, READ_ONLY, TABLES, Sizes, handle_order
from kvgym.sim.cluster_tables import cost_tables, count_faults, dense_nodes, network_tables, rows_of_costs
from kvgym.workload import ServiceClass, Workload

Tables = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Settings:
    """Settings that stay the same from episode to episode, as the kernels want it."""

    evictor: int
    candidates: int
    offers_unhit: bool
    quantum: int
    router: int
    shown: int
    """Of the caches: one of `codes.VIEWS`."""
    history_pages: int
    metrics_period_ps: int
    debug: bool
    log_iterations: bool
    log_draws: bool
    transfers: bool = False
    takes_time: bool = False
    decision_ps: int = 0
    first_log_rows: int = 4096
    """Room in the logs; the simulator makes more where they are full, an environment does not."""


@dataclass(frozen=True)
class Episode:
    """Settings that `Simulator.reset` adds."""

    warmup: int
    warmup_router: int
    warmup_evictor: int
    limit: int
    truncate: bool
    hints: NDArray[np.int32] | None
    classes: tuple[ServiceClass, ...] = ()
    faults: tuple[Fault, ...] = ()


def check_fit(workload: Workload, cluster: ClusterSpec, engine: EngineSpec) -> None:
    """Raises a ValueError if the workload can't be served: other pages, or a request larger than a worker."""
    if workload.page_size != engine.page_size:
        raise ValueError(f"workload has pages of {workload.page_size} tokens, the engine of {engine.page_size}")
    smallest = min(worker.kv_pages for worker in cluster.workers)
    if not workload.fits(smallest):
        pages = workload.peak_pages()
        q = int(np.argmax(pages > smallest))
        raise ValueError(
            f"request {q} needs {pages[q]} pages, the smallest worker has {smallest}: "
            "drop such requests with workload.drop_oversized(kv_pages)"
        )


def check_hints(hints: ArrayLike, n: int) -> NDArray[np.int32]:
    """`hints` as the kernels want them; a ValueError if they are not n integers."""
    given = np.asarray(hints)
    if given.shape != (n,) or given.dtype.kind not in "iu":
        raise ValueError(f"hints must be {n} integers, got shape {given.shape}, dtype {given.dtype}")
    return np.ascontiguousarray(given, np.int32)


def check_numbers(workload: Workload, classes: tuple[ServiceClass, ...]) -> None:
    """Raises a ValueError if there are several classes, and a request is of none of them."""
    number = int(workload.requests["service_class"].max())
    if len(classes) > 1 and number >= len(classes):
        names = ", ".join(one.name for one in classes)
        raise ValueError(f"service_class of a request must be below {len(classes)} ({names}), got {number}")


def make_tables(
    workload: Workload,
    cluster: ClusterSpec,
    engine: EngineSpec,
    settings: Settings,
    episode: Episode,
    seed: int | np.random.SeedSequence,
) -> Tables:
    """All tables of a run at time 0."""
    n, m, n_nodes = len(workload), len(cluster), len(workload.nodes)
    n_rows = n_nodes + (m - 1) * workload.n_shared
    kv_pages = [worker.kv_pages for worker in cluster.workers]
    all_pages = sum(kv_pages)
    sizes = {
        "progress": n,
        "burst_ends": 2 << (m - 1).bit_length(),
        "idle_with_work": m,
        "rows": n_rows,
        "ends": N_LISTS * m,
        "candidates": settings.candidates,
        "index": n_rows,
        "running": m * engine.max_running,
        "pending": n,
        "ways": n if settings.takes_time else 0,
        "finished": n,
        "arrived": n,
        "deadlines": max(1, len(episode.classes)),
        "sessions": int(workload.requests["session"].max()) + 1,
        "page_ids": n_nodes,
        "transfers": n if settings.transfers else 0,
        "traffic": m * m if settings.transfers else 0,
        "iterations": settings.first_log_rows + 2 * m if settings.log_iterations else 0,
        "draws": settings.first_log_rows + all_pages if settings.log_draws else 0,
    }
    tables: Tables = {name: np.zeros(sizes[name], dtype) for name, dtype in TABLES.items() if name in sizes}
    tables["classes"] = _classes(episode.classes)
    tables["requests"] = workload.requests
    tables["nodes"] = workload.nodes
    tables["paths"] = workload.paths
    tables["hints"] = np.zeros(n, np.int32) if episode.hints is None else episode.hints
    tables["progress"]["worker"] = -1
    for time in ("arrived_ps", "admitted_ps", "first_token_ps", "finish_ps", "refused_ps"):
        tables["progress"][time] = -1
    leaf_capacity = min(n_nodes, max(kv_pages))
    kept = evictors.kept(settings.evictor, settings.candidates)
    heaps = m * max(getattr(evictors.module(name), "QUEUES", 1) for name in kept) if kept else 0
    tables |= _kept_tables(kept, Sizes(m, n_rows, all_pages, leaf_capacity, heaps, sizes["sessions"]))
    for name in kept:
        if hasattr(evictors.module(name), "fill"):
            evictors.module(name).fill(tables, workload, m)
    cost_rows = rows_of_costs(cluster)
    tables |= cost_tables(cluster, engine, episode.faults, cost_rows)
    tables |= network_tables(cluster if settings.transfers else None)
    tables["config"] = _config(workload, cluster, engine, settings, episode)
    tables["config"]["leaf_capacity"] = leaf_capacity
    tables["config"]["keeps"] = sum(evictors.bit(name) for name in kept)
    tables["config"]["dates_pages"] = any(hasattr(evictors.module(name), "DATES_PAGES") for name in kept)
    random_words = _seed_words(seed, m)
    tables["clock"] = _clock(random_words[m], settings.decision_ps)
    tables["workers"] = _workers(cluster, cost_rows, random_words)
    return tables


def _kept_tables(kept: tuple[str, ...], sizes: Sizes) -> Tables:
    """The tables of evictors: empty where their module is not kept."""
    evictors.module("dispatch")  # it imports all modules, which declare their tables
    return {
        table.name: np.zeros(table.rows(sizes) if table.module in kept else 0, table.dtype)
        for table in KEPT_TABLES.values()
    }


def _config(
    workload: Workload, cluster: ClusterSpec, engine: EngineSpec, settings: Settings, episode: Episode
) -> NDArray[Any]:
    """The settings: what engine, settings and episode have under the name of a field, and what follows from them."""
    config = np.zeros(1, TABLES["config"])
    for given in (engine, settings, episode):
        for name in vars(given).keys() & config.dtype.names:
            config[name] = getattr(given, name)
    config["n_workers"] = len(cluster)
    config["n_requests"] = len(workload)
    config["n_nodes"] = len(workload.nodes)
    config["n_shared"] = workload.n_shared
    config["largest_kv_pages"] = max(worker.kv_pages for worker in cluster.workers)
    config["prefill_first"] = engine.schedule == "prefill_first"
    config["by_priority"] = engine.queue == "priority"
    config["n_faults"] = count_faults(episode.faults)
    config["n_candidates"] = settings.candidates
    config["offers_unhit"] = settings.offers_unhit
    return config


def _classes(classes: tuple[ServiceClass, ...]) -> NDArray[Any]:
    """The service classes: one that promises nothing if there are none."""
    table = np.zeros(max(1, len(classes)), TABLES["classes"])
    for row, one in zip(table, classes, strict=False):
        row["priority"] = one.priority
        for name in ("slo_ttft", "slo_tpot", "refusal_cost"):
            row[f"{name}_ps"] = round(getattr(one, f"{name}_s") * 1e12)
    return table


def _clock(random_words: NDArray[np.uint64], decision_ps: int) -> NDArray[Any]:
    clock = np.zeros(1, TABLES["clock"])
    clock["request"] = clock["asking"] = -1
    clock["previous_route_ps"] = -1
    clock["next_transfer_ps"] = INFINITE
    clock["decision_ps"] = decision_ps
    for i in range(4):
        clock[f"s{i}"] = random_words[i]
    return clock


def _workers(cluster: ClusterSpec, cost_rows: list[int], random_words: NDArray[np.uint64]) -> NDArray[Any]:
    workers = np.zeros(len(cluster), TABLES["workers"])
    workers["event_ps"] = INFINITE
    workers["prefill"] = -1
    workers["kv_pages"] = [worker.kv_pages for worker in cluster.workers]
    workers["free"] = workers["kv_pages"]
    workers["cost"] = workers["current_cost"] = cost_rows
    workers["up"] = 1
    workers["gpus"] = [worker.gpus for worker in cluster.workers]
    if cluster.network is not None:
        workers["node"] = dense_nodes(cluster.network)
    for i in range(4):
        workers[f"s{i}"] = random_words[:-1, i]
    return workers


def _seed_words(seed: int | np.random.SeedSequence, m: int) -> NDArray[np.uint64]:
    """(m + 1, 4) words of generator state: a stream per worker and one for the router."""
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    return np.asarray(sequence.generate_state(4 * (m + 1), np.uint64), np.uint64).reshape(m + 1, 4)


def make_handle(tables: Tables) -> NDArray[np.int64]:
    """Data pointer and length of each table, in the order of `handle_order`; valid while the tables live."""
    pairs = [(tables[name].ctypes.data, len(tables[name])) for name in handle_order()]
    return np.array(pairs, np.int64).ravel()


def shared_tables() -> set[str]:
    """Names of the tables that a run never writes."""
    return {*READ_ONLY, *(table.name for table in KEPT_TABLES.values() if table.read_only)}


def copy_tables(tables: Tables) -> Tables:
    """A copy for a clone; tables that a run never writes are shared."""
    shared = shared_tables()
    return {name: table if name in shared else table.copy() for name, table in tables.items()}


def grow_logs(tables: Tables) -> None:
    """Doubles the logs."""
    for name in ("iterations", "draws"):
        tables[name] = np.concatenate([tables[name], np.zeros_like(tables[name])])
