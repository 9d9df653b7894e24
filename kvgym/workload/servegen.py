"""ServeGen's tables: clients, each with its own rates, burstiness and lengths; requests are drawn from them."""

from __future__ import annotations

import csv
import math
import os
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvgym._check import whole
from kvgym.workload.arrivals import arrive
from kvgym.workload.checks import positive
from kvgym.workload.random import LENGTHS, OUTPUTS, Seed, Stream
from kvgym.workload.timed import Row, open_loop
from kvgym.workload.trace_file import Record, TraceError, TraceSource, parse_lines, read_lines
from kvgym.workload.workload import Workload

WINDOW_S = 600.0
_FAMILIES = {"Gamma": "gamma", "Weibull": "weibull"}
_SHARES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
_FIELDS = ("input_tokens", "output_tokens")
Floats = NDArray[np.float64]


class _Window(NamedTuple):
    client: int
    start: float
    rate: float
    cv: float
    family: str


def read_servegen(
    source: TraceSource,
    page_size: int,
    *,
    rate: float | None = None,
    rate_scale: float = 1.0,
    window_s: tuple[float, float] = (0.0, math.inf),
    max_requests: int | None = None,
    seed: Seed = 0,
    skip_bad: bool = False,
    header_lines: int = 0,
) -> Workload:
    """Open-loop requests drawn from a table of clients, `NAME-arrivals.csv`, with `NAME-lengths.csv` beside it.

    The first table has `client_id`, `window_start_s` (windows of 10 minutes), `rate_rps`, `iat_cv` and `family` (Gamma
    or Weibull): in each window a client sends with independent gaps of this kind. The second one has `client_id`,
    `window_start_s`, `field` (input_tokens, output_tokens) and quantiles `q0.01` to `q0.999`: lengths are drawn from
    those of the client's latest window, between which they go straight; a client that has none there has
    those of all clients' mean. Nothing is shared; the tenant is the client. Time 0 is the first window's start.

    Args:
        source: path of the table of arrivals, plain or gzip.
        page_size: tokens per page.
        rate: all rates are multiplied by one number, so that this is their sum's mean over the windows that are played.
        rate_scale: 2 = twice as fast.
        window_s: (start, end): seconds of the table that are played; start becomes 0.
        max_requests: only the first ones of the window.
        seed: of all that is drawn.
        skip_bad: skips, and counts in a warning, lines that are not in the format.
        header_lines: lines in front of the heads that are skipped.

    Raises:
        TraceError: for a table not in this format.
        ValueError: for another argument, or a window without requests.
    """
    if not isinstance(source, (str, os.PathLike)) or "-arrivals" not in Path(source).name:
        raise ValueError(f"source must be the path of a table NAME-arrivals.csv, got {source!r}")
    path = Path(source)
    beside = path.with_name(path.name.replace("-arrivals", "-lengths"))
    if not beside.is_file():
        raise ValueError(f"beside {path} there must be the table of lengths {beside.name}")
    limit = math.inf if max_requests is None else whole("max_requests", max_requests, 1)
    windows = sorted(_windows(path, skip_bad, header_lines), key=lambda one: (one.start, one.client))
    zero = windows[0].start
    low, high = window_s
    windows = [one for one in windows if low < one.start - zero + WINDOW_S and one.start - zero < high]
    if not windows:
        raise ValueError(f"window_s must hold a window of the table, got {window_s}")
    starts = len({one.start for one in windows})
    scale = 1.0 if rate is None else positive("rate", rate) * starts / sum(one.rate for one in windows)
    lengths = _Lengths(beside, skip_bad, header_lines)
    rows: list[Row] = []
    for k, one in enumerate(windows):
        if k and one.start > windows[k - 1].start and sum(row.time >= low for row in rows) >= limit:
            break
        own = _spawned(seed, k)
        times = _times(own, one, scale) + one.start - zero
        sizes = lengths.draw(own, one.client, one.start, len(times))
        rows += [
            Row(time, prompt, output, tenant=one.client)
            for time, prompt, output in zip(times.tolist(), *(size.tolist() for size in sizes), strict=True)
        ]
    rows.sort(key=lambda row: row.time)
    return open_loop(
        rows,
        page_size,
        block_tokens=1,
        name="servegen",
        rate_scale=rate_scale,
        window_s=window_s,
        max_requests=max_requests,
        ascending=True,
    )


