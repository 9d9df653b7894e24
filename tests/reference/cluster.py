"""A cluster at work: what happens at one moment, in the order of docs/semantics.md#k3-order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from . import roster
from .engine import Worker
from .faults import Faults
from .live import Live
from .pages import Page
from .router import Router
from .sessions import Sessions
from .transfers import Transfers
from .types import RefClass, RefRequest, RefResult
from .views import View

Route = Sequence[int] | Callable[[View, int], int]
Rules = Sequence[str | None] | Callable[[int], str | None]


class Cluster:
    """Workers, what connects them, what befalls them, and the requests that arrive.

    Attributes:
        result: Everything that happened.
        arrivals: The arrivals whose time is known.
        lives: Per request that was routed, its state.
    """

    def __init__(
        self,
        requests: Sequence[RefRequest],
        paths: Sequence[Sequence[Page]],
        fleet: Sequence[Worker],
        faults: Faults,
        transfers: Transfers | None,
        sessions: Sessions,
        view: View,
        route: Route,
        router: Router,
        refuse: Mapping[int, int],
        rules: Rules | None,
        classes: Sequence[RefClass],
        result: RefResult,
        check: bool,
    ) -> None:
        self.requests = requests
        self.paths = paths
        self.fleet = fleet
        self.faults = faults
        self.transfers = transfers
        self.sessions = sessions
        self.view = view
        self.route = route
        self.router = router
        self.refuse = refuse
        self.rules = rules
        self.classes = classes
        self.result = result
        self.checks = check
        self.lives: dict[int, Live] = {}
        self.arrivals, self.successors = first_arrivals(requests)
        self.finished: set[int] = set()
        self.admitted = fleet[0].admitted  # of all workers

    def next_time(self, now: int) -> int | None:
        """When something happens next; None when all is done. Faults after the last finish never happen."""
        times = [*self.arrivals.values(), *(worker.iteration.end_ps for worker in self.fleet if worker.iteration)]
        times += [sent.effect_ps for sent in self.router.on_the_way]
        if self.transfers is not None:
            times += [transfer.next_ps() for transfer in self.transfers.undone if transfer.start_ps is not None]
        return min([*times, self.faults.next_crash(now)]) if times else None

    def at(self, now: int) -> None:
        """All that happens at one moment."""
        for worker in self.fleet:
            if worker.iteration and worker.iteration.end_ps == now:
                self.end_iteration(worker, now)
        if self.transfers is not None and self.transfers.end_due(now):
            self.check()
        for index in self.crash(now):
            self.decide(index, now)
        # A refusal may let a successor arrive at the same time.
        while due := [index for index, time in self.arrivals.items() if time == now]:
            index = min(due)
            del self.arrivals[index]
            self.result.records[index].arrival_ps = now
            self.decide(index, now)
        for sent in self.router.due(now):
            self.take_effect(sent.live, sent.target, now)
        if self.transfers is not None and self.transfers.start_due(now):
            self.check()
        for w, worker in enumerate(self.fleet):
            if worker.has_work():
                worker.iteration_cost = self.faults.cost(w, now, worker.cost)
                worker.start(now)
                self.check(worker)

    def end_iteration(self, worker: Worker, now: int) -> None:
        """An iteration ends; successors of those who finished will arrive."""
        for done in worker.finish_iteration(now):
            assert done not in self.finished, f"request {done} finished twice"
            self.finished.add(done)
            self.view.finished(self.result.records[done].worker, done)
            self.leave(done, now)
        self.check(worker)

    def leave(self, index: int, now: int) -> None:
        """A request finished or was refused: its successors will arrive."""
        for successor in self.successors.get(index, []):
            self.arrivals[successor] = now + self.requests[successor].think_ps

    def crash(self, now: int) -> list[int]:
        """The crashes of this moment; returns the requests that come back, by index."""
        back = []
        for w in self.faults.crashing(now):
            if self.transfers is not None:
                self.transfers.crash(w, now)
            back += [live.index for live in self.fleet[w].crash(now)]
            back += [live.index for live in self.router.crash(w)]
            self.view.crashed(w)
            self.check()
        return sorted(back)

    def decide(self, index: int, now: int) -> None:
        """A ROUTE decision: about a request that arrives, or that came back."""
        size = self.fleet[0].engine.page_size
        view, record, prompt = self.view, self.result.records[index], self.requests[index].prompt
        every = range(len(self.fleet))
        view.now = now
        view.up = tuple(self.faults.is_up(w, now) for w in every)
        view.ask_about(index, len(prompt), self.paths[index][: len(prompt) // size])
        seen = [tuple(see(w) for w in every) for see in (view.visible_hit, view.queued, view.running)]
        self.result.visible.append((index, now, seen[0], seen[1], seen[2]))
        self.result.offers.append(tuple(view.offer(w) for w in every))
        self.result.up.append(view.up)
        effect_ps = self.router.decide(index, now)
        if self.refuse.get(index) == record.returns:
            self.refuse_now(index, now)
            return
        target = self.target(index)
        record.worker = target
        view.routed(target)
        waited = self.sessions.route(index, now, again=index in self.lives)
        if waited is not None and waited[0] == target:
            self.fleet[target].evictor.on_return(now - waited[1])
        rule = rule_of(self.rules, index)
        if index not in self.lives:
            self.lives[index] = Live(
                index,
                self.requests[index],
                self.paths[index],
                record,
                self.sessions.users[index],
                self.classes[self.requests[index].service_class].priority,
                rule,
            )
        live = self.lives[index]
        live.rule = rule
        if effect_ps is None:
            self.take_effect(live, target, now)
        else:
            self.router.send(live, target, effect_ps)

    def take_effect(self, live: Live, target: int, now: int) -> None:
        """A decision takes effect: its request joins the queue, or its transfer is decided."""
        up = [self.faults.is_up(w, now) for w in range(len(self.fleet))]
        if self.transfers is None or not self.transfers.decide(live, target, up, now):
            self.fleet[target].join(live)

    def refuse_now(self, index: int, now: int) -> None:
        """A request is refused: it leaves, and nobody hears of it but `belady`, which takes it for admitted."""
        self.result.refusals[index] = len(self.result.visible) - 1
        self.result.records[index].worker = -1
        self.admitted.add(index)
        self.leave(index, now)

    def target(self, index: int) -> int:
        """The worker that the router chooses; a given one is passed over while it is down (see `simulate`)."""
        if callable(self.route):
            target = self.route(self.view, index)
            if not self.view.up[target]:
                raise ValueError(f"worker {target} is down")
            return target
        return self.view.first_up((self.route[index] + self.result.records[index].returns) % len(self.fleet))

    def check(self, *workers: Worker) -> None:
        """Assert the invariants of these workers, of all if none is given."""
        if self.checks:
            for worker in workers or self.fleet:
                worker.check()

    def check_books(self) -> None:
        """Assert at the end that every request left, and that no page and no token was lost without a trace."""
        records = self.result.records
        refused = self.result.refusals.keys()
        assert not refused & self.finished and refused | self.finished == set(range(len(records)))
        for index, record in enumerate(records):
            assert (index in refused) == (record.worker < 0) == (record.finish_ps < 0)
        received = dict.fromkeys(range(len(self.fleet)), 0)
        for (_, target), (_, tokens, _, _) in self.result.links.items():
            received[target] += tokens
        for w, worker in enumerate(self.fleet):
            totals, size = worker.totals, worker.engine.page_size
            assert not worker.queue and not worker.running and not worker.fetching and not worker.lent
            assert totals.loaded + totals.fetched == totals.evicted + totals.lost + len(worker.cache.resident)
            assert totals.busy_ps == sum(row[1] - row[0] for row in worker.log)
            found = 0 if self.transfers is None else self.transfers.found[w]
            cut_off = 0 if self.transfers is None else self.transfers.cut_off[w]
            assert received[w] + cut_off == (totals.fetched + found) * size
        assert sum(received.values()) == sum(record.fetched_tokens for record in records)
        assert self.transfers is None or not self.transfers.undone
        assert not self.router.on_the_way and not any(self.view.in_flight)


def first_arrivals(requests: Sequence[RefRequest]) -> tuple[dict[int, int], dict[int, list[int]]]:
    """Arrival times that are known from the start; the requests that each one's finish, or refusal, triggers."""
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
