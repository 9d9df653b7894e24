"""An episode recorded for looking at: decisions, requests, iterations, transfers, memory, and what else was possible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.envs.layout import Layout
from kvgym.envs.view import shown
from kvgym.evaluation.stage import stage_of
from kvgym.scenarios import Scenario, ScenarioLike, get_scenario
from kvgym.sim import Simulator, state
from kvgym.sim.base.codes import ROUTERS

LOG_ROOM = 1 << 18
"""Rows of the log of iterations that are free before each step; environments can't stop for more."""
WORKER_ROWS = ("locked", "cached", "running", "queued", "up")


@dataclass(frozen=True)
class Film:
    """A recorded episode; times are seconds since its start.

    Attributes:
        agent: Name of the agent.
        scenario: The scenario.
        seed: Seed of the episode.
        split: Split of its workload.
        environment: Id of the environment.
        layout: Where features stand in an observation.
        form: "physical" or "scaled", the form of the observations.
        metrics: See `kvgym.envs.metrics.episode_metrics`.
        first: Number of the first request after the warm-up.
        requests: Columns of the requests: `Simulator.records`, and session, group (number of the first node of the
            prompt's path: prompts of one group begin alike), tenant.
        iterations: Columns of bursts of equal iterations: worker, start, end, count, prefill_tokens, decodes, queued,
            preempted.
        transfers: Columns of transfers: request, source, target, start, end.
        faults: Of the episode: worker, kind, start, end.
        times: When decisions were due: (n,).
        deciding: The request that each is about: (n,).
        asking: The worker that each EVICT decision is about, -1: a ROUTE decision: (n,).
        actions: What the agent did: (n,) or (n, 2).
        observations: What it saw: float32 (n, size).
        scores: How it rated the actions, NaN where it did not: float32 (n, actions); None: it says nothing.
        costs: Mean latency (s) if another action had been taken, see `costs_of`; NaN: not computed: float32
            (n, workers).
        workers: `WORKER_ROWS` of each worker when a decision was due: int32 (n, workers, rows); pages and requests.
        kv_pages: KV memory of each worker, in pages: (workers,).
    """

    agent: str
    scenario: Scenario
    seed: int
    split: str
    environment: str
    layout: Layout
    form: str
    metrics: Mapping[str, float]
    first: int
    requests: Mapping[str, NDArray[Any]]
    iterations: Mapping[str, NDArray[Any]]
    transfers: Mapping[str, NDArray[Any]]
    faults: Mapping[str, NDArray[Any]]
    times: NDArray[np.float64]
    deciding: NDArray[np.int32]
    asking: NDArray[np.int32]
    actions: NDArray[np.int32]
    observations: NDArray[np.float32]
    scores: NDArray[np.float32] | None
    costs: NDArray[np.float32]
    workers: NDArray[np.int32]
    kv_pages: NDArray[np.int64]


def film(
    agent: Any,
    name: str,
    scenario: ScenarioLike,
    seed: int,
    *,
    overrides: Mapping[str, Any] | None = None,
    evictor: str | None = None,
    split: str = "train",
    look_ahead: int = 0,
    progress: Any = iter,
) -> Film:
    """Plays an episode and records it.

    Args:
        agent: Who decides; it sees what `kvgym.evaluation.play` would show it.
        name: Its name.
        scenario: Name of a scenario, or what else `kvgym.get_scenario` takes.
        seed: An integer >= 0.
        overrides: Fields of the scenario to change.
        evictor: For an agent that routes: which pages go; default: the scenario's own.
        split: "train", "validation" or "test".
        look_ahead: Arrivals over which each other worker is tried, see `costs_of`; 0: nothing is tried.
        progress: Wraps an iterable of the decisions, as tqdm does.

    Raises:
        ValueError: If an argument is not allowed, or an action is none.
    """
    stage = stage_of(agent, scenario, overrides=overrides, evictor=evictor, split=split)
    env = stage.make()
    env.simulator = logging(env.simulator)
    observation, info = env.reset(seed=seed)
    agent.reset(shown(env, agent), seed)
    tries = look_ahead if stage.environment == "KVGym/Route-v0" else 0
    taken = _Taken(env, tries)
    for _ in progress(_endless()):
        action = agent.act(observation, info)
        taken.decision(observation, action, getattr(agent, "scores", None))
        observation, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            break
    return taken.film(agent, name, seed, split, stage.environment, info["episode_metrics"])


def logging(simulator: Simulator) -> Simulator:
    """The simulator, before its first `reset`, with a log of its iterations."""
    other = simulator.blank()
    settings = {name: getattr(simulator.settings, name) for name in simulator.settings.__dataclass_fields__}
    other.settings = state.Settings(**{**settings, "log_iterations": True})
    return other


