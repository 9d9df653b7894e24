"""Plays a plan over several processes; what is finished already is not played again.

What counts comes from `kvgym.evaluation.replay`, in a process that never ran an agent's file; docs/leaderboard.md says
who shares a process with whom.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

from tqdm import tqdm

from kvgym._progress import progress as lines
from kvgym.envs.view import RuleBroken
from kvgym.evaluation import Episode, guard
from kvgym.evaluation.episode import Recording, record
from kvgym.evaluation.replay import replay
from kvgym.evaluation.runs import Store
from kvgym.evaluation.standings import Failure

from .. import make_agent
from .plan import Plan, Task, by_guests
from .processes import Pool, pool

T = TypeVar("T")

EVERY_S = 10.0
"""Seconds between two lines of progress where standard error is no terminal."""
_SEEDS_PER_TASK = 4
_PLAYERS_PER_REPLAY = 3
"""Without the agent an episode takes a fraction of the time: beside fewer players than that this process has time."""
_DIED = Failure("the process that played it died")


class Played(NamedTuple, Generic[T]):
    """What came of a task: recordings or episodes up to the first seed that failed, and why that one did."""

    done: list[T]
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
            if outcome.done:
                store.add(task.identity, outcome.done)
            if outcome.failure:
                errors.setdefault(task.identity.key, outcome.failure)
            advance(len(task.seeds))
    return errors


def open_tasks(plan: Plan, store: Store) -> list[Task]:
    """Tasks left to play. Entries that are the same on a case (its own evictor, named again) are played once."""
    tasks: dict[tuple[str, tuple[int, ...]], Task] = {}
    for case in plan.cases:
        for task in plan.tasks(case):
            identity = task.identity
            done = store.episodes(identity)
            seeds = [seed for seed in task.seeds if seed not in done]
            for start in range(0, len(seeds), _SEEDS_PER_TASK):
                part = tuple(seeds[start : start + _SEEDS_PER_TASK])
                tasks.setdefault((identity.key, part), task._replace(seeds=part))
    return list(tasks.values())


def play_task(task: Task) -> Played[Recording]:
    """Plays a task. Each episode has an agent of its own, so that no episode depends on those before it."""
    recordings: list[Recording] = []
    watched = task.entry.guests and not task.entry.oracle
    with guard.watch() if watched else nullcontext():
        for seed in task.seeds:
            try:
                agent = make_agent(task.entry.agent, **task.entry.kwargs)
                recordings.append(record(agent, seed=seed, **task.options))
            except Exception as error:  # an agent may raise anything: its row says so, the others go on
                return Played(recordings, _failure(seed, error))
    return Played(recordings)


def check(task: Task, played: Played[Recording]) -> Played[Episode]:
    """Plays again what an agent did; what the agent's process says of itself is not relied on."""
    episodes: list[Episode] = []
    for seed, recording in zip(task.seeds, played.done, strict=False):
        try:
            again = replace(recording, environment=task.entry.environment)
            episodes.append(replay(again, seed=seed, **task.options))
        except RuleBroken as error:
            return Played(episodes, Failure(f"seed {seed}: {error}", broke_rule=True))
        except Exception as error:  # a process that runs somebody's code may hand in anything
            reason = f"seed {seed}: what was recorded can't be checked: {type(error).__name__}: {error}"
            return Played(episodes, Failure(reason, broke_rule=True))
    return Played(episodes, played.failure)


def _failure(seed: int, error: Exception) -> Failure:
    last = traceback.extract_tb(error.__traceback__)[-1]
    own = isinstance(error, RuleBroken)
    name = "" if own else f"{type(error).__name__}: "
    place = "" if own else f" ({os.path.basename(last.filename)}:{last.lineno})"
    return Failure(f"seed {seed}: {name}{error}{place}", broke_rule=own)


def _outcomes(tasks: list[Task], workers: int) -> Generator[tuple[Task, Played[Episode]]]:
    n_replays = workers // _PLAYERS_PER_REPLAY
    with ExitStack() as stack:
        replays = stack.enter_context(pool(n_replays)) if n_replays else None
        for guests, group in by_guests(tasks).items():
            if workers == 1 and not guests:
                for task in group:
                    yield task, check(task, play_task(task))
            else:
                yield from _of_group(group, workers, replays)


def _of_group(tasks: list[Task], workers: int, replays: Pool | None) -> Iterator[tuple[Task, Played[Episode]]]:
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
                outcome = Played([], _DIED)
            yield task, outcome


def _in_processes(tasks: dict[int, Task], workers: int, replays: Pool | None) -> Iterator[tuple[int, Played[Episode]]]:
    """Outcomes as they come. An interrupt drops the tasks that have not ended.

    Raises:
        BrokenProcessPool: If a process died.
    """
    with pool(workers) as players:
        playing: dict[Future[Played[Recording]], int] = {
            players.submit(play_task, task): n for n, task in tasks.items()
        }
        checking: dict[Future[Played[Episode]], int] = {}
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


@contextmanager
def progress(total: int, unit: str) -> Iterator[Callable[[int], object]]:
    """Shows progress on standard error while the block runs; gives a function to be told of what is done."""
    if sys.stderr.isatty():
        with tqdm(total=total, unit=unit, leave=False) as bar:
            yield bar.update
        return
    done = [0]
    with lines(lambda seconds: line(sum(done), total, unit, seconds), EVERY_S):
        yield done.append


def line(done: int, total: int, unit: str, seconds: float) -> str:
    """Done of `total`, for how long, and how long the rest will take at the same pace."""
    rest = f"about {clock(seconds * (total - done) / done)} to go" if done else "no estimate yet"
    return f"{done} of {total} {unit}s in {clock(seconds)}, {rest}"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds as 1:02:03, without hours 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
