"""The part that both forms of LBGR share: loads that fade, and requests that are remembered until they are done."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import gymnasium as gym

from ..base import DECISION, FINISH, OUTPUT_TOKENS, Agent, Info


class FadingLoads(Agent):
    """Base of agents that keep a load per worker, which fades at every tick of the simulated time."""

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._sent: dict[int, Any] = {}  # by decision; has a `worker`
        self._decisions = self._ticks = 0

    def catch_up(self, info: Info) -> None:
        """Takes in what has happened since the last decision."""
        for row in self.env.finished().tolist():  # in order of their finish
            self._fade_until(row[FINISH])
            # None: one of the warm-up, which was never counted, or of a worker that went down.
            self.complete(self._sent.pop(int(row[DECISION]), None), row[FINISH], row[OUTPUT_TOKENS])
        self._fade_until(info["time"])
        for down in self.fallen(info):
            # What was sent there will never be reported as sent there.
            self.forget(down)
            self._sent = {decision: sent for decision, sent in self._sent.items() if sent.worker != down}

    def remember(self, sent: Any) -> int:
        """Notes the request of this decision; returns its worker."""
        self._sent[self._decisions] = sent
        self._decisions += 1
        return int(sent.worker)

    def _fade_until(self, time: float) -> None:
        ticks = self.ticks_in(time)
        if ticks > self._ticks:
            self.fade(ticks - self._ticks)
            self._ticks = ticks

    @abstractmethod
    def ticks_in(self, seconds: float) -> int:
        """Ticks in so many seconds."""

    @abstractmethod
    def fade(self, ticks: int) -> None:
        """Lets the loads fade."""

    @abstractmethod
    def forget(self, worker: int) -> None:
        """Starts anew with a worker that went down."""

    @abstractmethod
    def complete(self, sent: Any, finish: float, output_tokens: float) -> None:
        """Takes in that a request is done: at `finish` (s), with so many output tokens."""
