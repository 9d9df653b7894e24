"""The clock: iteration ends, arrivals with their routing, iteration starts (rule K3 of docs/semantics.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from . import roster
from .asked import Decide, Form
from .cache import Cache
from .engine import Worker
from .evictors import Chooser, Context, Draw
from .live import Live
from .pages import Page, build_paths
from .sessions import Sessions
from .types import RefCost, RefEngine, RefRecord, RefRequest, RefResult
from .views import History, View

Route = Sequence[int] | Callable[[View, int], int]
Rules = Sequence[str | None] | Callable[[int], str | None]


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
    evict: Decide | None = None,
    candidates: int = 16,
    quantum: int | Literal["leaf"] = "leaf",
    rules: Rules | None = None,
) -> RefResult:
    """Simulate a workload, stepping every iteration.

    Args:
        requests: The workload; indices are positions.
        workers: Per worker its pages and its iteration cost.
        engine: Engine settings, the same on all workers.
        evictor: A name in `roster.RULES`, rlt_code, belady, or agent: then `evict` is asked.
        route: The worker of each request, or a function of the view and the request's index.
        draws: Per worker the tested simulator's log of random choices, (candidates, (request, page number)); None
            draws with a fixed seed.
        history_pages: Size of the router's own record per worker; None is the exact view.
        check: Whether to assert the invariants after every event.
        evict: Answers the EVICT decisions of the evictor "agent": with a slot, in rule form with the name of a rule.
        candidates: Slots that are offered; 0 is the rule form.
        quantum: Most pages that one decision frees: 1, or "leaf" for the whole tail.
        rules: Per request the name of the rule that does all evictions it forces, or None for the worker's evictor; a
            function of the request is called when it is routed.

    Returns:
        Records, totals, iterations, decisions and evictions.

    Raises:
        ValueError: If a request can never fit the smallest worker, or is malformed; if options don't go together.
    """
    validate(requests, workers, engine)
    form = None if evict is None else Form(evict, candidates, quantum)
    roster.validate(evictor, form, has_rules=rules is not None)
    paths = build_paths(requests, engine.page_size)
    records = [RefRecord() for _ in requests]
    sessions = Sessions(requests)
    fleet = make_fleet(workers, engine, evictor, form, sessions, paths, draws)
    histories = None if history_pages is None else [History(history_pages) for _ in workers]
    view = View(fleet, histories, engine.page_size)
    result = RefResult(records, [worker.totals for worker in fleet], [worker.log for worker in fleet])
    arrivals, successors = first_arrivals(requests)

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
            sessions.route(index, now)
            rule = rule_of(rules, index)
            live = Live(index, requests[index], paths[index], records[index], sessions.users[index], rule)
            fleet[target].queue.append(live)

        for worker in fleet:
            if worker.has_work():
                worker.start(now)
                if check:
                    worker.check()

    for worker in fleet:
        worker.evictor.context.chooser.assert_exhausted()
        worker.totals.loaded = worker.cache.loaded
        worker.totals.evicted = len(worker.cache.evicted)
        result.evictions.append([(page.first_request, page.number) for page in worker.cache.evicted])
        result.resident.append({(page.first_request, page.number) for page in worker.cache.resident})
    return result


def first_arrivals(requests: Sequence[RefRequest]) -> tuple[dict[int, int], dict[int, list[int]]]:
    """Arrival times that are known from the start, and the requests that each request's finish triggers."""
    arrivals: dict[int, int] = {}
    successors: dict[int, list[int]] = {}
    for index, request in enumerate(requests):
        if request.arrival_ps is None:
            successors.setdefault(request.predecessor, []).append(index)
        else:
            arrivals[index] = request.arrival_ps
    return arrivals, successors


def rule_of(rules: Rules | None, index: int) -> str | None:
    """The rule that evicts for this request, None for the worker's evictor."""
    if rules is None:
        return None
    rule = rules(index) if callable(rules) else rules[index]
    if rule is not None and rule not in roster.RULES:
        raise ValueError(f"unknown rule {rule!r}")
    return rule


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
        context = Context(w, cost, engine, sessions, chooser, admitted)
        fleet.append(Worker(Cache(kv_pages), context, *roster.make_evictors(evictor, context, form)))
    return fleet


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
        if request.turn < 0 or (request.session is not None and request.session < 0):
            raise ValueError(f"request {index} has a negative session or turn")
        if -(-request.computed_tokens() // engine.page_size) > smallest:
            raise ValueError(f"request {index} does not fit a worker of {smallest} pages")
