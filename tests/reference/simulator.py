"""The clock: iteration ends, arrivals with their routing, iteration starts (rule K3 of docs/semantics.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .cache import Cache
from .engine import Worker
from .evictors import Chooser, Draw, make_evictor
from .live import Live
from .pages import build_paths
from .types import RefCost, RefEngine, RefRecord, RefRequest, RefResult
from .views import History, View

Route = Sequence[int] | Callable[[View, int], int]


def simulate(
    requests: Sequence[RefRequest],
    workers: Sequence[tuple[int, RefCost]],
    engine: RefEngine,
    evictor: str,
    route: Route,
    *,
    draws: Sequence[Iterator[Draw]] | None = None,
    history_pages: int | None = None,
    check: bool = True,
) -> RefResult:
    """Simulate a workload, stepping every iteration.

    Args:
        requests: The workload; indices are positions.
        workers: Per worker its pages and its iteration cost.
        engine: Engine settings, the same on all workers.
        evictor: One of lru, lru_node, random, rlt, rlt_code, belady.
        route: The worker of each request, or a function of the view and the request's index.
        draws: Per worker the tested simulator's log of random choices, (candidates, (request, page number)); None
            draws with a fixed seed.
        history_pages: Size of the router's own record per worker; None is the exact view.
        check: Whether to assert the invariants after every event.

    Returns:
        Records, totals, iterations, decisions and evictions.

    Raises:
        ValueError: If a request can never fit the smallest worker, or is malformed.
    """
    validate(requests, workers, engine)
    paths = build_paths(requests, engine.page_size)
    records = [RefRecord() for _ in requests]
    admitted: set[int] = set()
    choosers = [Chooser(paths, draws[w] if draws is not None else None, seed=w) for w in range(len(workers))]
    fleet = [
        Worker(Cache(kv_pages), cost, engine, make_evictor(evictor, chooser, admitted), admitted)
        for (kv_pages, cost), chooser in zip(workers, choosers, strict=True)
    ]
    histories = None if history_pages is None else [History(history_pages) for _ in workers]
    view = View(fleet, histories, engine.page_size)
    result = RefResult(records, [worker.totals for worker in fleet], [worker.log for worker in fleet])
    arrivals = {index: request.arrival_ps for index, request in enumerate(requests) if request.arrival_ps is not None}
    successors: dict[int, list[int]] = {}
    for index, request in enumerate(requests):
        if request.arrival_ps is None:
            successors.setdefault(request.predecessor, []).append(index)

    while arrivals or any(worker.iteration for worker in fleet):
        now = min([*arrivals.values(), *(worker.iteration.end_ps for worker in fleet if worker.iteration)])

        for worker in fleet:
            if worker.iteration and worker.iteration.end_ps == now:
                for done in worker.finish_iteration(now):
                    for index in successors.get(done, []):
                        arrivals[index] = now + requests[index].think_ps
                if check:
                    worker.check()

        for index in sorted(index for index, time in arrivals.items() if time == now):
            del arrivals[index]
            records[index].arrival_ps = now
            prompt = requests[index].prompt
            view.ask_about(len(prompt), paths[index][: len(prompt) // engine.page_size])
            seen = [tuple(see(w) for w in range(len(fleet))) for see in (view.visible_hit, view.queued, view.running)]
            result.visible.append((index, now, seen[0], seen[1], seen[2]))
            target = route(view, index) if callable(route) else route[index]
            records[index].worker = target
            view.routed(target)
            fleet[target].queue.append(Live(index, requests[index], paths[index], records[index]))

        for worker in fleet:
            if worker.has_work():
                worker.start(now)
                if check:
                    worker.check()

    for worker, chooser in zip(fleet, choosers, strict=True):
        chooser.assert_exhausted()
        worker.totals.loaded = worker.cache.loaded
        worker.totals.evicted = len(worker.cache.evicted)
        result.evictions.append([(page.first_request, page.number) for page in worker.cache.evicted])
        result.resident.append({(page.first_request, page.number) for page in worker.cache.resident})
    return result


def validate(requests: Sequence[RefRequest], workers: Sequence[tuple[int, RefCost]], engine: RefEngine) -> None:
    """Raise ValueError for settings or requests that the semantics exclude."""
    if engine.schedule not in ("mixed", "prefill_first"):
        raise ValueError(f"unknown schedule {engine.schedule!r}")
    if not 1 <= engine.max_running <= engine.chunk_tokens:
        raise ValueError("max_running must be between 1 and chunk_tokens")
    smallest = min(kv_pages for kv_pages, _ in workers)
    for index, request in enumerate(requests):
        if not request.prompt or not request.output:
            raise ValueError(f"request {index} has an empty prompt or output")
        if (request.arrival_ps is None) != (request.predecessor >= 0):
            raise ValueError(f"request {index} needs either an arrival or a predecessor")
        if -(-request.computed_tokens() // engine.page_size) > smallest:
            raise ValueError(f"request {index} does not fit a worker of {smallest} pages")
