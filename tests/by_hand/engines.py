"""The reference simulator and the compiled one behind one call: the reference's arguments, and its result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from kvgym.cluster import Crash, EngineSpec, Fault, IterationCost, Link, Network, Slowdown, WorkerSpec
from kvgym.sim import Simulator
from tests import reference
from tests.reference import Question, RefClass, RefCost, RefCrash, RefLink, RefNetwork, RefRecord, RefResult, View
from tests.sim import compare
from tests.sim.cases import SECONDS_PER_PS, Case

MOST_SEEDS = 2000  # that are tried to draw what is given to be drawn

Route = Sequence[int] | Callable[[View, int], int]


def compiled(
    requests: Any,
    workers: Any,
    settings: Any,
    evictor: str,
    route: Route,
    *,
    draws: Any = None,
    evict: Callable[[Question], int | str] | None = None,
    rules: Any = None,
    **options: Any,
) -> RefResult:
    """The result of the compiled simulator, of which the reference says the same.

    The reference plays first: it checks the arguments and asks whoever decides. Then the simulator plays by the same
    decisions; with a seed, if there is one among the first, by which it draws what is given to be drawn. At last the
    reference replays what the simulator drew, and both must agree in all that they show. A simulator does not show in
    which order pages go, but which are left at each decision: `evictions` are the reference's.
    """
    given = None if draws is None else [list(log) for log in draws]
    first = Asked(route, evict, rules)
    expected = reference.simulate(
        requests,
        workers,
        settings,
        evictor,
        first.route,
        draws=given and [iter(log) for log in given],
        evict=evict and first.evict,
        rules=rules and first.rule,
        **options,
    )
    case = make_case(requests, workers, settings, evictor, first, **options)
    simulator = case.simulator()
    for seed in seeds(given):
        case.reset(simulator, seed)
        player = Player(case, first)
        decisions, offers = compare.play(simulator, case, player)
        drawn = compare.draws(simulator)
        if drawn == given:
            break
    assert drawn == given or len(seeds(given)) == 1, "no seed draws what is given to be drawn"

    second = Replayed(case, first, player)
    again = reference.simulate(
        requests,
        workers,
        settings,
        evictor,
        second.target if case.router == "agent" else route,
        draws=[iter(log) for log in drawn],
        evict=evict and second.answer,
        rules=case.rules or None,
        **options,
    )
    assert player.cached == second.cached
    assert compare.refused(simulator) == again.refusals.keys()
    assert evict is None or player.seen == second.seen
    assert drawn != given or (again.records, again.evictions) == (expected.records, expected.evictions)
    result = result_of(simulator, again)
    if case.router == "agent":
        result.visible, result.up, result.offers = decisions, [up for up, _ in offers], [fetch for _, fetch in offers]
    assert result == again
    return result


ENGINES = {"reference": reference.simulate, "compiled": compiled}


class Asked:
    """Whoever decides, and what was decided."""

    def __init__(self, route: Route, evict: Any, rules: Any) -> None:
        self.router, self.evictor, self.rules = route, evict, rules
        self.targets: dict[int, int] = {}
        self.choices: list[int | str] = []
        self.names: dict[int, str | None] = {}
        replayable = not callable(route) or route in compare.ROUTERS.values()
        self.route: Route = route if replayable else self.target

    def target(self, view: View, index: int) -> int:
        assert index not in self.targets, "a router that is asked by name may be asked once about a request"
        self.targets[index] = self.router(view, index)
        return self.targets[index]

    def evict(self, question: Question) -> int | str:
        self.choices.append(self.evictor(question))
        return self.choices[-1]

    def rule(self, index: int) -> str | None:
        self.names[index] = self.rules(index) if callable(self.rules) else self.rules[index]
        return self.names[index]


class Player(compare.Evicting):
    """Plays by what was decided; keeps what is cached at each ROUTE decision."""

    def __init__(self, case: Case, first: Asked, own: str = "") -> None:
        super().__init__(case)
        self.choices = iter(first.choices)
        self.cached: list[list[set[tuple[int, int]]]] = []
        self.targets: list[int] = []

    def look(self, simulator: Simulator, target: int) -> None:
        self.cached.append(compare.unlocked(simulator))
        self.targets.append(target)

    def choose(self, filled: list[int]) -> int | str:
        return next(self.choices)


class Replayed(Player):
    """The same for the reference, which goes where the simulator went."""

    def __init__(self, case: Case, first: Asked, player: Player) -> None:
        super().__init__(case, first)
        self.routed = iter(player.targets)

    def target(self, view: View, index: int) -> int:
        caches = [worker.cache.resident for worker in view._workers]
        pages = [{page for page, slot in cache.items() if slot.locks == 0} for cache in caches]
        self.cached.append([{(page.first_request, page.number) for page in one} for one in pages])
        return next(self.routed)


def make_case(
    requests: Any,
    workers: Any,
    settings: Any,
    evictor: str,
    first: Asked,
    *,
    history_pages: int | None = None,
    speculative: bool = False,
    candidates: int = 16,
    quantum: str | int = "leaf",
    network: RefNetwork | None = None,
    faults: Any = (),
    classes: Sequence[RefClass] = (RefClass(),),
    refuse: dict[int, int] | None = None,
    decision_ps: int | Sequence[int] = 0,
    warmup: int = 0,
) -> Case:
    """A case for the simulator, from what the reference was given and asked."""
    names = {rule: name for name, rule in compare.ROUTERS.items()}
    router = names.get(first.router, "agent") if callable(first.router) else "agent"
    every = range(len(requests))
    routes = [first.targets.get(q, 0) for q in every] if callable(first.router) else list(first.router)
    rules = [] if first.rules is None else [first.names.get(q) for q in every]
    if rules and first.evictor is None:  # who names rules is the evictor, and names the worker's own where it is asked
        first.choices += [evictor] * sum(len(request.output) for request in requests)
        evictor, candidates = "agent", 0
    return Case(
        # A request without a session is one of its own, and the others have small numbers.
        [
            dataclasses.replace(request, session=1000 + q if request.session is None else request.session)
            for q, request in enumerate(requests)
        ],
        [WorkerSpec(pages, cost_of(cost), kv_bytes_per_token=1) for pages, cost in workers],
        EngineSpec(**dataclasses.asdict(settings)),
        evictor,
        router,
        routes,
        history_pages=history_pages,
        speculative=speculative,
        candidates=candidates,
        quantum=quantum,
        rules=rules,
        network=network and Network(network.nodes, link_of(network.inside), link_of(network.between)),
        faults=tuple(fault_of(fault, workers) for fault in faults),
        classes=classes,
        refuse=refuse or {},
        decision_ps=decision_ps,
        warmup=warmup,
    )


def cost_of(cost: RefCost) -> IterationCost:
    """The same durations."""
    return _cost_of(tuple(cost.g), cost.a_s, cost.c_n, cost.c_b, cost.q)


@cache
def _cost_of(g: tuple[int, ...], *coefficients: float) -> IterationCost:
    a_s, c_n, c_b, q = (value / 1e9 for value in coefficients)
    ends = [t for t in range(1, len(g)) if t in (1, len(g) - 1) or 2 * g[t] != g[t - 1] + g[t + 1]]
    cost = IterationCost.from_table(ends, [g[t] / 1e9 for t in ends], a_s=a_s, c_n=c_n, c_b=c_b, a_kv=q)
    assert cost.g_ps(len(g) - 1).tolist()[1:] == list(g[1:]) and cost.coefficients_ps() == coefficients
    return cost


def link_of(link: RefLink | None) -> Link | None:
    """The same durations, for a KV of a byte per token."""
    if link is None:
        return None
    made = Link(
        link.latency_ps * SECONDS_PER_PS,
        1e12 / max(link.ps_per_token, 1e-6),
        page_s=link.ps_per_page * SECONDS_PER_PS,
        overlap=link.overlap,
    )
    for tokens in range(1, 100):
        assert round(made.seconds(tokens, 1, 1) / SECONDS_PER_PS) == link.duration(tokens, tokens)
    return made


def fault_of(fault: Any, workers: Any) -> Fault:
    """The same fault; a slow-down is by a factor."""
    start = fault.time_ps * SECONDS_PER_PS
    if isinstance(fault, RefCrash):
        down = math.inf if fault.back_ps is None else (fault.back_ps - fault.time_ps) * SECONDS_PER_PS
        return Crash(fault.worker, start, down)
    ordinary = workers[fault.worker][1]
    factor = fault.cost.g[1] / ordinary.g[1]
    assert cost_of(ordinary).slowed(factor).g_ps(len(ordinary.g) - 1).tolist()[1:] == list(fault.cost.g[1:])
    return Slowdown(fault.worker, start, (fault.end_ps - fault.time_ps) * SECONDS_PER_PS, factor)


def seeds(given: Any) -> range:
    """Those to try: a few times as many as draws like these need, one where that is hopeless or nothing is drawn."""
    needed = math.prod(count for log in given or [] for count, _ in log)
    return range(MOST_SEEDS if needed <= MOST_SEEDS // 5 and needed > 1 else 1)


def result_of(simulator: Simulator, expected: RefResult) -> RefResult:
    """What the simulator says, in the place of what the reference does; it has no word on the rest."""
    records, totals = compare.records(simulator), compare.totals(simulator)
    names = list(compare.RECORD_FIELDS.values())
    return dataclasses.replace(
        expected,
        records=[RefRecord(**dict(zip(names, row, strict=True))) for row in records],
        totals=[
            dataclasses.replace(row, **dict(zip(compare.TOTAL_FIELDS, numbers, strict=True)))
            for row, numbers in zip(expected.totals, totals, strict=True)
        ],
        iterations=compare.iterations(simulator),
        links=compare.traffic(simulator),
        resident=compare.resident(simulator),
    )
