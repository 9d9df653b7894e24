"""Episodes of which something else is asked than its metrics: how good LBGR's estimates are, and who routes right."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from agents import make_agent
from agents.routing.lbgr import Lbgr
from kvgym.evaluation import play
from kvgym.evaluation.statistics import Floats

from .jobs import SPLIT, Job, Outcome, job

FROM_S, AT_S, UNTIL_S, BIN_S = 30.0, 60.0, 110.0, 10.0
"""When requests are sent that are looked at, when something changes, and in which steps errors are given."""
WINDOWS = {"before": (FROM_S, AT_S), "20 s after": (AT_S, AT_S + 20.0), "later": (AT_S + 20.0, UNTIL_S)}
EVERY = 32
NEAR = 1.01
"""A worker counts as right where the latency there is within this factor of the lowest."""


class Watched(Lbgr):
    """LBGR that writes down what it expects of each request that it sends: (worker, time, seconds)."""

    oracle = True  # it looks into the simulator when the episode is over

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.expected: list[tuple[int, float, float]] = []

    def act(self, observation: Any, info: Any) -> int:
        """See `Agent.act`."""
        worker = super().act(observation, info)
        assert self.scores is not None
        sent = self._sent[self._decisions - 1]
        self.expected.append((worker, sent.time, -self.scores[worker]))
        return worker


def watched(form: Mapping[str, Any], overrides: Mapping[str, Any], seed: int) -> tuple[Floats, Floats, Floats]:
    """Worker, time of sending (s) and |estimate - latency| / latency of each counted request of `straggler`."""
    agent = Watched(**form)
    play(agent, "straggler", seed, overrides=overrides, split=SPLIT)
    progress = agent.env.simulator.tables["progress"]
    counted = progress[progress["decision"] >= 0]
    worker, sent_s, expected_s = np.array(agent.expected)[counted["decision"]].T
    latency_s = counted["finish_ps"] * 1e-12 - sent_s
    return worker, sent_s, np.abs(expected_s - latency_s) / latency_s


@dataclass(frozen=True)
class Probe:
    """Episodes of `straggler` of which a function of this module asks something, see `probe`.

    Attributes:
        asks: The function.
        arguments: Its arguments, as JSON; "overrides" are of `straggler`.
    """

    asks: Callable[..., Outcome]
    arguments: str

    def job(self, seed: int, short: int | None = None) -> Job:
        """The episode of a seed."""
        given = json.loads(self.arguments)
        given["overrides"] |= {"episode_requests": short} if short else {}
        return job(self.asks, seed, **given)


def probe(asks: Callable[..., Outcome], overrides: Mapping[str, Any], **arguments: Any) -> Probe:
    """What is asked of `straggler` with some fields changed."""
    return Probe(asks, json.dumps({"overrides": overrides, **arguments}))


def errors(seed: int, *, form: Mapping[str, Any], overrides: Mapping[str, Any]) -> Outcome:
    """Median of |estimate - latency| / latency by when a request was sent, of worker 0 and of the others.

    Named "0 at 30": the ten seconds from 30 s on, and "others at 30"; NaN where nobody was sent.
    """
    worker, sent_s, error = watched(form, overrides, seed)
    found: Outcome = {}
    for start in np.arange(FROM_S, UNTIL_S, BIN_S):
        inside = (sent_s >= start) & (sent_s < start + BIN_S)
        for name, who in (("0", worker == 0), ("others", worker != 0)):
            chosen = error[inside & who]
            found[f"{name} at {start:g}"] = float(np.median(chosen)) if len(chosen) else float("nan")
    return found


class Examined:
    """A router that is asked, at every so many decisions, whether it is right.

    Attributes:
        times: Of the decisions looked at (s).
        latencies: Of these, by worker (s): what the request would take there if no other came.
        chosen: Where it was sent.
    """

    observation = "physical"
    oracle = True

    def __init__(self, agent: Any, every: int) -> None:
        """Looks at every `every`th decision from the first one on."""
        self._agent, self._every = agent, every
        self.times: list[float] = []
        self.latencies: list[Floats] = []
        self.chosen: list[int] = []
        self._decisions = 0

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `agents.Agent.reset`."""
        self.env: Any = env.unwrapped
        self._agent.reset(env, seed)

    def act(self, observation: Any, info: Any) -> int:
        """See `agents.Agent.act`."""
        worker = int(self._agent.act(observation, info))
        if self._decisions % self._every == 0:
            self.times.append(info["time"])
            self.latencies.append(true_latencies(self.env.simulator))
            self.chosen.append(worker)
        self._decisions += 1
        return worker


def true_latencies(simulator: Any) -> Floats:
    """Seconds that the request that is due would take on each worker if none came after it: float64 (M,)."""
    config, clock = simulator.tables["config"], simulator.tables["clock"][0]
    request, now_ps, limit = int(clock["request"]), int(clock["now_ps"]), int(config["limit"][0])
    config["limit"] = clock["n_arrived"]  # copies share it
    try:
        found = []
        for worker in range(len(simulator.cluster)):
            copy = simulator.clone()
            copy.route(worker)
            copy.advance()  # to the end: nobody else arrives
            found.append((int(copy.tables["progress"]["finish_ps"][request]) - now_ps) * 1e-12)
    finally:
        config["limit"] = limit
    return np.array(found)


def accuracy(seed: int, *, agent: str, args: Mapping[str, Any], overrides: Mapping[str, Any]) -> Outcome:
    """How often a router on `straggler` sends a request to where it is done first, known from copies of the cluster.

    By the windows of `WINDOWS`: "right before", the share of decisions within `NEAR` of the lowest latency; "chance
    before", that of a worker drawn at random; "lost before", the mean of latency minus the lowest one (s). NaN where no
    decision was looked at.
    """
    examined = Examined(make_agent(agent, **args), EVERY)
    play(examined, "straggler", seed, overrides=overrides, split=SPLIT)
    times, latencies = np.array(examined.times), np.array(examined.latencies)
    lowest = latencies.min(axis=1)
    own = latencies[np.arange(len(latencies)), examined.chosen]
    found: Outcome = {}
    for window, (start, end) in WINDOWS.items():
        inside = (times >= start) & (times < end)
        for name, values in (
            ("right", own <= NEAR * lowest),
            ("chance", (latencies <= NEAR * lowest[:, None]).mean(axis=1)),
            ("lost", own - lowest),
        ):
            found[f"{name} {window}"] = float(np.mean(values[inside])) if inside.any() else float("nan")
    return found