def _spawned(seed: Seed, k: int) -> np.random.SeedSequence:
    one = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(whole("seed", seed, 0))
    return np.random.SeedSequence(one.entropy, spawn_key=(*one.spawn_key, 1000, k), pool_size=one.pool_size)


def _times(seed: np.random.SeedSequence, one: _Window, scale: float) -> Floats:
    """Arrivals inside a window of this length; the renewal process begins before it, at a random place."""
    rate = one.rate * scale
    process = {"process": _FAMILIES[one.family], "rate": rate, "cv": min(100.0, max(0.02, one.cv))}
    n = int(rate * WINDOW_S) + 16
    while True:
        seconds = arrive(seed, n, process).seconds
        begin = float(seconds[-1]) * float(Stream(seed, OUTPUTS).uniform(1)[0]) * 0.5
        inside = seconds[(seconds >= begin) & (seconds < begin + WINDOW_S)] - begin
        if seconds[-1] >= begin + WINDOW_S or n > 50 * rate * WINDOW_S + 10**4:
            return np.asarray(inside)
        n *= 2


def _table(path: Path, needed: tuple[str, ...], skip_bad: bool, header_lines: int) -> list[Record]:
    lines = read_lines(path, header_lines)
    place, head = next(lines)
    columns = next(csv.reader([head.strip()]))
    if missing := [one for one in needed if one not in columns]:
        raise TraceError(f"{place}: expected a column {missing[0]}, got {', '.join(columns)}")

    def parse(place: str, line: str) -> Record:
        values = next(csv.reader([line.strip()]))
        if len(values) != len(columns):
            raise TraceError(f"{place}: expected {len(columns)} columns, got {len(values)}")
        record = Record(place, dict(zip(columns, values, strict=True)))
        for name in (*needed, *(one for one in columns if one.startswith("q"))):
            if name in ("family", "field"):
                continue
            try:
                record.fields[name] = float(values[columns.index(name)])
            except ValueError:
                raise record.error(f"expected {name!r} to be a number, got {record.get(name)!r}") from None
        return record

    return list(parse_lines(lines, parse, skip_bad))


def _windows(path: Path, skip_bad: bool, header_lines: int) -> list[_Window]:
    found = []
    for record in _table(path, ("client_id", "window_start_s", "rate_rps", "iat_cv", "family"), skip_bad, header_lines):
        family = record.get("family")
        if family not in _FAMILIES:
            raise record.error(f"expected 'family' to be Gamma or Weibull, got {family!r}")
        rate, cv = record.seconds("rate_rps", "requests per second"), record.get("iat_cv")
        if rate > 0:
            found.append(_Window(int(record.get("client_id")), record.get("window_start_s"), rate, cv, family))
    if not found:
        raise TraceError(f"{path}: expected a window with a rate > 0")
    return found


class _Lengths:
    """Quantiles of lengths, by client and window."""

    def __init__(self, path: Path, skip_bad: bool, header_lines: int) -> None:
        self._of: dict[tuple[int, str], list[tuple[float, Floats]]] = defaultdict(list)
        names = tuple(f"q{share:g}" for share in _SHARES)
        for record in _table(path, ("client_id", "window_start_s", "field", *names), skip_bad, header_lines):
            values = np.maximum(1.0, [record.get(name) for name in names])
            key = int(record.get("client_id")), str(record.get("field"))
            self._of[key].append((record.get("window_start_s"), np.maximum.accumulate(values)))
        self._mean = {}
        for field in _FIELDS:
            known = [one for (_, name), rows in self._of.items() if name == field for _, one in rows]
            if not known:
                raise TraceError(f"{path}: expected rows of the field {field}")
            self._mean[field] = np.exp(np.mean(np.log(known), axis=0))

    def draw(self, seed: np.random.SeedSequence, client: int, start: float, n: int) -> list[NDArray[np.int64]]:
        """Prompt and output lengths of n requests."""
        drawn = []
        for field, kind in zip(_FIELDS, (LENGTHS, OUTPUTS), strict=True):
            known = [one for since, one in self._of.get((client, field), []) if since <= start]
            values = known[-1] if known else self._mean[field]
            places = np.interp(Stream(seed, kind).uniform(n), _SHARES, np.arange(len(_SHARES)))
            low = np.minimum(places.astype(np.int64), len(_SHARES) - 2)
            part = places - low
            drawn.append(np.rint(values[low] * (1 - part) + values[low + 1] * part).astype(np.int64))
        return drawn
