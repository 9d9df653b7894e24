"""Learning-based greedy routing (LBGR), as its paper describes it: a model for agents of your own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np

from kvgym import _check

from ..base import DECISION, FINISH, OUTPUT_TOKENS, Agent, Floats, Info, Observation, Range, check_weights

Features = tuple[float, ...]


class Sent(NamedTuple):
    """Memory of a request until it is done: where and when it was sent, and what it expected then."""

    worker: int
    time: float
    cost: float
    load: float
    phi: Features


@dataclass(kw_only=True, eq=False, repr=False)
class Lbgr(Agent):
    """LBGR by its paper (arXiv 2601.18999), bounded unless bound=None: a learned estimate of the end-to-end latency.

    The bound of its correction is ours, not the paper's; `agents.routing.lbgr_code` is the authors' code. All in
    seconds. For a request with h_i hit tokens, as the view shows them, and m_i miss tokens on worker i:

        Cost_i = alpha_cached h_i + alpha_miss m_i + alpha_output x expected output tokens     service time
        P_i                                                                                    load of the worker
        phi_i  = (alpha_miss h_i, alpha_miss m_i, P_i)                                         hits, misses, load
        E^_i   = Cost_i + P_i + theta_i . phi_i                                                estimate
        route to argmin E^_i (the lowest index of equals), then P_i += Cost_i

    Loads fade: P_i becomes rho P_i every `decay_s`. When a request is done, what has not faded of its share is taken
    off the load, and theta_i takes a step to lower (E - E^_i)^2: of normalised least mean squares,

        theta_i += rate (E - E^_i) phi_i / |phi_i|^2

    The correction theta_i . phi_i is kept within +- bound x (Cost_i + P_i) when workers are compared. Without a bound
    the regression explains the waiting that loads, which fade fast on purpose, leave out; what it knows is as old as
    the last requests that were done, so that everybody is sent where the waiting used to be short. With a constant
    feature (`bias`), as in the released code, and true costs the cluster collapses. docs/lbgr.md has the figures.

    A worker that goes down is forgotten, load, correction and requests, as in the released code. A request that comes
    back is one more decision; its latency counts from there.

    The paper leaves open the coefficients, rho, `decay_s` and the kind of step; rho and `decay_s` are those of the
    released code (fzwark/KVRouting), for which see `agents.routing.lbgr_code`.

    Args:
        alpha_cached: Seconds per hit token; the code has 0 (default 0).
        alpha_miss: Seconds per miss token (default 0.16e-3: Llama-3.1-8B on an L40, about 6,300 tokens/s). Costs and
            loads share this scale, so that without the regression only its ratio to the other coefficients would
            matter.
        alpha_output: Seconds per output token expected: the observation's hint, or the mean of those seen (default 0,
            as the code has no output term).
        rho: Factor of the decay (default 31/32).
        decay_s: Period of the decay (default 0.02).
        rate: Step of the regression, in [0, 2): 0 switches it off (default 0.02: some 50 requests of memory).
        bound: Largest share by which the correction changes an estimate; None: no bound (default 0.5).
        bias: Adds the constant 1 s to phi (default False).

    Raises:
        ValueError: If an argument is out of range.
    """

    draws = False
    tunable: ClassVar[Mapping[str, Range]] = {
        "alpha_miss": (0.02e-3, 2e-3, "log"),
        "rho": (0.8, 0.999),
        "rate": (1e-3, 0.5, "log"),
        "bound": (0.05, 2.0, "log"),
    }
    alpha_cached: float = 0.0
    alpha_miss: float = 0.16e-3
    alpha_output: float = 0.0
    rho: float = 31 / 32
    decay_s: float = 0.02
    rate: float = 0.02
    bound: float | None = 0.5
    bias: bool = False

    def __post_init__(self) -> None:
        """Checks the arguments."""
        check_weights(self, "alpha_cached", "alpha_output")
        self.alpha_miss = _check.finite("alpha_miss", self.alpha_miss, 1e-12)
        self.rho = _check.finite("rho", self.rho, 0.0, 1.0)
        self.decay_s = _check.finite("decay_s", self.decay_s, 1e-6)
        self.rate = _check.finite("rate", self.rate, 0.0, 2.0)
        self._bound = math.inf if self.bound is None else _check.finite("bound", self.bound)
        self.constant = (1.0,) if _check.flag("bias", self.bias) else ()

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.load = np.zeros(self.n_workers)
        self.theta = np.zeros((self.n_workers, 3 + len(self.constant)))
        self._sent: dict[int, Sent] = {}
        self._decisions = 0
        self._ticks = 0
        self._outputs = 0.0
        self._done = 0

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        now = info["time"]
        for row in self.env.finished().tolist():  # in order of their finish
            self._decay(row[FINISH])
            self._complete(int(row[DECISION]), row[FINISH], row[OUTPUT_TOKENS])
        self._decay(now)
        for worker in self.fallen(info):
            self._forget(worker)

        match = self.column(observation, "match")
        miss = float(observation[self.at["prompt"]]) - match
        output = self.alpha_output * self._expected_output(float(observation[self.at["output_hint"]]))
        to_compute = self.alpha_miss * miss
        cost = self.alpha_cached * match + to_compute + output
        phi = (self.alpha_miss * match, to_compute, self.load, *self.constant)
        best = self.cheapest(self.estimates(cost, phi), info)[0]
        features = tuple(float(column[best]) for column in phi[:3]) + self.constant
        chosen = Sent(best, now, float(cost[best]), float(self.load[best]), features)
        self.load[best] += chosen.cost
        self._sent[self._decisions] = chosen
        self._decisions += 1
        return best

    def estimates(self, cost: Floats, phi: Sequence[Any]) -> Floats:
        """Expected latency of a request by worker (s), with the correction that `bound` allows: float64 (n_workers,).

        Args:
            cost: Service time (s).
            phi: Features: each float64 (n_workers,), or a constant.
        """
        expected = cost + self.load
        limit = self._bound * expected
        # Twice as fast as np.clip.
        corrected: Floats = expected + np.minimum(np.maximum(dot([*self.theta.T], phi), -limit), limit)
        return corrected

    def _forget(self, worker: int) -> None:
        """Starts anew with a worker that went down; what was sent there will never be reported as sent there."""
        self.load[worker], self.theta[worker] = 0.0, 0.0
        self._sent = {decision: sent for decision, sent in self._sent.items() if sent.worker != worker}

    def _expected_output(self, hint: float) -> float:
        return hint if hint > 0.0 else self._outputs / max(1, self._done)

    def _decay(self, time: float) -> None:
        """Lets the loads fade up to `time`."""
        ticks = self._ticks_in(time)
        if ticks > self._ticks:
            self.load = self.load * self.rho ** (ticks - self._ticks)
            self._ticks = ticks

    def _ticks_in(self, seconds: float) -> int:
        return int((seconds + 1e-9) / self.decay_s)  # makes up for the rounding of floats

    def _complete(self, decision: int, finish: float, output_tokens: float) -> None:
        """Takes in that the request of a decision is done; the load never held those of the warm-up."""
        self._outputs += output_tokens
        self._done += 1
        sent = self._sent.pop(decision, None)
        if sent is None:
            return
        latency = finish - sent.time
        left = sent.cost * self.rho ** self._ticks_in(latency)
        self.load[sent.worker] = max(0.0, self.load[sent.worker] - left)
        # Plain numbers: arithmetic on so few takes a fraction of what arrays take.
        theta, phi = self.theta[sent.worker].tolist(), sent.phi
        error = latency - (sent.cost + sent.load + dot(theta, phi))
        # Never 0 / 0: the last token of a prompt is always computed, so that there is a miss.
        step = self.rate * error / dot(phi, phi)
        self.theta[sent.worker] = [a + step * b for a, b in zip(theta, phi, strict=True)]


def dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    """Scalar product of numbers or of columns, added up in their order."""
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total = total + x * y
    return total
