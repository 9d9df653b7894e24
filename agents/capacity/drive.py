"""Searches that ask for episodes: answered from a store where they were played before, else by a backend."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

from kvgym.evaluation import Episode
from kvgym.evaluation.runs import Store
from kvgym.evaluation.standings import Failure

from ..leaderboard.backends import Lost, Submit, result
from ..leaderboard.plan import Task
from ..leaderboard.run import Played, play_alone, play_task

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

Search = Generator[list[Task], list[list[Episode]], R]
"""Yields tasks, is sent the episodes of each, and returns what it has found."""


def drive(
    searches: Mapping[K, Search[R]], store: Store, submit: Submit, told: Callable[[int, int], object]
) -> dict[K, R | Failure]:
    """Runs searches side by side to their ends.

    Args:
        searches: By a key that names each.
        store: Episodes that are there are not played again; new ones are kept as they come.
        submit: Of a backend.
        told: Called with episodes played and searches ended whenever one of them grows.

    Returns:
        What each found, or why one of its episodes failed.
    """
    return _Drive(searches, store, submit, told).run()


class _Drive:
    """Who waits for what."""

    def __init__(self, searches: Any, store: Store, submit: Submit, told: Callable[[int, int], object]) -> None:
        self.searches, self.store, self.submit, self.told = dict(searches), store, submit, told
        self.asked: dict[Any, Sequence[Task]] = {}
        self.playing: dict[Future[Played], tuple[Any, Task, bool]] = {}
        self.left: dict[Any, int] = {}
        self.found: dict[Any, Any] = {}
        self.n_played = 0

    def run(self) -> dict[Any, Any]:
        for key in self.searches:
            self._go_on(key, None)
        while self.playing:
            for future in wait(self.playing, return_when=FIRST_COMPLETED)[0]:
                self._take(future)
        return {key: self.found[key] for key in self.searches}

    def _go_on(self, key: Any, answer: Any) -> None:
        """Lets a search go on as long as the store answers it, then has the rest played."""
        search = self.searches[key]
        try:
            while True:
                self.asked[key] = search.send(answer)
                parts = [part for task in self.asked[key] for part in self._missing(task)]
                if parts:
                    break
                answer = self._answer(key)
        except StopIteration as end:
            self._end(key, end.value)
            return
        self.left[key] = len(parts)
        for part in parts:
            self._play(key, part)

    def _missing(self, task: Task) -> list[Task]:
        done = self.store.episodes(task.identity)
        return [task._replace(seeds=(seed,)) for seed in task.seeds if seed not in done]

    def _answer(self, key: Any) -> list[list[Episode]]:
        done = [self.store.episodes(task.identity) for task in self.asked[key]]
        return [[there[seed] for seed in task.seeds] for task, there in zip(self.asked[key], done, strict=True)]

    def _play(self, key: Any, part: Task, again: bool = False) -> None:
        self.playing[self.submit(play_task, part)] = key, part, again

    def _take(self, future: Future[Played]) -> None:
        key, part, again = self.playing.pop(future)
        try:
            played = result(future)
        except Lost:  # a worker died: whose fault it was is not known
            if not again:
                self._play(key, part, again=True)
                return
            played = play_alone(part)
        self.store.add(part.identity, played.done)
        self.n_played += len(played.done)
        self.left[key] -= 1
        if key in self.found:  # failed already
            return
        if played.failure:
            self._end(key, played.failure)
        elif self.left[key] == 0:
            self._go_on(key, self._answer(key))
        self.told(self.n_played, len(self.found))

    def _end(self, key: Any, value: Any) -> None:
        self.searches[key].close()
        self.found[key] = value
        self.told(self.n_played, len(self.found))
