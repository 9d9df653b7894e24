"""Where episodes are played: processes of this machine, or a Ray cluster. A worker that dies loses nothing."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from kvgym import _check

from .options import cores
from .processes import Pool, pool

BACKENDS = ("local", "ray")
_RETRIES = 3
Submit = Callable[..., Future[Any]]


class Lost(Exception):
    """A worker died, and with it what it had begun: that has to be submitted again."""


def add_places(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say where episodes are played."""
    add = parser.add_argument
    add("--backend", choices=BACKENDS, default="local", help="where episodes are played: here, or on a Ray cluster")
    add("--ray-address", metavar="HOST:PORT", help="of the cluster (RAY_ADDRESS, or one that is started here)")
    add("--workers", type=int, metavar="N", help="local processes (default: one per core)")


def opened(options: argparse.Namespace) -> AbstractContextManager[Submit] | None:
    """What these options ask for; None: this process.

    Raises:
        ValueError: If an option is not allowed.
    """
    workers = cores() if options.workers is None else _check.whole("--workers", options.workers, 1)
    if options.backend == "local" and workers == 1:
        return None
    return backend(options.backend, workers, options.ray_address)


@contextmanager
def backend(name: str, workers: int, address: str | None = None) -> Iterator[Submit]:
    """A function that submits a function and its arguments; its futures raise `Lost` where a worker died.

    Args:
        name: One of `BACKENDS`.
        workers: Processes, where they are local.
        address: Of a Ray cluster; None: the one that is there (RAY_ADDRESS), or one that is started on this machine.

    Raises:
        ValueError: If Ray is wanted and not there.
    """
    with _local(workers) if name == "local" else _ray(address) as submit:
        yield submit


@contextmanager
def _local(workers: int) -> Iterator[Submit]:
    with _Pools(workers) as pools:
        yield pools.submit


class _Pools:
    """A pool, and after a death another one."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._open: Any = None

    def __enter__(self) -> _Pools:
        self._start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def _start(self) -> None:
        self._open = pool(self._workers)
        self._pool: Pool = self._open.__enter__()

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        try:
            return self._pool.submit(function, *args)
        except BrokenProcessPool:
            self._open.__exit__(None, None, None)
            self._start()
            return self._pool.submit(function, *args)


@contextmanager
def _ray(address: str | None) -> Iterator[Submit]:
    try:
        import ray
    except ImportError:
        raise ValueError('--backend ray needs Ray: pip install "kvgym[ray]", in a checkout -e ".[ray]"') from None
    ours = not ray.is_initialized()
    if ours:
        ray.init(address=address, log_to_driver=False, include_dashboard=False if address is None else None)
    # Retries of Ray's own: a node that goes takes its tasks with it, and they are begun again elsewhere.
    remote = ray.remote(max_retries=_RETRIES)(_call)
    try:
        yield lambda function, *args: remote.remote(function, *args).future()
    finally:
        if ours:
            ray.shutdown()


def _call(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def result(future: Future[Any]) -> Any:
    """What a future came to.

    Raises:
        Lost: If its worker died.
    """
    try:
        return future.result()
    except BrokenProcessPool:
        raise Lost from None
    except Exception as error:
        if type(error).__module__.startswith("ray."):
            raise Lost(str(error)) from error
        raise
