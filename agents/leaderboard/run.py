"""Plays a plan over several processes; what is finished already is not played again.

Numbers come from the processes of the environments; an agent that came with a file sits in another one
(`kvgym.evaluation.remote`).
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from typing import NamedTuple

from tqdm import tqdm

from kvgym._progress import progress as lines
from kvgym.envs.view import RuleBroken
from kvgym.evaluation import Episode
from kvgym.evaluation.episode import record
from kvgym.evaluation.remote import AgentLost
from kvgym.evaluation.runs import Store
from kvgym.evaluation.standings import Failure

from .backends import Lost, Submit, result
from .plan import Plan, Task
from .processes import apart
from .seats import seated

EVERY_S = 10.0
"""Seconds between two lines of progress where standard error is no terminal."""
_SEEDS_PER_TASK = 4


class Played(NamedTuple):
    """What came of a task: episodes up to the first seed that failed, and why that one did."""

    done: list[Episode]
    failure: Failure | None = None


def run(plan: Plan, store: Store, backend: AbstractContextManager[Submit] | None) -> dict[str, Failure]:
    """Plays what the store does not hold yet, and adds it to the store as it comes.

    Args:
        plan: What to play.
        store: Finished episodes.
        backend: Where, see `backends.backend`; None: in this process.

    Returns:
        What went wrong, by key of the identity.
    """
    errors: dict[str, Failure] = {}
    for task, outcome in play_all(open_tasks(plan, store), backend):
        if outcome.done:
            store.add(task.identity, outcome.done)
        if outcome.failure:
            errors.setdefault(task.identity.key, outcome.failure)
    return errors


def play_all(tasks: list[Task], backend: AbstractContextManager[Submit] | None) -> Generator[tuple[Task, Played]]:
    """Plays tasks, and gives what came of each as it comes; shows how far they are."""
    with (
        progress(sum(len(task.seeds) for task in tasks), "episode") as advance,
        closing(_outcomes(tasks, backend)) as outcomes,
    ):
        for task, outcome in outcomes:
            yield task, outcome
            advance(len(task.seeds))


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


def play_task(task: Task) -> Played:
    """Plays a task. Each episode has an agent of its own, so that no episode depends on those before it."""
    if task.entry.guests and task.entry.oracle:  # it is given the environment itself: the process is lost to it
        return _in_a_process(_play, task)
    return _play(task)


def play_alone(task: Task) -> Played:
    """Plays a task in a process of its own here: if that dies, it is this task that did it."""
    return _in_a_process(play_task, task)


def _in_a_process(function: Callable[[Task], Played], task: Task) -> Played:
    try:
        return apart(function, task)
    except ValueError:
        return Played([], Failure(f"seed {task.seeds[0]}: the process that played it died"))


def _play(task: Task) -> Played:
    salt = task.terms.salt if task.entry.guests else ""
    episodes: list[Episode] = []
    seed = task.seeds[0]
    try:
        with seated(task.entry, task.options, task.terms) as (agent, options):
            for seed in task.seeds:
                episodes.append(replace(record(agent(), seed=seed, **options).episode, salt=salt))
    except Exception as error:  # an agent may raise anything: its row says so, the others go on
        return Played(episodes, _failure(seed, error))
    return Played(episodes)


def _failure(seed: int, error: Exception) -> Failure:
    if isinstance(error, AgentLost):
        return Failure(f"seed {seed}: {error}", error.broke_rule)
    if isinstance(error, RuleBroken):
        return Failure(f"seed {seed}: {error}", broke_rule=True)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Failure(f"seed {seed}: {type(error).__name__}: {error} ({os.path.basename(last.filename)}:{last.lineno})")


def _outcomes(tasks: list[Task], backend: AbstractContextManager[Submit] | None) -> Generator[tuple[Task, Played]]:
    if backend is None:
        for task in tasks:
            yield task, play_task(task)
        return
    lost: list[Task] = []
    with backend as submit:
        playing: dict[Future[Played], Task] = {submit(play_task, task): task for task in tasks}
        while playing:
            for future in wait(playing, return_when=FIRST_COMPLETED)[0]:
                task = playing.pop(future)
                try:
                    outcome = result(future)
                except Lost:  # with its process, all that was waiting for one: whose fault it was is not known
                    lost.append(task)
                else:
                    yield task, outcome
    for task in lost:
        yield task, play_alone(task)


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
