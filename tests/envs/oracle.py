"""Physical observations computed again, slowly: the engine's part by the reference simulator, the rest by counting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.envs.watched import IDLE, Row, Watched, WatchedCluster
from tests.reference import least_loaded, prefix_affinity, simulate
from tests.reference import simulator as reference_simulator
from tests.reference.views import View
from tests.sim.cases import Case

DAY_S = 86400.0
RULES = {"least_loaded": least_loaded, "prefix_affinity": prefix_affinity}


@dataclass(frozen=True)
class Sent:
    """A request that was sent to a worker: when, its estimated miss, and the events of the worker until then."""

    request: int
    worker: int
    time: int
    miss: int
    events: int


class Oracle:
    """Plays a case on the reference simulator and writes down what its router should see.

    Attributes:
        rows: Per counted decision, and for the end, the physical features by name; "w0.match" and so on for workers.
        records: The reference's records.
        times: Of the counted decisions, in ps.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        case: Case,
        *,
        warmup: int = 0,
        warmup_router: str = "least_loaded",
        period_ps: int = 0,
        slo: tuple[float, float] = (0.0, 0.0),
        hints: list[int] | None = None,
    ) -> None:
        self.case, self.size = case, case.engine.page_size
        budget = case.engine.chunk_tokens
        self.seconds = [worker.cost.seconds(budget, 0, 0, 0, 0) for worker in case.workers]
        self.hashes = case.workload().requests[["prefix_u", "session_u"]]
        self.rules = {**RULES, "round_robin": self.round_robin}
        self.turn = 0
        self.warmup, self.warmup_router = warmup, self.rules[warmup_router]
        self.period_ps, self.slo = period_ps, slo
        self.hints = hints or [0] * len(case.requests)
        self.view: Any = None
        self.cluster: Any = None
        self.sent: list[Sent] = []
        self.snapshots: dict[tuple[int, int], int] = {}
        self.turns: dict[int, Sent] = {}  # the last of each session
        self.numbers: dict[int, int] = {}  # of requests, in the order of their arrivals
        self.pages: dict[int, Any] = {}  # of the prompts, as the view wants them
        self.numbered: dict[tuple[int, ...], int] = {}  # prefixes of prompts
        self.prefixes_of: dict[int, list[int]] = {}
        self.routing = -1  # the request of the ROUTE decision that is being shown
        self.now = 0
        self.rows: list[Row] = []
        self.times: list[int] = []
        monkeypatch.setattr(reference_simulator, "Worker", Watched)
        monkeypatch.setattr(reference_simulator, "Cluster", self.make_cluster)
        result = simulate(
            case.requests,
            case.reference_workers(),
            case.reference_engine(),
            case.evictor,
            self.route,
            history_pages=case.history_pages,
            speculative=case.speculative,
            network=case.reference_network(),
            faults=case.reference_faults(),
            check=False,  # its own invariants: tests/sim and tests/reference
            **self.asks(),
        )
        self.records = result.records
        self.rows.append(self.observe(None, max(record.finish_ps for record in result.records)))

    def make_cluster(self, *args: Any) -> WatchedCluster:
        """What the reference makes of its arguments, kept."""
        self.cluster = WatchedCluster(*args)
        return self.cluster

    def asks(self) -> dict[str, Any]:
        """Further arguments of the simulation: who is asked when pages are wanted."""
        return {}

    def asked_to_route(self, q: int, now: int) -> None:
        """A ROUTE decision is due that the environment's player takes."""
        self.routing = q
        self.rows.append(self.observe(q, now))
        self.times.append(now)
        self.routing = -1

    def route(self, view: View, q: int) -> int:
        """Observes, then decides as the environment's player does, or the case's rule."""
        self.view = view
        self.pages[q] = view._prompt_pages
        now = view.now
        rule = self.rules.get(self.case.router)
        again = q in self.numbers
        if self.numbers.get(q, len(self.numbers)) < self.warmup:
            rule = self.warmup_router
        elif rule is None:
            self.asked_to_route(q, now)
        self.numbers.setdefault(q, len(self.numbers))
        target = self.chosen(q) if rule is None else rule(view, q)
        known = self.known(q) if again else len(self.prompt(q))
        worker = view._workers[target]
        self.sent.append(Sent(q, target, now, known - view.visible_hit(target), len(worker.events)))
        self.turns[self.session(q)] = self.sent[-1]
        return target

    def round_robin(self, view: View, q: int) -> int:
        """The one after the last that this rule chose, or the next one that is up; others may decide in between."""
        target = view.first_up(self.turn)
        self.turn = (target + 1) % len(self.case.workers)
        return target

    def chosen(self, q: int) -> int:
        """What the environment's player does: see `tests.sim.compare.target`."""
        returns = self.cluster.result.records[q].returns
        return self.view.first_up((self.case.routes[q] + returns) % len(self.case.workers))

    def known(self, q: int) -> int:
        """Known tokens of a request that has been routed before."""
        return int(self.cluster.lives[q].known())

    def length(self, q: int) -> int:
        """Tokens of a request as a decision about it shows them: at a ROUTE decision those that it came back with."""
        return self.known(q) if self.routing == q and q in self.numbers else len(self.prompt(q))

    def arrival(self, q: int) -> int:
        request = self.case.requests[q]
        if request.arrival_ps is not None:
            return request.arrival_ps
        return self.happened("finish")[request.predecessor] + request.think_ps

    def happened(self, what: str) -> dict[int, int]:
        """When each request got its first token, or finished, so far."""
        times: dict[int, int] = {}
        for worker in self.view._workers:
            times |= worker.happened[what]
        return times

    def prompt(self, q: int) -> tuple[int, ...]:
        return self.case.requests[q].prompt

    def prefixes(self, q: int) -> list[int]:
        """The full pages of a prompt, each as the number of all tokens up to its end."""
        if q not in self.prefixes_of:
            prompt = self.prompt(q)
            ends = range(self.size, len(prompt) + 1, self.size)
            self.prefixes_of[q] = [self.numbered.setdefault(prompt[:end], len(self.numbered)) for end in ends]
        return self.prefixes_of[q]

    def session(self, q: int) -> int:
        """A request without one is a session of its own."""
        session = self.case.requests[q].session
        return q if session is None else session

    def here(self, w: int) -> dict[int, Sent]:
        """What was sent to a worker since it crashed last, the last time that it was."""
        n_crashed = self.view._workers[w].n_crashed
        return {one.request: one for one in self.sent if one.worker == w and one.events >= n_crashed}

    def last_turn(self, q: int) -> Sent | None:
        """The last request of the same session that was routed; one that came back may be it itself."""
        return self.turns.get(self.session(q))

    def observe(self, q: int | None, now: int) -> Row:
        self.now = now
        row = {} if q is None else self.request_row(q, now)
        for w in range(len(self.case.workers)):
            parts = self.fixed_row(w, now) | self.cache_row(w, q, now) | self.router_row(w, q) | self.engine_row(w, now)
            row |= {f"w{w}.{name}": value for name, value in (parts | self.fetch_row(w, q, now)).items()}
        return row

    def request_row(self, q: int, now: int) -> Row:
        first: dict[int, int] = {}
        for one in self.sent:
            first.setdefault(one.request, one.time)
        first.setdefault(q, now)  # a routed one is due when it needs pages, or comes back
        arrivals = first.values()
        last = self.last_turn(q)
        counted = len(self.case.requests) - self.warmup
        return {
            "prompt": self.length(q),
            "output_hint": self.hints[q],
            "turn": self.case.requests[q].turn,
            "has_prev": last is not None,
            "session_gap": (now - last.time) * 1e-12 if last else DAY_S,
            "prefix_u": self.hashes["prefix_u"][q],
            "session_u": self.hashes["session_u"][q],
            "class": 0,
            "slo_ttft": self.slo[0],
            "slo_tpot": self.slo[1],
            "route_gap": (now - self.sent[-1].time) * 1e-12 if self.sent else 0.0,
            "rate_10s": sum(now - 10 * 10**12 < time for time in arrivals) / 10,
            "rate_60s": sum(now - 60 * 10**12 < time for time in arrivals) / 60,
            "remaining": min(1.0, (len(self.case.requests) - len(first) + (self.routing == q)) / counted),
        }

    def fixed_row(self, w: int, now: int) -> Row:
        seconds, pages = self.seconds, [worker.kv_pages for worker in self.case.workers]
        up = self.cluster.faults.is_up(w, now)
        return {"up": up, "speed": min(seconds) / seconds[w], "kv_size": pages[w] / max(pages)}

    def cache_row(self, w: int, q: int | None, now: int) -> Row:
        history = self.view._histories  # prompts in flight match, but are no tokens of an index
        pages = self.view._workers[w].cache.resident if history is None else history[w].touched
        row = {"index_tokens": len(pages) * self.size}
        if q is None:
            return row | {"match": 0, "miss": 0, "match_age": 0, "is_prev": 0}
        hit = self.view.visible_hit(w)
        last = self.last_turn(q)
        return row | {
            "match": hit,
            "miss": self.length(q) - hit,
            "match_age": self.match_age(w, q, now),
            "is_prev": last is not None and last.worker == w,
        }

    def fetch_row(self, w: int, q: int | None, now: int) -> Row:
        if q is None:
            return {"fetch": 0, "fetch_s": 0}
        hits = [self.view.visible_hit(v) for v in range(len(self.case.workers))]
        tokens, ps = self.cluster.fetch(hits, w, now)
        return {"fetch": tokens, "fetch_s": ps * 1e-12}

    def match_age(self, w: int, q: int, now: int) -> float:
        """Since a prompt was sent here that holds the deepest matched page held by any such prompt."""
        pages, prefixes = self.view.shown(w), self.prefixes(q)
        matched = sum(page in pages for page in self.view._prompt_pages)
        for prefix in reversed(prefixes[:matched]):
            sent = self.here(w).values()
            times = [one.time for one in sent if prefix in self.prefixes(one.request)]
            if times:
                return (now - max(times)) * 1e-12
        return DAY_S

    def router_row(self, w: int, q: int | None) -> Row:
        here, last_token = self.here(w), self.view._workers[w].token_event
        finished = self.happened("finish")
        active = [other for other in here if other not in finished]
        # Those that have got no token since they were sent.
        waiting = [one for one in here.values() if last_token.get(one.request, -1) < one.events]
        snapshot = self.snapshot(w, self.now)
        ttft, tpot = self.averages(w)
        return {
            "inflight": len(active),
            "waiting": len(waiting),
            "n_sent": sum(one.worker == w for one in self.sent),
            "prefill": sum(one.miss for one in waiting),
            "active_with": self.distinct_tokens(active if q is None else [*active, *({q} - set(active))]),
            "sent_since_snapshot": sum(one.miss for one in here.values() if self.period_ps and one.time >= snapshot),
            "ttft_ewma": ttft,
            "tpot_ewma": tpot,
        }

    def distinct_tokens(self, requests: list[int]) -> int:
        """Tokens of prompts; those of a full page count once however many prompts hold it."""
        full = {prefix for q in requests for prefix in self.prefixes(q)}
        return len(full) * self.size + sum(len(self.prompt(q)) % self.size for q in requests)

    def averages(self, w: int) -> tuple[float, float]:
        """Moving averages of TTFT and TPOT, gain 1/16 from 0."""
        ttft = tpot = 0.0
        first = self.happened("first")
        for kind, time, q in self.view._workers[w].ends:
            length = len(self.case.requests[q].output)
            if kind == "first":
                ttft += ((time - self.arrival(q)) * 1e-12 - ttft) / 16
            elif kind == "finish" and length > 1:
                tpot += ((time - first[q]) * 1e-12 / (length - 1) - tpot) / 16
        return ttft, tpot

    def snapshot(self, w: int, now: int) -> int:
        """When the last snapshot of a worker's metrics was taken; there is none of one that is down."""
        if self.period_ps == 0:
            return now if self.cluster.faults.is_up(w, now) else self.cluster.last_crash(w, now)
        if (w, now) not in self.snapshots:
            times = range(now // self.period_ps * self.period_ps, -1, -self.period_ps)
            self.snapshots[w, now] = next(time for time in times if self.cluster.was_up(w, time))
        return self.snapshots[w, now]

    def engine_row(self, w: int, now: int) -> Row:
        worker, snapshot = self.view._workers[w], self.snapshot(w, now)
        age = {"age": (now - snapshot) * 1e-12}
        if self.period_ps == 0:
            return (worker.metrics() if snapshot == now and self.cluster.faults.is_up(w, now) else IDLE) | age
        return worker.before(snapshot) | age
