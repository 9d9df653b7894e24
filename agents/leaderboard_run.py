"""Plays a plan over several processes; what is finished already is not played again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from tqdm import tqdm

from agents import make_agent
from agents.leaderboard_entries import Entry
from agents.leaderboard_plan import Case, Plan, identity, play_where
from kvgym.evaluation import Episode, play
from kvgym.evaluation.runs import Identity, Store

_SEEDS_PER_TASK = 4
_DIED = "the process that played it died"


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


@dataclass(frozen=True)
class Outcome:
    """What a task gave: its episodes, up to the first that failed, and why that one did."""

    episodes: list[Episode]
    error: str | None = None


def run(plan: Plan, store: Store, workers: int) -> dict[str, str]:
    """Plays what the store does not hold yet, and adds it to the store as it comes.

    A progress bar is shown where standard error is a terminal.

    Args:
        plan: What to play.
        store: Finished episodes.
        workers: Processes; 1 plays in this one.

    Returns:
        What went wrong, by key of the identity.
    """
    tasks = open_tasks(plan, store)
    errors: dict[str, str] = {}
    with tqdm(total=sum(len(task.seeds) for task in tasks), unit="episode", leave=False, disable=None) as bar:
        for task, outcome in _outcomes(tasks, workers):
            if outcome.episodes:
                store.add(task.identity, outcome.episodes)
            if outcome.error:
                errors.setdefault(task.identity.key, outcome.error)
            bar.update(len(task.seeds))
    return errors


def open_tasks(plan: Plan, store: Store) -> list[Task]:
    """What is left to play. Entries that are the same on a case (its own evictor, named again) are played once."""
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


def play_task(task: Task) -> Outcome:
    """Plays a task. Each episode has an agent of its own, so that no episode depends on those before it."""
    episodes: list[Episode] = []
    for seed in task.seeds:
        try:
            agent = make_agent(task.entry.agent, **task.entry.kwargs)
            episode = play(
                agent,
                task.case.source,
                seed,
                overrides=task.case.overrides,
                split=task.split,
                **play_where(task.entry, task.identity.evictor),
            )
        except Exception as error:  # an agent may raise anything: its row says so, the others go on
            return Outcome(episodes, _describe(seed, error))
        episodes.append(episode)
    return Outcome(episodes)


def _describe(seed: int, error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"seed {seed}: {type(error).__name__}: {error} ({os.path.basename(last.filename)}:{last.lineno})"


def _outcomes(tasks: list[Task], workers: int) -> Iterator[tuple[Task, Outcome]]:
    if workers == 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, play_task(task)
        return
    left = dict(enumerate(tasks))
    try:
        for number, outcome in _in_processes(left, min(workers, len(tasks))):
            yield left.pop(number), outcome
    except BrokenProcessPool:
        # Somebody's agent took its process down, and all that others had begun: the rest is played one at a time, so
        # that it is known who it is.
        for task in left.values():
            try:
                ((_, outcome),) = _in_processes({0: task}, 1)
            except BrokenProcessPool:
                outcome = Outcome([], _DIED)
            yield task, outcome


def _in_processes(tasks: dict[int, Task], workers: int) -> Iterable[tuple[int, Outcome]]:
    """Outcomes as they come. An interrupt drops the tasks that have not begun.

    Raises:
        BrokenProcessPool: If a process died.
    """
    # "spawn": the same everywhere, and safe whatever threads this process has.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_process)
    try:
        futures: dict[Future[Outcome], int] = {executor.submit(play_task, task): n for n, task in tasks.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        executor.shutdown(cancel_futures=True)


def _start_process() -> None:
    # Ctrl-C reaches the whole group of processes: these end without a word, the parent says what is finished.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
