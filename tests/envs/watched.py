"""The reference simulator's workers and cluster, which keep what a router sees of them later on."""

from __future__ import annotations

from bisect import bisect_left
from operator import itemgetter
from typing import Any

from tests.reference.cluster import Cluster
from tests.reference.engine import Worker
from tests.reference.live import Live

IDLE = {"queued": 0.0, "running": 0.0, "queued_tokens": 0.0, "kv_use": 0.0, "gen_tps": 0.0}
Row = dict[str, float]


class Watched(Worker):
    """A reference worker that keeps its metrics after each moment, and what happened to requests, in order.

    Attributes:
        past: Time and metrics.
        events: What ("first" token, "token", "finish", "crash"), when, and the request.
        happened: By what, when it happened to each request last.
        token_event: The number of each request's last "token" among the events.
        n_crashed: The number of events up to the last crash.
        ends: The first tokens and finishes after the last crash.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.past: list[tuple[int, Row]] = []
        self.events: list[tuple[str, int, int]] = []
        self.happened: dict[str, dict[int, int]] = {"first": {}, "token": {}, "finish": {}, "crash": {}}
        self.token_event: dict[int, int] = {}
        self.n_crashed = 0
        self.ends: list[tuple[str, int, int]] = []

    def note(self, what: str, now: int, index: int) -> None:
        """Something happens."""
        if what == "token":
            self.token_event[index] = len(self.events)
        else:
            self.ends.append((what, now, index))
        self.events.append((what, now, index))
        self.happened[what][index] = now

    def metrics(self) -> Row:
        iteration = self.iteration
        decodes = sum(chunk.is_decode for chunk in iteration.chunks) if iteration else 0
        return {
            "queued": len(self.queue) + len(self.fetching),
            "running": len(self.running),
            "queued_tokens": sum(live.known() for live in [*self.queue, *self.fetching]),
            "kv_use": (self.cache.kv_pages - self.cache.free - self.cache.evictable()) / self.cache.kv_pages,
            "gen_tps": decodes * 1e12 / (iteration.end_ps - iteration.start_ps) if iteration else 0.0,
        }

    def finish_iteration(self, now: int) -> list[int]:
        before = [(live, live.emitted) for live in self.running]
        done: list[int] = super().finish_iteration(now)
        emitting = [(live.index, emitted) for live, emitted in before if live.emitted > emitted]
        for index, _ in emitting:
            self.note("token", now, index)
        for index, emitted in emitting:
            if emitted == 0:
                self.note("first", now, index)
        for index in done:
            self.note("finish", now, index)
        return done

    def crash(self, now: int) -> list[Live]:
        self.note("crash", now, -1)
        self.n_crashed = len(self.events)
        self.ends.clear()
        return super().crash(now)

    def before(self, time: int) -> Row:
        """Metrics just before `time`."""
        earlier = bisect_left(self.past, time, key=itemgetter(0))
        return self.past[earlier - 1][1] if earlier else IDLE


class WatchedCluster(Cluster):
    """A reference cluster of such workers."""

    def at(self, now: int) -> None:
        super().at(now)
        for worker in self.fleet:
            worker.past.append((now, worker.metrics()))

    def was_up(self, worker: int, time: int) -> bool:
        """Whether a worker was up just before `time`."""
        return time == 0 or self.faults.is_up(worker, time - 1)

    def last_crash(self, worker: int, now: int) -> int:
        """When the worker that is down crashed."""
        return max(crash.time_ps for crash in self.faults.crashes if crash.worker == worker and crash.time_ps <= now)

    def fetch(self, hits: list[int], target: int, now: int) -> tuple[int, int]:
        """Tokens that could be fetched to a worker, by what the others have, and ps to the planned end (D2)."""
        if self.transfers is None or not self.faults.is_up(target, now):
            return 0, 0
        network, size = self.transfers.network, self.fleet[0].engine.page_size
        free: dict[Any, int] = {}
        for transfer in self.transfers.undone:
            ends, link = network.ends(transfer.source, transfer.target), network.link(transfer.source, transfer.target)
            end = transfer.end_ps
            if transfer.start_ps is None:
                tokens = transfer.planned_tokens
                if transfer.live.held():  # it starts now, and evicts for its pages
                    tokens = (transfer.pages - transfer.live.tree_pages) * size
                end = max(now, *(free.get(one, 0) for one in ends)) + link.duration(tokens, tokens // size)
            free |= dict.fromkeys(ends, end)
        best = (0, 0, 0)
        for source, hit in enumerate(hits):
            if source == target or not self.faults.is_up(source, now) or hit <= hits[target]:
                continue
            tokens, link = hit - hits[target], network.link(source, target)
            start = max(now, *(free.get(one, 0) for one in network.ends(source, target)))
            best = min(best, (-tokens, start + link.duration(tokens, tokens // size) - now, source))
        return -best[0], best[1]
