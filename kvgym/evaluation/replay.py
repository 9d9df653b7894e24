"""Plays what an agent did a second time, without the agent, and compares.

What counts comes from here. A process that has never run an agent's code has whole tables and its own functions, so an
agent gains nothing by changing either in its process: the same actions then lead elsewhere, and that is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from kvgym.envs.adapter import ROUTE_ID
from kvgym.envs.view import RuleBroken
from kvgym.evaluation.episode import Episode, Recording, course, digest
from kvgym.evaluation.stage import make_env
from kvgym.scenarios import ScenarioLike


def replay(recording: Recording, scenario: ScenarioLike, seed: int, **options: Any) -> Episode:
    """Plays a recording's actions on a fresh environment; returns its episode with all that this one gives.

    Only what is measured in seconds, and whether the agent was given the environment itself, is the recording's.

    Args:
        recording: What an agent did. What it declares is checked again.
        scenario: As `kvgym.evaluation.play` was given it, likewise the rest.
        seed: Of the episode.
        **options: Overrides, evictor, router and split.

    Raises:
        RuleBroken: If the actions don't lead to what the recording says; the message has the difference.
    """
    if ":" in (options.get("router") or ""):
        options["router"] = f"{__name__}:"
        _Again.answers = iter(recording.answers.tolist())
    actions = recording.actions.tolist()
    try:
        records_sha256, found = _play_again(make_env(recording, scenario, **options), actions, seed)
    except (StopIteration, ValueError, RuntimeError, TypeError) as error:
        raise RuleBroken(f"the same actions can't be played again: {error!r}") from error
    numbered = list(map(tuple, actions)) if recording.actions.ndim == 2 else actions
    changes = {"seed": seed, "n_actions": len(actions), "actions_sha256": digest(numbered), **found}
    again = replace(recording.episode, **changes)
    _compare(recording.episode, again, recording.records_sha256 == records_sha256)
    return again


def _play_again(env: Any, actions: list[Any], seed: int) -> tuple[str, dict[str, Any]]:
    step = env.step
    env.reset(seed=seed)
    over = False
    for action in actions:
        if over:
            raise RuntimeError("the episode is over before its last action")
        _, _, terminated, truncated, info = step(action)
        over = terminated or truncated
    if not over:
        raise RuntimeError("the episode is not over after its last action")
    return course(env, info["episode_metrics"])


def _compare(shown: Episode, found: Episode, same_records: bool) -> None:
    """Raises where a recording is not what its actions lead to."""
    if shown.workload_sha256 != found.workload_sha256:
        raise RuleBroken("the workload that was played is not the one that the seed stands for")
    same = shown.metrics.keys() == found.metrics.keys() and np.array_equal(
        [shown.metrics[name] for name in found.metrics], list(found.metrics.values()), equal_nan=True
    )
    if not same or not same_records:
        where = "metrics" if same_records else "records of its requests"
        raise RuleBroken(
            f"J was {shown.metrics.get('J', np.nan):.6g} s, and the same actions played again give "
            f"{found.J:.6g} s and other {where}: what the agent played was changed, or how it was measured"
        )


class _Again:
    """Stands in for the routing agent, and answers as that one did."""

    environment = ROUTE_ID
    observation = "physical"
    answers: Iterator[int] = iter(())

    def reset(self, env: Any, seed: int) -> None:
        """Nothing is left to decide."""

    def act(self, observation: Any, info: Any) -> int:
        """The next answer."""
        return next(_Again.answers)


def make_agent(name: str) -> _Again:
    """How an environment finds it."""
    return _Again()
