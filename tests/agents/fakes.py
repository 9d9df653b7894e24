"""A stand-in for the environment, and observations made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.cluster import ClusterSpec, IterationCost
from kvgym.envs.layout import Layout
from kvgym.sim.base.tables import CLOCK, INFINITE, PROGRESS, REQUEST, WORKER


class FakeEnv:
    """What an agent may ask of an environment, filled in by the test; with `slots` one in which leaves are evicted."""

    def __init__(
        self, n_workers: int = 3, page_size: int = 1, slots: int = 0, kv_pages: int = 1000, fetches: bool = False
    ) -> None:
        self.layout = Layout(n_workers, routes=not slots, evicts=bool(slots), n_candidates=slots, fetches=fetches)
        self.scenario = SimpleNamespace(
            engine=SimpleNamespace(page_size=page_size),
            cluster=ClusterSpec.uniform(n_workers, kv_pages, IterationCost(k=1.0, p=1.0)),
        )
        rows = {
            "progress": (0, PROGRESS),
            "requests": (0, REQUEST),
            "workers": (n_workers, WORKER),
            "clock": (1, CLOCK),
        }
        self.simulator = SimpleNamespace(tables={name: np.zeros(*shape) for name, shape in rows.items()})
        self.simulator.tables["workers"]["event_ps"] = INFINITE
        self.done: list[list[float]] = []
        self.pages: list[int] = []

    @property
    def unwrapped(self) -> FakeEnv:
        return self

    def finished(self) -> NDArray[np.float64]:
        done, self.done = self.done, []
        return np.array(done, np.float64).reshape(-1, 8)

    def prompt_pages(self) -> NDArray[np.int64]:
        return np.array(self.pages, np.int64)

    def observation(self, *, request: dict[str, float] | None = None, **workers: list[float]) -> NDArray[np.float32]:
        """Zeros but for the given request features, and for the worker features given as a list over workers."""
        observation = np.zeros(self.layout.size, np.float32)
        for name, value in (request or {}).items():
            observation[self.layout.request(name)] = value
        for name, values in workers.items():
            observation[self.layout.workers(name)] = values
        return observation

    def offer(self, worker: int, **candidates: list[float]) -> NDArray[np.float32]:
        """Zeros but for the worker that needs pages, and for the candidate features given as a list over slots."""
        observation = np.zeros(self.layout.size, np.float32)
        observation[self.layout.evict("asked_worker")] = worker
        for name, values in candidates.items():
            observation[self.layout.candidates(name)] = values
        return observation

    def info(self, time: float = 0.0, mask: list[int] | None = None) -> dict[str, Any]:
        mask = [1] * self.layout.n_workers if mask is None else mask
        return {"action_mask": np.array(mask, np.int8), "dt": 0.0, "time": time, "session": 0}


def started(agent: Any, env: FakeEnv, seed: int = 0) -> Any:
    agent.reset(env, seed)
    return agent


def done(decision: int, worker: int, arrival: float, finish: float, output: int = 1) -> list[float]:
    """A row of finished()."""
    return [decision, worker, arrival, finish, finish, 100, output, 0]
