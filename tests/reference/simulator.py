"""The whole simulation: checks what it is given, then goes from moment to moment (docs/semantics.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from . import network as networks
from . import roster
from .asked import Decide, Form
from .cache import Cache
from .cluster import Cluster, Route, Rules
from .engine import Worker
from .evictors import Chooser, Context, Draw
from .faults import Faults
from .pages import Page, build_paths
from .router import Router
from .sessions import Sessions
from .transfers import Transfers
from .types import (
    RefClass,
    RefCost,
    RefCrash,
    RefEngine,
    RefNetwork,
    RefRecord,
    RefRequest,
    RefResult,
    RefSlowdown,
)
from .views import History, View


def simulate(
    requests: Sequence[RefRequest],
    workers: Sequence[tuple[int, RefCost]],
    engine: RefEngine,
    evictor: str,
    route: Route,
    *,
    draws: Sequence[Iterator[Draw]] | None = None,
    history_pages: int | None = None,
    speculative: bool = False,
    check: bool = True,
    evict: Decide | None = None,
    candidates: int = 16,
    quantum: int | Literal["leaf"] = "leaf",
    offer: str = "oldest",
    rules: Rules | None = None,
    network: RefNetwork | None = None,
    faults: Sequence[RefCrash | RefSlowdown] = (),
    classes: Sequence[RefClass] = (RefClass(),),
    refuse: Mapping[int, int] | None = None,
    decision_ps: int | Sequence[int] = 0,
    warmup: int = 0,
) -> RefResult:
    """Simulate a workload, stepping every iteration.

    Args:
        requests: The workload; indices are positions.
        workers: Per worker its pages and its iteration cost.
        engine: Engine settings, the same on all workers.
        evictor: A name in `roster.RULES`, rlt_code, belady, or agent: then `evict` is asked.
        route: The worker of each request, or a function of the view and the request's index. Of the former, a request
            that came back n times takes the nth worker after it; and whoever is down, the next one that is up.
        draws: Per worker the tested simulator's log of random choices, (candidates, (request, page number)); None
            draws with a fixed seed.
        history_pages: Size of the router's own record per worker; None is the exact view, or the speculative one.
        speculative: Whether the view shows prompts in flight besides what is resident.
        check: Whether to assert the invariants after every event.
        evict: Answers the EVICT decisions of the evictor "agent": with a slot, in rule form with the name of a rule.
        candidates: Slots that are offered; 0 is the rule form.
        quantum: Most pages that one decision frees: 1, or "leaf" for the whole tail.
        offer: "oldest", or "unhit": the second quarter of the slots goes by hits.
        rules: Per request the name of the rule that does all evictions it forces, or None for the worker's evictor; a
            function of the request is called each time it is routed.
        network: What connects the workers: pages are fetched over it. None: no transfers.
        faults: The fault schedule.
        classes: The service classes; those of requests are indices.
        refuse: The requests that are refused, each with the number of returns that it has by then: 0 refuses it when it
            arrives, 1 when it came back for the first time. The router is not asked about one at that decision.
        decision_ps: What each ROUTE decision takes, 0: they take effect at once; or what was measured of decisions, in
            turn and over again.
        warmup: The first so many arrivals are those of the warm-up, whose router takes no time.

    Returns:
        Records, totals, iterations, decisions and evictions.

    Raises:
        ValueError: If a request can never fit the smallest worker, or is malformed; if options don't go together; if
            workers are not connected; if faults overlap or leave no worker up.
    """
    validate(requests, workers, engine, classes)
    if speculative and history_pages is not None:
        raise ValueError("a view is speculative or a history, not both")
    schedule = Faults(faults, len(workers))
    schedule.validate()
    if network is not None:
        networks.validate(network, len(workers))
    form = None if evict is None else Form(evict, candidates, quantum, offer)
    roster.validate(evictor, form, has_rules=rules is not None)
    paths = build_paths(requests, engine.page_size)
    records = [RefRecord() for _ in requests]
    sessions = Sessions(requests, classes)
    fleet = make_fleet(workers, engine, evictor, form, sessions, paths, draws)
    transfers = None if network is None else Transfers(fleet, networks.Network(network, engine.page_size))
    histories = None if history_pages is None else [History(history_pages) for _ in workers]
    view = View(fleet, histories, engine.page_size, transfers, speculative)
    result = RefResult(records, [worker.totals for worker in fleet], [worker.log for worker in fleet])
    cluster = Cluster(
        requests,
        paths,
        fleet,
        schedule,
        transfers,
        sessions,
        view,
        route,
        Router(decision_ps, warmup),
        refuse or {},
        rules,
        classes,
        result,
        check,
    )
    now = -1
    while (then := cluster.next_time(now)) is not None:
        now = then
        cluster.at(now)

    for worker in fleet:
        worker.evictor.context.chooser.assert_exhausted()
        worker.totals.loaded = worker.cache.loaded
        worker.totals.evicted = len(worker.cache.evicted)
        worker.totals.fetched = worker.cache.fetched
        worker.totals.lost = worker.cache.lost
        result.evictions.append([(page.first_request, page.number) for page in worker.cache.evicted])
        result.resident.append({(page.first_request, page.number) for page in worker.cache.resident})
    if transfers is not None:
        result.links = transfers.links()
    cluster.check_books()
    return result


def make_fleet(
    workers: Sequence[tuple[int, RefCost]],
    engine: RefEngine,
    evictor: str,
    form: Form | None,
    sessions: Sessions,
    paths: Sequence[Sequence[Page]],
    draws: Sequence[Iterator[Draw]] | None,
) -> list[Worker]:
    """The workers, with empty caches."""
    admitted: set[int] = set()
    fleet = []
    for w, (kv_pages, cost) in enumerate(workers):
        chooser = Chooser(paths, draws[w] if draws is not None else None, seed=w)
        context = Context(w, kv_pages, cost, engine, sessions, chooser, admitted)
        fleet.append(Worker(Cache(kv_pages), context, *roster.make_evictors(evictor, context, form)))
    return fleet


def validate(
    requests: Sequence[RefRequest],
    workers: Sequence[tuple[int, RefCost]],
    engine: RefEngine,
    classes: Sequence[RefClass],
) -> None:
    """Raise ValueError for settings or requests that the semantics exclude."""
    if engine.schedule not in ("mixed", "prefill_first"):
        raise ValueError(f"unknown schedule {engine.schedule!r}")
    if engine.queue not in ("fcfs", "priority"):
        raise ValueError(f"unknown queue {engine.queue!r}")
    if not 1 <= engine.max_running <= engine.chunk_tokens:
        raise ValueError("max_running must be between 1 and chunk_tokens")
    smallest = min(kv_pages for kv_pages, _ in workers)
    for index, request in enumerate(requests):
        if not request.prompt or not request.output:
            raise ValueError(f"request {index} has an empty prompt or output")
        if (request.arrival_ps is None) != (request.predecessor >= 0):
            raise ValueError(f"request {index} needs either an arrival or a predecessor")
        if request.turn < 0 or (request.session is not None and request.session < 0):
            raise ValueError(f"request {index} has a negative session or turn")
        if not 0 <= request.service_class < len(classes):
            raise ValueError(f"request {index} is of class {request.service_class}, of {len(classes)}")
        if -(-request.computed_tokens() // engine.page_size) > smallest:
            raise ValueError(f"request {index} does not fit a worker of {smallest} pages")
