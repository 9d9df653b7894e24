"""Plays a plan over several processes; what is finished already is not played again.

Agents play in processes of theirs, with nothing of this one in them. What they did is played again, without them, in
this process or in others that never ran an agent (`kvgym.evaluation.replay`), and what counts is what comes of it
there. Agents that came with a file of their own share no process with others, and can't change what those play.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from kvgym.envs.view import RuleBroken
from kvgym.evaluation import Episode, guard
from kvgym.evaluation.episode import Recording, record
from kvgym.evaluation.replay import replay
from kvgym.evaluation.runs import Identity, Store
from kvgym.evaluation.standings import Failure

from .. import make_agent
from .entries import Entry
from .plan import Case, Plan, identity, play_where
from .processes import Pool, pool
from .progress import progress

_SEEDS_PER_TASK = 4
_PLAYERS_PER_REPLAY = 3
"""Without the agent an episode takes a fraction of the time: beside fewer players than that this process has time."""
_DIED = Failure("the process that played it died")


@dataclass(frozen=True)
class Task:
    """Some seeds of one entry on one case.

    Attributes:
        identity: What the results are kept under.
        entry: Who plays.
        case: What is played.
        seeds: Which episodes.
        split: Of which workloads.
    """

    identity: Identity
    entry: Entry
    case: Case
    seeds: tuple[int, ...]
    split: str

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `record` and `replay`, beside the seed."""
        where = play_where(self.entry, self.identity.evictor)
        return {"scenario": self.case.source, "overrides": self.case.overrides, "split": self.split, **where}


@dataclass(frozen=True)
class Played:
    """Recordings of an agent in a task, up to the first episode that failed, and why that one did."""

    recordings: list[Recording]
    failure: Failure | None = None


@dataclass(frozen=True)
class Outcome:
    """Results of a task: its episodes, up to the first that failed, and why that one did."""

    episodes: list[Episode]
    failure: Failure | None = None


def run(plan: Plan, store: Store, workers: int) -> dict[str, Failure]:
    """Plays what the store does not hold yet, and adds it to the store as it comes.

    Args:
        plan: What to play.
        store: Finished episodes.
        workers: Processes that agents play in; 1 plays agents of the suite in this one.

    Returns:
        What went wrong, by key of the identity.
    """
    tasks = open_tasks(plan, store)
    errors: dict[str, Failure] = {}
    with (
        progress(sum(len(task.seeds) for task in tasks), "episode") as advance,
        closing(_outcomes(tasks, workers)) as outcomes,
    ):
        for task, outcome in outcomes:
            if outcome.episodes:
                store.add(task.identity, outcome.episodes)
            if outcome.failure:
                errors.setdefault(task.identity.key, outcome.failure)
            advance(len(task.seeds))
    return errors


def open_tasks(plan: Plan, store: Store) -> list[Task]:
    """Tasks left to play. Entries that are the same on a case (its own evictor, named again) are played once."""
    tasks: dict[tuple[str, tuple[int, ...]], Task] = {}
    for case in plan.cases:
        for entry in plan.entries:
            who = identity(entry, case, plan.split)
            done = store.episodes(who)
            seeds = [seed for seed in plan.seeds if seed not in done]
            for start in range(0, len(seeds), _SEEDS_PER_TASK):
                part = tuple(seeds[start : start + _SEEDS_PER_TASK])
                tasks.setdefault((who.key, part), Task(who, entry, case, part, plan.split))
    return list(tasks.values())


def play_task(task: Task) -> Played:
    """Plays a task. Each episode has an agent of its own, so that no episode depends on those before it."""
    recordings: list[Recording] = []
    watched = task.entry.guests and not task.entry.facts.oracle
    with guard.watch() if watched else nullcontext():
        for seed in task.seeds:
            try:
                agent = make_agent(task.entry.agent, **task.entry.kwargs)
                recordings.append(record(agent, seed=seed, **task.options))
            except Exception as error:  # an agent may raise anything: its row says so, the others go on
                return Played(recordings, _failure(seed, error))
    return Played(recordings)


def check(task: Task, played: Played) -> Outcome:
    """Plays again what an agent did; what the agent's process says of itself is not relied on."""
    episodes: list[Episode] = []
    for seed, recording in zip(task.seeds, played.recordings, strict=False):
        try:
            again = replace(recording, environment=task.entry.environment)
            episodes.append(replay(again, seed=seed, **task.options))
        except RuleBroken as error:
            return Outcome(episodes, Failure(f"seed {seed}: {error}", broke_rule=True))
        except Exception as error:  # a process that runs somebody's code may hand in anything
            reason = f"seed {seed}: what was recorded can't be checked: {type(error).__name__}: {error}"
            return Outcome(episodes, Failure(reason, broke_rule=True))
    return Outcome(episodes, played.failure)


def _failure(seed: int, error: Exception) -> Failure:
    last = traceback.extract_tb(error.__traceback__)[-1]
    own = isinstance(error, RuleBroken)
    name = "" if own else f"{type(error).__name__}: "
    place = "" if own else f" ({os.path.basename(last.filename)}:{last.lineno})"
    return Failure(f"seed {seed}: {name}{error}{place}", broke_rule=own)


def _outcomes(tasks: list[Task], workers: int) -> Generator[tuple[Task, Outcome]]:
    groups: dict[tuple[str, ...], list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.entry.guests, []).append(task)
    n_replays = workers // _PLAYERS_PER_REPLAY
    with ExitStack() as stack:
        replays = stack.enter_context(pool(n_replays)) if n_replays else None
        for guests, group in groups.items():
            if workers == 1 and not guests:
                for task in group:
                    yield task, check(task, play_task(task))
            else:
                yield from _of_group(group, workers, replays)


def _of_group(tasks: list[Task], workers: int, replays: Pool | None) -> Iterator[tuple[Task, Outcome]]:
    """Outcomes of tasks whose agents may share a process."""
    left = dict(enumerate(tasks))
    try:
        for number, outcome in _in_processes(left, min(workers, len(tasks)), replays):
            yield left.pop(number), outcome
    except BrokenProcessPool:
        # Somebody's agent took its process down, and all that others had begun: the rest is played one at a time, so
        # that it is known who it is.
        for task in left.values():
            try:
                ((_, outcome),) = _in_processes({0: task}, 1, replays)
            except BrokenProcessPool:
                outcome = Outcome([], _DIED)
            yield task, outcome


def _in_processes(tasks: dict[int, Task], workers: int, replays: Pool | None) -> Iterator[tuple[int, Outcome]]:
    """Outcomes as they come. An interrupt drops the tasks that have not ended.

    Raises:
        BrokenProcessPool: If a process died.
    """
    with pool(workers) as players:
        playing: dict[Future[Played], int] = {players.submit(play_task, task): n for n, task in tasks.items()}
        checking: dict[Future[Outcome], int] = {}
        while playing or checking:
            waiting: list[Future[Any]] = [*playing, *checking]
            done = wait(waiting, return_when=FIRST_COMPLETED)[0]
            for played in done & playing.keys():
                number = playing.pop(played)
                if replays is None:
                    yield number, check(tasks[number], played.result())
                else:
                    checking[replays.submit(check, tasks[number], played.result())] = number
            for checked in done & checking.keys():
                number = checking.pop(checked)
                try:
                    outcome = checked.result()
                except BrokenProcessPool:  # not a player's: nobody's agent was there
                    raise RuntimeError("a process that plays episodes again died: is memory short?") from None
                yield number, outcome
