"""Learning-based greedy routing, as its authors' released code has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym

from kvgym import _check

from ..base import Info, Observation, check_weights, legal_actions
from .fading import FadingLoads


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
class LbgrCode(FadingLoads):
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
        self.queue = [0] * self.n_workers  # whole ms, as in the code
        self.bias = [0.0] * self.n_workers
        self._r = [self.p0] * self.n_workers

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        self.catch_up(info)
        total = round(float(observation[self.at["prompt"]]) * self.characters_per_token)
        match = observation[self.at["match"]].tolist()
        best, best_cost, best_base = -1, 0.0, 0.0
        for worker in legal_actions(info):
            uncached = total - round(match[worker] * self.characters_per_token)
            base = max(1.0, self.ms_per_character * uncached)
            cost = max(1.0, base + self.queue[worker] + self.bias[worker])
            if best < 0 or cost + self.hysteresis_ms < best_cost:
                best, best_cost, best_base = worker, cost, base
        added = _round(best_base)
        sent = Sent(best, info["time"], best_base, self.queue[best], added)
        self.queue[best] += added
        return self.remember(sent)

    def forget(self, worker: int) -> None:
        """See `FadingLoads.forget`."""
        self.queue[worker], self.bias[worker], self._r[worker] = 0, 0.0, self.p0

    def fade(self, ticks: int) -> None:
        """See `FadingLoads.fade`."""
        for worker, load in enumerate(self.queue):
            for _ in range(ticks):
                if load == 0:
                    break
                load = load * self.decay_numerator // self.decay_denominator
            self.queue[worker] = load

    def ticks_in(self, seconds: float) -> int:
        """See `FadingLoads.ticks_in`."""
        # The code counts whole milliseconds; half a microsecond makes up for the rounding of floats.
        return int((seconds + 5e-7) * 1e3 / self.decay_period_ms)

    def complete(self, sent: Sent | None, finish: float, output_tokens: float) -> None:
        """See `FadingLoads.complete`."""
        if sent is None:
            return
        elapsed = finish - sent.time
        left = (self.decay_numerator / self.decay_denominator) ** self.ticks_in(elapsed)
        self.queue[sent.worker] = max(0, self.queue[sent.worker] - _round(sent.added * left))
        target = max(1.0, elapsed * 1e3 - (sent.base + sent.queue))
        r = self._r[sent.worker]
        gain = r / (self.forgetting + r)
        self.bias[sent.worker] += gain * (target - self.bias[sent.worker])
        self._r[sent.worker] = gain


def _round(x: float) -> int:
    """Rounds a number >= 0 as Rust does: halves up."""
    return int(x + 0.5)
