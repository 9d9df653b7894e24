"""Plays one episode and writes down what came of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kvgym.envs.view import View, shown
from kvgym.evaluation.actions import reader
from kvgym.evaluation.stage import env_kwargs_of, environment_of, make_env
from kvgym.evaluation.statistics import Floats
from kvgym.scenarios import ScenarioLike

_PART = 1 << 16


class Agent(Protocol):
    """Methods that the evaluation needs of an agent; `kvgym.evaluation.stage` has what it may declare beside them.

    Attributes:
        observation: "physical" or "scaled", the form of the observations that it wants.
    """

    observation: str

    def reset(self, env: Any, seed: int) -> None:
        """Starts an episode; called after `env.reset()` with a view of it, or with all of it if it is an oracle."""

    def act(self, observation: Any, info: Any) -> Any:
        """Chooses an action of its environment."""


@dataclass(frozen=True)
class Episode:
    """One episode of one agent.

    Attributes:
        seed: Of the workload, of the evictor's and of the agent's random choices (three separate streams).
        J: Mean latency of the scenario's objective over the counted requests (s).
        metrics: See `kvgym.envs.metrics.episode_metrics`.
        n_actions: Decisions taken.
        n_invalid: Actions that the mask did not allow.
        decision_us: Mean time inside `act` (microseconds), measured where the agent runs.
        env_s: Time inside `reset` and `step` of the environment (s).
        actions_sha256: Of the actions, as comma-separated decimals; pairs in brackets.
        records_sha256: Of what became of each request.
        workload_sha256: Content hash of the workload.
        n_dropped: Requests of the source that fit on no worker.
        oracle: The agent was given the environment itself.
        salt: Of the seed that an agent in a process of its own was given, see `kvgym.evaluation.remote.agent_seed`;
            else "".
    """

    seed: int
    J: float
    metrics: dict[str, float]
    n_actions: int
    n_invalid: int
    decision_us: float
    env_s: float
    actions_sha256: str
    records_sha256: str
    workload_sha256: str
    n_dropped: int
    oracle: bool
    salt: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Recording:
    """An episode, and what is needed to play it again without the agent.

    Attributes:
        environment: What the agent declares.
        observation: Likewise.
        env_kwargs: Likewise.
        actions: What it did: int32 (n,), or (n, 2).
        episode: What it came to.
    """

    environment: str
    observation: str
    env_kwargs: Mapping[str, Any]
    actions: NDArray[np.int32]
    episode: Episode


def play(
    agent: Agent,
    scenario: ScenarioLike,
    seed: int,
    *,
    overrides: Mapping[str, Any] | None = None,
    evictor: str | None = None,
    router: str | None = None,
    split: str = "test",
    charges: bool = False,
) -> Episode:
    """Plays the episode that `seed` stands for, to its end, in the environment that the agent declares.

    The agent is given a `kvgym.envs.view.View`, or the environment itself if it declares `oracle = True`.

    Args:
        agent: Who decides.
        scenario: Name of a scenario, or what else `kvgym.get_scenario` takes.
        seed: An integer >= 0.
        overrides: Fields of the scenario to change.
        evictor: For an agent that routes: which pages go when memory is short; default: the scenario's own.
        router: For an agent that evicts: who routes, see KVGym/Evict-v0; default: the environment's.
        split: "train", "validation" or "test".
        charges: Each decision takes as long in the simulated cluster as it took here (docs/semantics.md#d1-time), where
            the agent routes. Results are then those of this machine.

    Raises:
        ValueError: If an argument is not allowed, or an action is none.
        RuleBroken: If the agent, being no oracle, asks for what is not shown.
    """
    options = {"overrides": overrides, "evictor": evictor, "router": router, "split": split}
    return record(agent, scenario, seed, charges=charges, **options).episode


def play_all(
    make: Callable[[], Agent], scenario: ScenarioLike, seeds: Iterable[int], **options: Any
) -> dict[str, Floats]:
    """The metrics of an episode per seed, each played by an agent of its own, as columns: float64 (n,).

    Args:
        make: Makes an agent.
        scenario: See `play`.
        seeds: Of the episodes.
        **options: Those of `play`.

    Raises:
        ValueError: If there is no seed, or as `play` does.
    """
    episodes = [play(make(), scenario, seed, **options).metrics for seed in seeds]
    if not episodes:
        raise ValueError(f"seeds must hold at least one seed, got {seeds!r}")
    return {name: np.array([metrics[name] for metrics in episodes]) for name in episodes[0]}


def record(agent: Agent, scenario: ScenarioLike, seed: int, *, charges: bool = False, **options: Any) -> Recording:
    """Plays an episode and keeps what it takes to play it again; arguments and errors as those of `play`."""
    env = make_env(agent, scenario, **options)
    if charges:
        _have_charged(env)
    view, read = shown(env, agent), reader(env.action_space)
    clock = time.perf_counter_ns
    began = clock()
    observation, info = env.reset(seed=seed)
    env_ns = clock() - began
    agent.reset(view, seed)
    actions: list[Any] = []
    deciding_ns = 0
    over = False
    while not over:
        began = clock()
        chosen = agent.act(observation, info)
        acted = clock()
        action = read(chosen)
        actions.append(action)
        took_ns = getattr(agent, "measured_ns", acted - began)
        if charges:
            env.simulator.charge(took_ns * 1e-9)
        decided = clock()
        observation, _, terminated, truncated, info = env.step(action)
        env_ns += clock() - decided
        deciding_ns += took_ns
        over = terminated or truncated
    episode = Episode(
        seed=seed,
        J=info["episode_metrics"]["J"],
        metrics=info["episode_metrics"],
        n_actions=len(actions),
        n_invalid=env.n_invalid,
        decision_us=deciding_ns / 1e3 / len(actions),
        env_s=env_ns / 1e9,
        actions_sha256=digest(actions),
        records_sha256=hashlib.sha256(env.simulator.records().tobytes()).hexdigest(),
        workload_sha256=env.workload.content_hash(),
        n_dropped=env.workload.n_dropped,
        oracle=not isinstance(view, View),
    )
    return Recording(
        environment=environment_of(agent),
        observation=agent.observation,
        env_kwargs=env_kwargs_of(agent),
        actions=np.array(actions, np.int32),
        episode=episode,
    )


def _have_charged(env: Any) -> None:
    """Has the simulator of an environment charge for decisions from its next reset on."""
    if not env.layout.routes:
        raise ValueError("decisions are charged of agents that route; this one evicts alone")
    if env.scenario.decision_s:
        raise ValueError(f"decisions of scenario {env.scenario.name!r} take {env.scenario.decision_s} s: not measured")
    env.simulator.settings = replace(env.simulator.settings, takes_time=True)


def digest(actions: list[Any]) -> str:
    """SHA-256 of the actions, as `Episode` has it, a part at a time: an episode of evictions has millions."""
    total = hashlib.sha256()
    for start in range(0, len(actions), _PART):
        text = ",".join(map(str, actions[start : start + _PART]))
        total.update((("," if start else "") + text).encode())
    return total.hexdigest()
