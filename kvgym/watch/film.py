"""An episode recorded for looking at: decisions, requests, iterations, transfers, memory, other choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.cluster import Fault
from kvgym.envs.layout import Layout
from kvgym.envs.route import RouteEnv
from kvgym.envs.scene import prefix_groups
from kvgym.envs.view import shown
from kvgym.evaluation.stage import environment_of, make_env
from kvgym.scenarios import Scenario, ScenarioLike
from kvgym.sim import Simulator, state
from kvgym.sim.base.codes import ROUTERS
from kvgym.sim.inspection import seconds

LOG_ROOM = 1 << 18
"""Rows of the log of iterations that are free before each step; environments can't stop for more."""
MOST_DECISIONS = 50_000
"""A film with more would be no page for a browser."""
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
        rules: Names of the evictors that actions are numbers of, where they are.
        refuses: Whether the action after the workers refuses the request.
        metrics: See `kvgym.envs.metrics.episode_metrics`.
        end: When the last request finished.
        first: Row of the first request after the warm-up.
        requests: Columns of the requests that arrived, in that order: those of `Simulator.records`, and refused (s,
            NaN: was not), session, tenant, and group (prompts of one group begin alike; -1: of none).
        iterations: Columns of bursts of equal iterations: worker, start, end, count, prefill_tokens, decodes, queued,
            preempted.
        transfers: Request, source, target, start, end of each transfer, as planned when the request was routed.
        faults: Crashes and slow-downs of the episode.
        times: When decisions were due: (n,).
        deciding: The request that each is about: (n,).
        asking: The worker that each EVICT decision is about, -1: a ROUTE decision: (n,).
        actions: Actions of the agent: (n,) or (n, 2).
        observations: Observations of the agent: float32 (n, size).
        scores: How it rated the actions (higher: preferred), NaN where it did not: float32 (n, actions); None: it does
            not say.
        look_ahead: Arrivals over which the costs were found.
        costs: Mean latency (s) had another worker been chosen, see `costs_of`: float32 (n, workers); None: not found.
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
    rules: tuple[str, ...]
    refuses: bool
    metrics: Mapping[str, float]
    end: float
    first: int
    requests: Mapping[str, NDArray[Any]]
    iterations: Mapping[str, NDArray[Any]]
    transfers: Sequence[tuple[int, int, int, float, float]]
    faults: Sequence[Fault]
    times: NDArray[np.float64]
    deciding: NDArray[np.int32]
    asking: NDArray[np.int32]
    actions: NDArray[np.int32]
    observations: NDArray[np.float32]
    scores: NDArray[np.float32] | None
    look_ahead: int
    costs: NDArray[np.float32] | None
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
    told: Callable[[], Any] = int,
) -> Film:
    """Plays an episode and records it; recording changes nothing in it.

    Args:
        agent: Who decides; it sees what `kvgym.evaluation.play` would show it. After `act` it may have `scores`, a
            number per action, higher for those that it prefers.
        name: Its name.
        scenario: Name of a scenario, or what else `kvgym.get_scenario` takes.
        seed: An integer >= 0.
        overrides: Fields of the scenario to change.
        evictor: For an agent that routes: which pages go; default: the scenario's own.
        split: "train", "validation" or "test".
        look_ahead: In KVGym/Route-v0, arrivals over which each worker is tried, see `costs_of`; 0: none is tried.
        told: Called after each decision.

    Raises:
        ValueError: If an argument is not allowed, an action is none, or the episode has too many decisions.
    """
    env = make_env(agent, scenario, overrides=overrides, evictor=evictor, split=split)
    env.simulator.settings = replace(env.simulator.settings, log_iterations=True, first_log_rows=LOG_ROOM)
    observation, info = env.reset(seed=seed)
    agent.reset(shown(env, agent), seed)
    taken = _Taken(env, look_ahead if isinstance(env, RouteEnv) else 0)
    over = False
    while not over:
        if len(taken.rows) == MOST_DECISIONS:
            raise ValueError(
                f"a film must have at most {MOST_DECISIONS:,} decisions, this one has more: fewer requests"
            )
        action = agent.act(observation, info)
        taken.decision(observation, action, getattr(agent, "scores", None), info["action_mask"])
        observation, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        told()
    shot = taken.film(agent, name, seed, info["episode_metrics"])
    return replace(shot, transfers=_transfers(env, shot))


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
    up, now = simulator.up(), simulator.now
    limit = int(simulator.tables["clock"]["n_arrived"][0]) + look_ahead
    costs = []
    for worker in range(len(up)):
        if not up[worker]:
            costs.append(float("nan"))
            continue
        copy = _copy(simulator)
        config = copy.tables["config"]
        config["router"] = ROUTERS.index("least_loaded")
        config["limit"] = np.minimum(config["limit"], limit)
        config["truncate"] = 0
        copy.route(worker)
        copy.advance()
        records = copy.records()
        late = records["finish"] > now
        costs.append(float(np.mean(records["finish"][late] - records["arrival"][late])))
    return costs


def _copy(simulator: Simulator) -> Simulator:
    """A clone without the log, whose configuration is its own."""
    copy = simulator.blank()
    copy.workload = simulator.workload
    tables = {**simulator.tables, "iterations": simulator.tables["iterations"][:1]}
    copy.tables = state.copy_tables(tables) | {"config": tables["config"].copy()}
    copy.tables["config"]["log_iterations"] = 0
    copy._open()
    return copy


