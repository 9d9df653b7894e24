"""The recipe "trace": a file cut into parts that have nothing in common, one for each seed."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvgym import _check
from kvgym.workload import FORMATS, Workload, detect
from kvgym.workload.checks import positive
from kvgym.workload.random import JITTER, Stream
from kvgym.workload.tables import subset, with_successors

GIVEN = ("seed", "window_s", "max_requests", "first_session", "max_sessions")
"""Arguments of the readers that the recipe gives."""

TRACE_SHARES = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0), "all": (0.0, 1.0)}
"""Shares of a trace (of its time, or of its sessions) that belong to each split: the first three never overlap."""
_TIED = 0.1
_STEP_QUANTILE = 0.05


class Facts(NamedTuple):
    """What a split's share of a trace offers.

    Attributes:
        requests: That fit on every worker.
        parts: Episodes that have no request in common; seeds beyond play them again.
        jitter_s: Over how many seconds each arrival is spread.
        steps: Whether that is because the file's times come in steps of as many seconds.
    """

    requests: int
    parts: int
    jitter_s: float
    steps: bool


@dataclass(frozen=True)
class _Share:
    """The requests of a split that fit.

    Attributes:
        whole: All of the file.
        rows: Indices of the requests, ascending.
        session: Per row, which session start it belongs to, numbered in order from 0.
        before: Requests of the file that fit nowhere, counted in front of each row of `whole`: (n + 1,).
        step_s: Seconds of the steps that the times of the file come in; 0: no steps.
    """

    whole: Workload
    rows: NDArray[np.int64]
    session: NDArray[np.int64]
    before: NDArray[np.int64]
    step_s: float

    def parts(self, wanted: int) -> list[range]:
        """Sessions of each part: together at least `wanted` requests, or one fewer where there is but one part."""
        ends = np.cumsum(np.bincount(self.session)) if len(self.rows) else np.zeros(0, np.int64)
        found: list[range] = []
        first, done = 0, 0
        while len(self.rows) - done >= max(1, wanted - (not found)):
            end = min(int(np.searchsorted(ends, done + wanted)) + 1, len(ends))
            found.append(range(first, end))
            first, done = end, int(ends[end - 1])
        return found

    def take(self, part: range) -> Workload:
        """The requests of a part, and how many of the file's were left out among them."""
        rows = self.rows[(self.session >= part.start) & (self.session < part.stop)]
        keep = np.zeros(len(self.whole), np.bool_)
        keep[rows] = True
        requests, nodes, paths, n_shared = subset(self.whole.requests, self.whole.nodes, self.whole.paths, keep)
        n_dropped = int(self.before[rows[-1] + 1] - self.before[rows[0]])
        return replace(self.whole, requests=requests, nodes=nodes, paths=paths, n_shared=n_shared, n_dropped=n_dropped)


def trace(
    seed: np.random.SeedSequence,
    page_size: int,
    wanted: int,
    split: str,
    *,
    path: str,
    format: str | None = None,
    rate_scale: float = 1.0,
    jitter: float | None = None,
    kv_pages: int | None = None,
    max_model_len: int | None = None,
    **args: Any,
) -> Workload:
    """A part of a trace file, inside the split's share of it; parts of different seeds have nothing in common.

    Seed and episode number the parts from the front, and begin again when all are played.

    Args:
        seed: Chooses the part, and is the seed of whatever the reader draws.
        page_size: Tokens per page.
        wanted: Requests.
        split: "train", "validation", "test" or "all".
        path: The trace file, plain or gzip, or a folder of them.
        format: One of `kvgym.workload.FORMATS`; None: it is found out.
        rate_scale: 2 = twice as fast.
        jitter: Where a file has times: seconds over which each arrival is spread, before `rate_scale`; the order stays.
            None: those of the steps that the times come in, if more than a tenth of them are equal to the one before.
        kv_pages: Requests that need more are left out and counted.
        max_model_len: So are those of more tokens, prompt and output together.
        **args: Arguments of the reader.

    Raises:
        TraceError: If the file is not in the format.
        ValueError: If it has too few requests, or an argument is not allowed, or there is no such file.
        OSError: If it can't be read.
    """
    format = _known(path, format)
    share = _share(path, format, page_size, (kv_pages, max_model_len), split, rate_scale, jitter, args, seed)
    parts = share.parts(wanted)
    if not parts:
        raise ValueError(
            f"the {split} share of {path} has {len(share.rows)} requests that fit, the scenario plays {wanted - 1}: "
            "lower them" + ("" if split == "all" else ', or play the split "all"')
        )
    number = seed.entropy if isinstance(seed.entropy, int) else 0
    part = share.take(parts[(number + sum(seed.spawn_key[-1:])) % len(parts)])
    if _has_times(format):
        spread = share.step_s if jitter is None else jitter
        part = _retimed(part, spread * Stream(seed, JITTER).uniform(len(part)), rate_scale)
    else:
        part = _retimed(part, np.zeros(len(part)), 1.0)
    return part.head(min(len(part), wanted))