def _endless() -> Iterable[int]:
    number = 0
    while True:
        yield number
        number += 1


def costs_of(simulator: Simulator, look_ahead: int) -> list[float]:
    """Mean latency of the requests in the system and of the next arrivals, had each worker been chosen now.

    For every worker that is up: a copy of the cluster sends the request there, then the simulator's rule
    "least_loaded" routes `look_ahead` further arrivals, and what is there is worked off. It knows the future: this is
    for people who look at a decision, not for agents.

    Args:
        simulator: One whose ROUTE decision is due; it is not changed.
        look_ahead: How many further arrivals.

    Returns:
        Seconds per worker, NaN for one that is down.
    """
    up = simulator.up()
    counted = int(simulator.tables["clock"]["n_arrived"][0])
    costs = []
    for worker in range(len(up)):
        if not up[worker]:
            costs.append(float("nan"))
            continue
        copy = simulator.clone()
        config = copy.tables["config"]
        config["router"] = ROUTERS.index("least_loaded")
        config["limit"] = np.minimum(config["limit"], counted + look_ahead)
        config["truncate"] = 0
        copy.route(worker)
        copy.advance()
        records = copy.records()
        late = records["finish"] > simulator.now
        costs.append(float(np.mean(records["finish"][late] - records["arrival"][late])))
    return costs


class _Taken:
    """What is kept of an episode while it is played."""

    def __init__(self, env: Any, look_ahead: int) -> None:
        self.env, self.look_ahead = env, look_ahead
        self.rows: list[tuple[float, int, int]] = []
        self.actions: list[Any] = []
        self.observations: list[NDArray[np.float32]] = []
        self.scores: list[Any] = []
        self.costs: list[list[float]] = []
        self.workers: list[NDArray[np.int32]] = []
        self.transfers: dict[tuple[int, int], tuple[int, int, int, int, int]] = {}

    def decision(self, observation: NDArray[np.float32], action: Any, scores: Any) -> None:
        """The decision that is due, and what the agent does."""
        simulator = self.env.simulator
        self._make_room(simulator)
        tables = simulator.tables
        clock, rows = tables["clock"][0], tables["workers"]
        asking = int(clock["asking"])
        request = int(rows["asker"][asking]) if asking >= 0 else int(clock["request"])
        self.rows.append((simulator.now, request, asking))
        self.actions.append(action)
        self.observations.append(np.array(observation, np.float32))
        self.scores.append(scores)
        locked = rows["kv_pages"] - rows["free"] - rows["evictable"]
        columns = (locked, rows["evictable"], rows["n_running"], rows["n_queued"] + rows["n_fetching"], rows["up"])
        self.workers.append(np.stack(columns, axis=1).astype(np.int32))
        nothing = [float("nan")] * len(rows)
        self.costs.append(costs_of(simulator, self.look_ahead) if self.look_ahead and asking < 0 else nothing)

    def _make_room(self, simulator: Simulator) -> None:
        """Makes the log of iterations large enough for a step."""
        tables = simulator.tables
        if int(tables["clock"]["n_log"][0]) + LOG_ROOM > len(tables["iterations"]):
            while int(tables["clock"]["n_log"][0]) + LOG_ROOM > len(tables["iterations"]):
                state.grow_logs(tables)
            simulator._open()
            self.env._address = simulator.address

    def film(self, agent: Any, name: str, seed: int, split: str, environment: str, metrics: Any) -> Film:
        """The episode, now that it is over."""
        simulator = self.env.simulator
        times, deciding, asking = zip(*self.rows, strict=True)
        scores = None
        if all(one is not None for one in self.scores):
            scores = np.array(self.scores, np.float32)
        return Film(
            agent=name,
            scenario=get_scenario(self.env.scenario),
            seed=seed,
            split=split,
            environment=environment,
            layout=self.env.layout,
            form=agent.observation,
            metrics=metrics,
            first=self.env.scenario.warmup_requests,
            requests=requests_of(simulator),
            iterations=bursts_of(simulator),
            transfers=transfers_of(simulator),
            faults=faults_of(simulator),
            times=np.array(times),
            deciding=np.array(deciding, np.int32),
            asking=np.array(asking, np.int32),
            actions=np.array(self.actions, np.int32),
            observations=np.array(self.observations),
            scores=scores,
            costs=np.array(self.costs, np.float32),
            workers=np.array(self.workers),
            kv_pages=simulator.tables["workers"]["kv_pages"].copy(),
        )
