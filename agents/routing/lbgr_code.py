"""Learning-based greedy routing, as its authors' released code has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np

from kvgym import _check

from ..base import DECISION, FINISH, Agent, Info, Observation, Range, check_weights


class Sent(NamedTuple):
    """Memory of a request until it is done.

    Attributes:
        worker: Where it was sent.
        time: When, in s.
        base: Its estimated service time, in ms.
        queue: Estimated load of the worker before it was added, in ms.
        added: What was added to that load, in ms.
    """

    worker: int
    time: float
    base: float
    queue: int
    added: int


@dataclass(kw_only=True, eq=False, repr=False)
class LbgrCode(Agent):
    """LBGR in the form of its released code: policy `eta_online_3d` of fzwark/KVRouting (fc3b2a16, router.rs).

        base_i  = max(1, ms_per_character x uncached characters on i)
        cost_i  = max(1, base_i + queue_i + bias_i)                       ms

    The first worker whose cost no later one undercuts by more than `hysteresis_ms` is chosen, and rounded base is added
    to its queue. Every `decay_period_ms` each queue becomes floor(queue x decay_numerator / decay_denominator). When a
    request is done, what the decay left of its share is taken off the queue (never below 0), and the worker's bias
    learns y = max(1, measured end-to-end ms - base - queue at the decision) by recursive least squares with forgetting:

        K = R / (forgetting + R),   bias += K (y - bias),   R = R / (forgetting + R)

    The code's regression has four features, of which all but the constant are masked out, so that this scalar form is
    the same (the full matrix overflows after some 86,600 updates). Characters are tokens x `characters_per_token`,
    cached ones those of the observation's `match`. Queues decay on the grid of the simulated time. A worker that goes
    down is removed as in the code: its queue, bias and R begin again, and of what was sent there nothing is learned. A
    request that comes back is one more decision; its latency counts from there.

    Args:
        characters_per_token: 6 is about what random tokens of a large vocabulary have (an assumption; 3 to 8 make no
            visible difference).
        ms_per_character: SLOPE_UNCACHED_MS / LEN_SCALE of the code (default 1). The cached slope and the
            intercept are 0.
        hysteresis_ms: Default 1.
        decay_period_ms: DECAY_INTERVAL_MS (default 20).
        decay_numerator: DECAY_NUM (default 31).
        decay_denominator: DECAY_DEN (default 32).
        forgetting: Lambda of the least squares (default 0.992).
        p0: R at the start (default 1e6).

    Raises:
        ValueError: If an argument is out of range.
    """

    draws = False
    tunable: ClassVar[Mapping[str, Range]] = {
        "ms_per_character": (0.01, 10.0, "log"),
        "hysteresis_ms": (0.1, 100.0, "log"),
        "forgetting": (0.9, 1.0),
    }
    characters_per_token: float = 6.0
    ms_per_character: float = 1.0
    hysteresis_ms: float = 1.0
    decay_period_ms: float = 20.0
    decay_numerator: int = 31
    decay_denominator: int = 32
    forgetting: float = 0.992
    p0: float = 1e6

    def __post_init__(self) -> None:
        """Checks the arguments."""
        check_weights(self, "ms_per_character", "hysteresis_ms", "p0")
        self.characters_per_token = _check.finite("characters_per_token", self.characters_per_token, 1.0)
        self.decay_period_ms = _check.finite("decay_period_ms", self.decay_period_ms, 1.0)
        self.decay_numerator = _check.whole("decay_numerator", self.decay_numerator, 0)
        self.decay_denominator = _check.whole("decay_denominator", self.decay_denominator, self.decay_numerator + 1)
        self.forgetting = _check.finite("forgetting", self.forgetting, 1e-6, 1.0)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.queue = np.zeros(self.n_workers, np.int64)  # whole ms, as in the code
        self.bias = np.zeros(self.n_workers)
        self._r = [self.p0] * self.n_workers
        self._sent: dict[int, Sent] = {}
        self._decisions = 0
        self._ticks = 0

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        now = info["time"]
        for row in self.env.finished().tolist():  # in order of their finish
            self._decay(row[FINISH])
            self._learn(int(row[DECISION]), row[FINISH])
        self._decay(now)
        for worker in self.fallen(info):
            self._forget(worker)
        total = np.rint(float(observation[self.at["prompt"]]) * self.characters_per_token)
        uncached = total - np.rint(self.column(observation, "match") * self.characters_per_token)
        bases = np.maximum(1.0, self.ms_per_character * uncached)
        costs = np.maximum(1.0, bases + self.queue + self.bias)
        self.scores = (-costs).tolist()
        ms = costs.tolist()
        best = -1
        for worker in self.legal_workers(info):
            if best < 0 or ms[worker] + self.hysteresis_ms < ms[best]:
                best = worker
        best_base = float(bases[best])
        added = _round(best_base)
        self._sent[self._decisions] = Sent(best, now, best_base, int(self.queue[best]), added)
        self.queue[best] += added
        self._decisions += 1
        return best

    def _forget(self, worker: int) -> None:
        """Starts anew with a worker that went down; what was sent there will never be reported as sent there."""
        self.queue[worker], self.bias[worker], self._r[worker] = 0, 0.0, self.p0
        self._sent = {decision: sent for decision, sent in self._sent.items() if sent.worker != worker}

    def _decay(self, time: float) -> None:
        """Applies the ticks up to `time`."""
        ticks = self._ticks_in(time)
        due, self._ticks = ticks - self._ticks, max(ticks, self._ticks)
        while due > 0 and self.queue.any():
            self.queue = self.queue * self.decay_numerator // self.decay_denominator
            due -= 1

    def _ticks_in(self, seconds: float) -> int:
        # The code counts whole milliseconds; half a microsecond makes up for the rounding of floats.
        return int((seconds + 5e-7) * 1e3 / self.decay_period_ms)

    def _learn(self, decision: int, finish: float) -> None:
        """Takes in that the request of a decision is done; those of the warm-up were never counted."""
        sent = self._sent.pop(decision, None)
        if sent is None:
            return
        elapsed = finish - sent.time
        left = (self.decay_numerator / self.decay_denominator) ** self._ticks_in(elapsed)
        self.queue[sent.worker] = max(0, self.queue[sent.worker] - _round(sent.added * left))
        target = max(1.0, elapsed * 1e3 - (sent.base + sent.queue))
        r = self._r[sent.worker]
        gain = r / (self.forgetting + r)
        self.bias[sent.worker] += gain * (target - self.bias[sent.worker])
        self._r[sent.worker] = gain


def _round(x: float) -> int:
    """Rounds a number >= 0 as Rust does: halves up."""
    return int(x + 0.5)