def facts(page_size: int, wanted: int, split: str, kv_pages: int | None, args: Mapping[str, Any]) -> Facts:
    """What the recipe `trace` can make with such arguments; errors as its own."""
    known = inspect.signature(trace).parameters
    names = ("format", "rate_scale", "jitter", "max_model_len")
    own = {name: args.get(name, known[name].default) for name in names}
    rest = {name: value for name, value in args.items() if name not in (*own, "path")}
    format = _known(args["path"], own["format"])
    limits = kv_pages, own["max_model_len"]
    share = _share(args["path"], format, page_size, limits, split, own["rate_scale"], own["jitter"], rest)
    jitter = share.step_s if own["jitter"] is None else own["jitter"]
    return Facts(len(share.rows), len(share.parts(wanted)), jitter, own["jitter"] is None and jitter > 0)


def _known(path: str, format: str | None) -> str:
    """The format of a file that is there."""
    where = "path in recipe_args of trace"
    if not Path(_check.string(where, path)).exists():
        raise ValueError(f"{where} must be an existing file or folder, got {path!r}")
    return detect(path) if format is None else _check.choice("format", format, FORMATS)


def _has_times(format: str) -> bool:
    """Whether the files of a format say when requests arrived."""
    return "jitter" in inspect.signature(FORMATS[format].read).parameters


def _share(
    path: str,
    format: str,
    page_size: int,
    limits: tuple[int | None, int | None],
    split: str,
    rate_scale: float,
    jitter: float | None,
    args: Mapping[str, Any],
    seed: Any = 0,
) -> _Share:
    """Reads the file, or what was kept of it, and finds the split's requests; `limits`: kv_pages, max_model_len."""
    _check.keywords(f"recipe_args of trace, format {format!r}", args, FORMATS[format].read, first=2, without=GIVEN)
    positive("rate_scale", rate_scale)
    if jitter is not None:
        _check.finite("jitter", jitter)
    if _has_times(format):
        whole = _whole(path, os.stat(path).st_mtime_ns, format, page_size, tuple(sorted(args.items())))
    elif jitter is not None:
        raise ValueError(f"jitter is for files that say when requests arrived, format {format!r} does not")
    else:
        whole = FORMATS[format].read(path, page_size, seed=seed, rate_scale=rate_scale, **args)
    requests = whole.requests
    first = requests["predecessor"] < 0
    session = np.cumsum(first) - 1
    for row in np.flatnonzero(~first):
        session[row] = session[requests["predecessor"][row]]
    times = requests["arrival_ps"][first]
    low, high = TRACE_SHARES[split]
    if _has_times(format):
        end = int(times[-1])
        begin, stop = np.searchsorted(times, [low * end, high * end + (split in ("test", "all"))])
    else:
        begin, stop = round(low * len(times)), round(high * len(times))
    big = np.zeros(len(requests), np.bool_)
    kv_pages, max_model_len = limits
    if kv_pages is not None:
        big |= whole.peak_pages() > kv_pages
    if max_model_len is not None:
        tokens = requests["prompt_tokens"] + requests["output_tokens"]
        big |= tokens > _check.whole("max_model_len", max_model_len, 2)
    big = with_successors(requests, big)
    rows = np.flatnonzero((session >= begin) & (session < stop) & ~big)
    numbered = np.unique(session[rows], return_inverse=True)[1]
    return _Share(whole, rows, numbered, np.append(0, np.cumsum(big)), _step(times) if _has_times(format) else 0.0)


@lru_cache(maxsize=2)
def _whole(path: str, modified_ns: int, format: str, page_size: int, args: tuple[tuple[str, Any], ...]) -> Workload:
    """All of a file; `modified_ns` makes a changed file another key."""
    return FORMATS[format].read(path, page_size, **dict(args))


def _step(times: NDArray[np.int64]) -> float:
    """Seconds of the steps that times come in: a small gap between different ones, where many are equal; else 0."""
    gaps = np.diff(times)
    if not len(gaps) or np.mean(gaps == 0) <= _TIED or not gaps.any():
        return 0.0
    return float(np.quantile(gaps[gaps > 0], _STEP_QUANTILE, method="lower")) * 1e-12


def _retimed(part: Workload, later_s: NDArray[np.float64], rate_scale: float) -> Workload:
    """The same from time 0 on, with each arrival so much later; the order of requests stays."""
    requests = part.requests.copy()
    first = requests["predecessor"] < 0
    times = requests["arrival_ps"][first]
    moved = np.sort((times - times[0]) + later_s[first] * 1e12) / rate_scale
    requests["arrival_ps"][first] = np.rint(moved).astype(np.int64)
    return replace(part, requests=requests)
