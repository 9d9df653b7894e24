"""Processes that end when they are told to."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from kvgym._signals import uninterrupted

P = ParamSpec("P")
R = TypeVar("R")


class Pool(ProcessPoolExecutor):
    """Some processes that run functions, see `pool`."""

    def submit(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """As `Executor.submit`."""
        with uninterrupted():
            return super().submit(function, *args, **kwargs)


@contextmanager
def pool(workers: int) -> Iterator[Pool]:
    """Up to `workers` processes. An error or an interrupt ends them at once, else they end when they have finished."""
    # "spawn": the same everywhere, safe whatever threads this process has, and nothing of this process is in it.
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    with Pool(workers, mp_context=context, initializer=_ignore_interrupts) as executor:
        try:
            yield executor
        except BrokenProcessPool:
            raise
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            raise


def _ignore_interrupts() -> None:
    # Ctrl-C reaches the whole group of processes. This one ends when its parent says so, without a word.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def apart(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs a function in a process of its own, for code that is not the suite's.

    The process that keeps the results and makes the tables never runs what came with an agent.

    Raises:
        ValueError: If the process died.
    """
    with pool(1) as process:
        try:
            return process.submit(function, *args, **kwargs).result()
        except BrokenProcessPool:
            raise ValueError("the process in which it was made died") from None