def _transfers(env: Any, shot: Film) -> list[tuple[int, int, int, float, float]]:
    """Transfers of the requests that a film saw fetched: the episode is played again, for tables keep no past ones."""
    fetched = set(shot.requests["request"][shot.requests["fetched_tokens"] > 0].tolist())
    if not fetched or not isinstance(env, RouteEnv):
        return []
    env.reset(seed=shot.seed)
    found = []
    for request, action in zip(shot.deciding.tolist(), shot.actions.tolist(), strict=True):
        refused = action == len(shot.kv_pages)
        if request in fetched and not refused and (planned := _planned_transfer(env.simulator, action, request)):
            found.append(planned)
        env.step(action)
    return found


def _planned_transfer(simulator: Simulator, worker: int, request: int) -> tuple[int, int, int, float, float] | None:
    """Request, source, target, start and end (s) of the transfer that sending a request to a worker makes, if any."""
    if not simulator.up()[worker]:
        return None
    copy = _copy(simulator)
    copy.route(worker)
    for row in copy.tables["transfers"][: int(copy.tables["clock"]["n_transfers"][0])]:
        if row["request"] == request:
            return request, int(row["source"]), worker, int(row["start_ps"]) * 1e-12, int(row["end_ps"]) * 1e-12
    return None


def _requests(simulator: Simulator) -> dict[str, NDArray[Any]]:
    """Columns of the requests in the order of their arrival, see `Film.requests`."""
    records, workload = simulator.records(), simulator.workload
    records = records[np.argsort(records["arrival"], kind="stable")]
    assert workload is not None
    columns = {name: records[name] for name in records.dtype.names or ()}
    columns["refused"] = seconds(simulator.tables["progress"]["refused_ps"][records["request"]])
    rows = simulator.tables["requests"][records["request"]]
    groups = prefix_groups(workload)
    of = np.full(len(rows), -1, np.int64)
    for i, row in enumerate(rows):
        path = groups[simulator.tables["paths"][row["path_start"] : row["path_start"] + row["path_nodes"]]]
        known = path[path >= 0]
        of[i] = known[0] if len(known) else -1
    return columns | {"session": rows["session"], "tenant": rows["tenant"], "group": of}


def _iterations(simulator: Simulator) -> dict[str, NDArray[Any]]:
    """Columns of bursts of iterations in order of start, see `Film.iterations`."""
    log = simulator.tables["iterations"][: int(simulator.tables["clock"]["n_log"][0])]
    log = log[log["burst"] > 0]  # a crash may end one before its first iteration does
    log = log[np.argsort(log["start_ps"], kind="stable")]
    count = log["burst"].astype(np.int64)
    length = count * log["first_ps"] + log["slope_ps"] * (count * (count - 1) // 2)
    columns = {name: log[name] for name in ("worker", "prefill_tokens", "decodes", "queued", "preempted")}
    start = log["start_ps"] * 1e-12
    return columns | {"count": count, "start": start, "end": (log["start_ps"] + length) * 1e-12}


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

    def decision(self, observation: NDArray[np.float32], action: Any, scores: Any, mask: NDArray[np.int8]) -> None:
        """The decision that is due, and what the agent does."""
        simulator = self.env.simulator
        self._make_room(simulator)
        clock, rows = simulator.tables["clock"][0], simulator.tables["workers"]
        asking = int(clock["asking"])
        request = int(rows["asker"][asking]) if asking >= 0 else int(clock["request"])
        self.rows.append((simulator.now, request, asking))
        self.actions.append(action)
        self.observations.append(np.array(observation, np.float32))
        if scores is not None and len(scores) != len(mask):
            raise ValueError(f"scores of the agent must be a number for each of {len(mask)} actions, got {scores!r}")
        self.scores.append(None if scores is None else np.where(mask == 1, np.array(scores, np.float32), np.nan))
        locked = rows["kv_pages"] - rows["free"] - rows["evictable"]
        columns = (locked, rows["evictable"], rows["n_running"], rows["n_queued"] + rows["n_fetching"], rows["up"])
        self.workers.append(np.stack(columns, axis=1).astype(np.int32))
        routes = asking < 0 and isinstance(self.env, RouteEnv)
        self.costs.append(costs_of(simulator, self.look_ahead) if routes and self.look_ahead else [])

    def _make_room(self, simulator: Simulator) -> None:
        """Makes the log of iterations large enough for a step."""
        tables = simulator.tables
        wanted = int(tables["clock"]["n_log"][0]) + LOG_ROOM
        if wanted > len(tables["iterations"]):
            while wanted > len(tables["iterations"]):
                state.grow_logs(tables)
            simulator._open()
            self.env._address = simulator.address

    def film(self, agent: Any, name: str, seed: int, metrics: Mapping[str, float]) -> Film:
        """The episode, now that it is over."""
        env, simulator = self.env, self.env.simulator
        times, deciding, asking = zip(*self.rows, strict=True)
        faults = env.scenario.fault_schedule(env.scenario.seeds(seed, env.split, 0)[0])
        return Film(
            agent=name,
            scenario=env.scenario,
            seed=seed,
            split=env.split,
            environment=environment_of(agent),
            layout=env.layout,
            form=agent.observation,
            rules=tuple(getattr(env, "rules", ())),
            refuses=getattr(env.settings, "admission", False),
            metrics=metrics,
            end=simulator.now,
            first=env.scenario.warmup_requests,
            requests=_requests(simulator),
            iterations=_iterations(simulator),
            transfers=(),
            faults=faults,
            times=np.array(times),
            deciding=np.array(deciding, np.int32),
            asking=np.array(asking, np.int32),
            actions=np.array(self.actions, np.int32),
            observations=np.array(self.observations),
            scores=None if any(one is None for one in self.scores) else np.array(self.scores),
            look_ahead=self.look_ahead,
            costs=np.array(self.costs, np.float32) if self.look_ahead and all(self.costs) else None,
            workers=np.array(self.workers),
            kv_pages=simulator.tables["workers"]["kv_pages"].copy(),
        )
