"""Plays one episode and writes down what came of it."""

from __future__ import annotations

import hashlib
import operator
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from gymnasium import spaces

from kvgym.evaluation.stage import make_env
from kvgym.scenarios import ScenarioLike
from kvgym.sim import Simulator

_PART = 1 << 16


class Agent(Protocol):
    """What the evaluation needs of an agent; see `kvgym.evaluation.stage` for what it may declare beside that.

    Attributes:
        observation: "physical" or "scaled", the form of the observations that it wants.
    """

    observation: str

    def reset(self, env: Any, seed: int) -> None:
        """Starts an episode; called after `env.reset()`."""

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
        decision_us: Mean time inside `act` (microseconds).
        env_s: Time inside `reset` and `step` of the environment (s).
        actions_sha256: Of the actions, as comma-separated decimals; pairs in brackets.
        workload_sha256: Content hash of the workload.
        n_dropped: Requests of the source that fit on no worker.
        cloned: The agent called `clone()`, which knows the future.
    """

    seed: int
    J: float
    metrics: dict[str, float]
    n_actions: int
    n_invalid: int
    decision_us: float
    env_s: float
    actions_sha256: str
    workload_sha256: str
    n_dropped: int
    cloned: bool

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


def play(
    agent: Agent,
    scenario: ScenarioLike,
    seed: int,
    *,
    overrides: Mapping[str, Any] | None = None,
    evictor: str | None = None,
    router: str | None = None,
    split: str = "test",
) -> Episode:
    """Plays the episode that `seed` stands for, to its end, in the environment that the agent declares.

    Args:
        agent: Who decides.
        scenario: Name of a scenario, or what else `kvgym.get_scenario` takes.
        seed: An integer >= 0.
        overrides: Fields of the scenario to change.
        evictor: For an agent that routes: which pages go when memory is short; default: the scenario's own.
        router: For an agent that evicts: who routes, see KVGym/Evict-v0; default: the environment's.
        split: "train", "validation" or "test".

    Raises:
        ValueError: If an argument is not allowed, or an action is none.
    """
    env = make_env(agent, scenario, overrides=overrides, evictor=evictor, router=router, split=split)
    read = _pair if isinstance(env.action_space, spaces.MultiDiscrete) else _index
    clones = _watch_clones(env.simulator)
    clock = time.perf_counter_ns
    began = clock()
    observation, info = env.reset(seed=seed)
    env_ns = clock() - began
    agent.reset(env, seed)
    actions: list[Any] = []
    invalid = deciding_ns = 0
    over = False
    while not over:
        began = clock()
        chosen = agent.act(observation, info)
        acted = clock()
        action, place = read(chosen)
        if 0 <= place < len(info["action_mask"]) and not info["action_mask"][place]:
            invalid += 1
        actions.append(action)
        decided = clock()
        observation, _, terminated, truncated, info = env.step(action)
        env_ns += clock() - decided
        deciding_ns += acted - began
        over = terminated or truncated
    metrics = info["episode_metrics"]
    return Episode(
        seed=seed,
        J=metrics["J"],
        metrics=metrics,
        n_actions=len(actions),
        n_invalid=invalid,
        decision_us=deciding_ns / 1e3 / len(actions),
        env_s=env_ns / 1e9,
        actions_sha256=_digest(actions),
        workload_sha256=env.workload.content_hash(),
        n_dropped=env.workload.n_dropped,
        cloned=bool(clones),
    )


def _digest(actions: list[Any]) -> str:
    """SHA-256 of the actions, a part at a time: an episode of evictions has millions."""
    digest = hashlib.sha256()
    for start in range(0, len(actions), _PART):
        text = ",".join(map(str, actions[start : start + _PART]))
        digest.update((("," if start else "") + text).encode())
    return digest.hexdigest()


def _index(action: Any) -> tuple[int, int]:
    """The action as an int, and its place in the mask."""
    try:
        index = operator.index(action)
    except TypeError:
        raise ValueError(f"act() must return the index of an action, got {action!r}") from None
    return index, index


def _pair(action: Any) -> tuple[tuple[int, int], int]:
    """A worker and the number of a rule, as plain numbers; only the worker's part of the mask is ever closed."""
    try:
        worker, rule = map(operator.index, action)
    except (TypeError, ValueError):
        raise ValueError(f"act() must return a worker and the number of a rule, got {action!r}") from None
    return (worker, rule), worker


def _watch_clones(simulator: Simulator) -> list[None]:
    """A list that grows with every clone of `simulator` that knows the future; clones themselves are left alone."""
    clones: list[None] = []

    def clone(**options: Any) -> Simulator:
        if options.get("resample_future") is None:
            clones.append(None)
        copy = Simulator.clone(simulator, **options)
        del copy.__dict__["clone"]
        return copy

    simulator.__dict__["clone"] = clone
    return clones
