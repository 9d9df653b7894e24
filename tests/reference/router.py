"""Decisions that take time: the router takes one, and then the next (docs/semantics.md#d1-time)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .live import Live


@dataclass(frozen=True)
class Sent:
    """A request on its way to a worker, and when it gets there."""

    live: Live
    target: int
    effect_ps: int


class Router:
    """When decisions take effect.

    Attributes:
        on_the_way: The requests on their way, in the order in which they were decided about.
    """

    def __init__(self, decision_ps: int | Sequence[int], warmup: int = 0) -> None:
        """A router that has decided nothing yet.

        Args:
            decision_ps: What each decision takes, 0: they take effect at once; or what was measured of decisions, in
                turn and over again.
            warmup: The first so many arrivals are those of the warm-up, whose router takes no time.
        """
        self.at_once = decision_ps == 0
        self.warmup = warmup
        self.warmed: set[int] = set()
        self.decision_ps = [decision_ps] if isinstance(decision_ps, int) else decision_ps
        self.decisions = 0
        self.busy_until_ps = 0
        self.on_the_way: list[Sent] = []

    def decide(self, index: int, now: int) -> int | None:
        """A decision is asked, and takes the router's time; returns when it takes effect, None if at once."""
        if len(self.warmed) < self.warmup:
            self.warmed.add(index)
        if self.at_once or index in self.warmed:
            return None
        self.busy_until_ps = max(now, self.busy_until_ps) + self.decision_ps[self.decisions % len(self.decision_ps)]
        self.decisions += 1
        return self.busy_until_ps

    def send(self, live: Live, target: int, effect_ps: int) -> None:
        """A request is on its way from now on."""
        assert not self.on_the_way or effect_ps >= self.on_the_way[-1].effect_ps
        self.on_the_way.append(Sent(live, target, effect_ps))

    def due(self, now: int) -> list[Sent]:
        """The requests that get where they were sent, in the order of decisions."""
        due = [sent for sent in self.on_the_way if sent.effect_ps == now]
        self.on_the_way = self.on_the_way[len(due) :]
        return due

    def crash(self, worker: int) -> list[Live]:
        """A worker crashed: those on their way to it come back, and the router's time is gone."""
        back = [sent.live for sent in self.on_the_way if sent.target == worker]
        self.on_the_way = [sent for sent in self.on_the_way if sent.target != worker]
        for live in back:
            live.record.returns += 1
        return back
