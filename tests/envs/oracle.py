"""Physical observations computed again, slowly: the engine's part by the reference simulator, the rest by counting."""

from __future__ import annotations

from typing import Any

import pytest

from tests.reference import least_loaded, prefix_affinity, round_robin, simulate
from tests.reference import simulator as reference_simulator
from tests.reference.engine import Worker
from tests.reference.views import View
from tests.sim.cases import Case

DAY_S = 86400.0
RULES = {"round_robin": round_robin, "least_loaded": least_loaded, "prefix_affinity": prefix_affinity}
IDLE = {"queued": 0.0, "running": 0.0, "queued_tokens": 0.0, "kv_use": 0.0, "gen_tps": 0.0}
Row = dict[str, float]


class Watched(Worker):
    """A reference worker that keeps its metrics after each change, and first tokens and finishes in their order."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.past: list[tuple[int, Row]] = []
        self.events: list[tuple[str, int, int]] = []  # what, when, request

    def metrics(self) -> Row:
        iteration = self.iteration
        decodes = sum(chunk.is_decode for chunk in iteration.chunks) if iteration else 0
        return {
            "queued": len(self.queue),
            "running": len(self.running),
            "queued_tokens": sum(live.known() for live in self.queue),
            "kv_use": (self.cache.kv_pages - self.cache.free - self.cache.evictable()) / self.cache.kv_pages,
            "gen_tps": decodes * 1e12 / (iteration.end_ps - iteration.start_ps) if iteration else 0.0,
        }

    def start(self, now: int) -> None:
        super().start(now)
        self.past.append((now, self.metrics()))

    def finish_iteration(self, now: int) -> list[int]:
        new = [live for live in self.running if live.record.first_token_ps < 0]
        done: list[int] = super().finish_iteration(now)
        self.events += [("first", now, live.index) for live in new if live.record.first_token_ps >= 0]
        self.events += [("finish", now, index) for index in done]
        self.past.append((now, self.metrics()))
        return done

    def will_get(self, now: int, prompt_tokens: int) -> None:
        """A request is about to join the queue."""
        metrics = self.metrics()
        metrics["queued"] += 1
        metrics["queued_tokens"] += prompt_tokens
        self.past.append((now, metrics))

    def before(self, time: int) -> Row:
        """Metrics just before `time`."""
        earlier = [metrics for at, metrics in self.past if at < time]
        return earlier[-1] if earlier else IDLE


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
        self.hashes = case.workload().requests[["prefix_u", "session_u"]]
        self.warmup, self.warmup_router = warmup, RULES[warmup_router]
        self.period_ps, self.slo = period_ps, slo
        self.hints = hints or [0] * len(case.requests)
        self.view: Any = None
        self.sent: list[tuple[int, int, int, int]] = []  # request, worker, time, estimated miss
        self.pages: dict[int, Any] = {}  # of the prompts, as the view wants them
        self.rows: list[Row] = []
        self.times: list[int] = []
        monkeypatch.setattr(reference_simulator, "Worker", Watched)
        result = simulate(
            case.requests,
            case.reference_workers(),
            case.reference_engine(),
            case.evictor,
            self.route,
            history_pages=case.history_pages,
            **self.asks(),
        )
        self.records = result.records
        self.rows.append(self.observe(None, max(record.finish_ps for record in result.records)))

    def asks(self) -> dict[str, Any]:
        """Further arguments of the simulation: who is asked when pages are wanted."""
        return {}

    def asked_to_route(self, q: int, now: int) -> None:
        """A ROUTE decision is due that the environment's player takes."""
        self.rows.append(self.observe(q, now))
        self.times.append(now)

    def route(self, view: View, q: int) -> int:
        """Observes, then decides as the environment's player does, or the case's rule."""
        self.view = view
        self.pages[q] = view._prompt_pages
        now = self.arrival(q)
        rule = RULES.get(self.case.router)
        if len(self.sent) < self.warmup:
            rule = self.warmup_router
        elif rule is None:
            self.asked_to_route(q, now)
        target = self.case.routes[q] if rule is None else rule(view, q)
        prompt = self.prompt(q)
        self.view._workers[target].will_get(now, len(prompt))
        self.sent.append((q, target, now, len(prompt) - view.visible_hit(target)))
        return target

    def arrival(self, q: int) -> int:
        request = self.case.requests[q]
        if request.arrival_ps is not None:
            return request.arrival_ps
        return self.happened("finish")[request.predecessor] + request.think_ps

    def happened(self, what: str) -> dict[int, int]:
        """When each request got its first token, or finished, so far."""
        return {q: time for worker in self.view._workers for kind, time, q in worker.events if kind == what}

    def prompt(self, q: int) -> tuple[int, ...]:
        return self.case.requests[q].prompt

    def prefixes(self, q: int) -> list[tuple[int, ...]]:
        """The full pages of a prompt, each as all tokens up to its end."""
        prompt = self.prompt(q)
        return [prompt[:end] for end in range(self.size, len(prompt) + 1, self.size)]

    def session(self, q: int) -> int:
        """A request without one is a session of its own."""
        session = self.case.requests[q].session
        return q if session is None else session

    def worker_of(self) -> dict[int, int]:
        """Where each request was sent."""
        return {q: w for q, w, _, _ in self.sent}

    def last_turn(self, q: int) -> tuple[int, int] | None:
        """Worker and time of the last request of the same session that was routed."""
        turns = [(w, time) for other, w, time, _ in self.sent if self.session(other) == self.session(q)]
        return turns[-1] if turns else None

    def observe(self, q: int | None, now: int) -> Row:
        row = {} if q is None else self.request_row(q, now)
        for w in range(len(self.case.workers)):
            parts = self.fixed_row(w) | self.cache_row(w, q, now) | self.router_row(w, q, now) | self.engine_row(w, now)
            row |= {f"w{w}.{name}": value for name, value in parts.items()}
        return row

    def request_row(self, q: int, now: int) -> Row:
        arrivals = [time for *_, time, _ in self.sent]
        if q not in self.worker_of():  # a routed one is due when it needs pages
            arrivals.append(now)
        last = self.last_turn(q)
        counted = len(self.case.requests) - self.warmup
        return {
            "prompt": len(self.prompt(q)),
            "output_hint": self.hints[q],
            "turn": self.case.requests[q].turn,
            "has_prev": last is not None,
            "session_gap": (now - last[1]) * 1e-12 if last else DAY_S,
            "prefix_u": self.hashes["prefix_u"][q],
            "session_u": self.hashes["session_u"][q],
            "class": 0,
            "slo_ttft": self.slo[0],
            "slo_tpot": self.slo[1],
            "route_gap": (now - self.sent[-1][2]) * 1e-12 if self.sent else 0.0,
            "rate_10s": sum(now - 10 * 10**12 < time for time in arrivals) / 10,
            "rate_60s": sum(now - 60 * 10**12 < time for time in arrivals) / 60,
            "remaining": min(1.0, (len(self.case.requests) - len(self.sent)) / counted),
        }

    def fixed_row(self, w: int) -> Row:
        budget = self.case.engine.chunk_tokens
        seconds = [worker.cost.seconds(budget, 0, 0, 0, 0) for worker in self.case.workers]
        pages = [worker.kv_pages for worker in self.case.workers]
        return {"up": 1, "speed": min(seconds) / seconds[w], "kv_size": pages[w] / max(pages)}

    def cache_row(self, w: int, q: int | None, now: int) -> Row:
        cache = self.view._workers[w].cache
        history = self.view._histories
        pages = len(cache.resident) if history is None else len(history[w].touched)
        row = {"index_tokens": pages * self.size}
        if q is None:
            return row | {"match": 0, "miss": 0, "match_age": 0, "is_prev": 0}
        hit = self.view.visible_hit(w)
        last = self.last_turn(q)
        return row | {
            "match": hit,
            "miss": len(self.prompt(q)) - hit,
            "match_age": self.match_age(w, q, now),
            "is_prev": last is not None and last[0] == w,
        }

    def match_age(self, w: int, q: int, now: int) -> float:
        """Since a prompt was sent here that holds the deepest matched page held by any such prompt."""
        cache, histories = self.view._workers[w].cache, self.view._histories
        pages = cache.resident if histories is None else histories[w].touched
        prefixes = self.prefixes(q)
        matched = sum(page in pages for page in self.view._prompt_pages)
        for prefix in reversed(prefixes[:matched]):
            times = [
                time for other, to, time, _ in self.sent if to == w and self.prompt(other)[: len(prefix)] == prefix
            ]
            if times:
                return (now - times[-1]) * 1e-12
        return DAY_S

    def router_row(self, w: int, q: int | None, now: int) -> Row:
        here = {other: miss for other, to, _, miss in self.sent if to == w}
        started, finished = self.happened("first"), self.happened("finish")
        active = [other for other in here if other not in finished]
        waiting = [other for other in here if other not in started]
        snapshot = now if self.period_ps == 0 else now // self.period_ps * self.period_ps
        since = [miss for _, to, time, miss in self.sent if to == w and time >= snapshot]
        ttft, tpot = self.averages(w)
        return {
            "inflight": len(active),
            "waiting": len(waiting),
            "n_sent": len(here),
            "prefill": sum(here[other] for other in waiting),
            "active_with": self.distinct_tokens(active if q is None else [*active, *({q} - set(active))]),
            "sent_since_snapshot": sum(since) if self.period_ps else 0,
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
        began: dict[int, int] = {}
        for kind, time, q in self.view._workers[w].events:
            length = len(self.case.requests[q].output)
            if kind == "first":
                began[q] = time
                ttft += ((time - self.arrival(q)) * 1e-12 - ttft) / 16
            elif length > 1:
                tpot += ((time - began[q]) * 1e-12 / (length - 1) - tpot) / 16
        return ttft, tpot

    def engine_row(self, w: int, now: int) -> Row:
        worker = self.view._workers[w]
        if self.period_ps == 0:
            return worker.metrics() | {"age": 0.0}
        snapshot = now // self.period_ps * self.period_ps
        return worker.before(snapshot) | {"age": (now - snapshot) * 1e-12}
