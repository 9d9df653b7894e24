"""Workload recipes: what a scenario names, as functions (seed, page_size, requests wanted, split, **arguments)."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from kvgym import _check
from kvgym.workload import Workload
from kvgym.workload.agent_sessions import read_agent_sessions
from kvgym.workload.coding_agents import coding_agents
from kvgym.workload.equal import equal_requests
from kvgym.workload.gsp import gsp
from kvgym.workload.long_documents import long_documents
from kvgym.workload.mooncake import read_mooncake
from kvgym.workload.multi_turn import multi_turn
from kvgym.workload.trace_file import read_records

Recipe = Callable[..., Workload]

TRACE_FORMATS = ("mooncake", "agent-sessions")
TRACE_SHARES = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}
"""Shares of a trace (of its time, or of its sessions) that belong to each split: they never overlap."""


def _generated(make: Callable[..., Workload]) -> Recipe:
    """A recipe of a generator: its random stream already depends on the split."""

    def recipe(seed: np.random.SeedSequence, page_size: int, wanted: int, split: str, **args: Any) -> Workload:
        return make(seed, page_size, **args)

    return recipe


def _gsp(seed: np.random.SeedSequence, page_size: int, wanted: int, split: str, **args: Any) -> Workload:
    return gsp(seed, page_size, requests=wanted, **args)


def _equal(seed: np.random.SeedSequence, page_size: int, wanted: int, split: str, **args: Any) -> Workload:
    return equal_requests(seed, page_size, requests=wanted, **args)


def trace(
    seed: np.random.SeedSequence,
    page_size: int,
    wanted: int,
    split: str,
    *,
    path: str,
    format: str = "mooncake",
    **args: Any,
) -> Workload:
    """A part of a trace file: another one for each seed, inside the split's share of the trace.

    Args:
        seed: Chooses the part, and is the seed of whatever the reader draws.
        page_size: Tokens per page.
        wanted: Requests.
        split: "train", "validation" or "test".
        path: The trace file, plain or gzip.
        format: One of `TRACE_FORMATS`.
        **args: Arguments of the reader, such as rate_scale and jitter.

    Raises:
        TraceError: If the file is not in the format.
        ValueError: If it has too few requests, or an argument is not allowed.
        OSError: If it can't be read.
    """
    _check.choice("format", format, TRACE_FORMATS)
    place = float(np.random.PCG64(seed).random_raw() >> np.uint64(11)) * 2.0**-53
    low, high = TRACE_SHARES[split]
    if format == "mooncake":
        times = _timestamps(path, os.stat(path).st_mtime_ns)
        first, last = np.searchsorted(times, [low * times[-1], high * times[-1]]).tolist()
        latest = last - wanted
        if latest < first:
            raise ValueError(
                f"the {split} share of {path} has {last - first} requests, the scenario plays {wanted}: lower them"
            )
        start = float(times[first + int(place * (latest - first + 1))])
        end = float(np.nextafter(high * times[-1], np.inf))
        return read_mooncake(path, page_size, window_s=(start, end), max_requests=wanted, seed=seed, **args)
    n = _sessions(path, os.stat(path).st_mtime_ns)
    first, last = round(low * n), round(high * n)
    if first == last:
        raise ValueError(f"the {split} share of {path} has none of its {n} sessions")
    start_session = first + int(place * max(0, (last - first) // 2))
    return read_agent_sessions(
        path,
        page_size,
        first_session=start_session,
        max_sessions=last - start_session,
        max_requests=wanted,
        seed=seed,
        **args,
    )


@lru_cache(maxsize=8)
def _timestamps(path: str, modified_ns: int) -> np.ndarray:
    """Seconds of all requests of a Mooncake trace; `modified_ns` makes a changed file another key."""
    return np.array([record.seconds("timestamp", "milliseconds") / 1e3 for record in read_records(path)])


@lru_cache(maxsize=8)
def _sessions(path: str, modified_ns: int) -> int:
    return sum(1 for _ in read_records(path))


def _coding_agents(seed: np.random.SeedSequence, page_size: int, wanted: int, split: str, **args: Any) -> Workload:
    """Enough sessions that the requests of an episode can come from many that go on: half as many again."""
    return coding_agents(seed, page_size, requests=wanted + wanted // 2, **args)


RECIPES: dict[str, Recipe] = {
    "gsp": _gsp,
    "multi_turn": _generated(multi_turn),
    "long_documents": _generated(long_documents),
    "equal": _equal,
    "coding_agents": _coding_agents,
    "trace": trace,
}
