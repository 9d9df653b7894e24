"""Films as the page of `kvgym watch` reads them, and the page."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym import _page
from kvgym.cluster import Crash
from kvgym.watch.film import Film

_TIME_DIGITS = 6  # microseconds


def page(films: Sequence[Film]) -> str:
    """One HTML file that holds the films and needs nothing else.

    Args:
        films: One, or two of the same episode by different agents.
    """
    return _page.filled("kvgym.watch", base64.b64encode(gzip.compress(payload(films).encode(), mtime=0)).decode())


def payload(films: Sequence[Film]) -> str:
    """The films as JSON."""
    return json.dumps({"films": [plain_of(film) for film in films]}, separators=(",", ":"), allow_nan=False)


def plain_of(film: Film) -> dict[str, Any]:
    """A film in plain values; requests are named by their rows."""
    scenario = film.scenario
    row_of = {request: row for row, request in enumerate(film.requests["request"].tolist())}
    transfers = [(row_of[request], *rest) for request, *rest in film.transfers]
    return {
        "agent": film.agent,
        "scenario": scenario.name,
        "text": scenario.text,
        "seed": film.seed,
        "split": film.split,
        "environment": film.environment,
        "objective": scenario.objective,
        "metrics": {name: None if math.isnan(value) else value for name, value in film.metrics.items()},
        "first": film.first,
        "end": film.end,
        "workers": list(_workers(film)),
        "requests": _columns(film.requests),
        "iterations": _columns(film.iterations),
        "transfers": _table(("request", "source", "target", "start", "end"), transfers),
        "faults": _table(
            ("worker", "kind", "start", "end"),
            [
                (
                    fault.worker,
                    "crash" if isinstance(fault, Crash) else "slow-down",
                    fault.time_s,
                    _end(fault, film.end),
                )
                for fault in film.faults
                if fault.time_s < film.end
            ],
        ),
        "decisions": {
            "time": _numbers(film.times),
            "request": [row_of.get(request, -1) for request in film.deciding.tolist()],
            "asking": film.asking.tolist(),
            "action": film.actions.tolist(),
            "scores": None if film.scores is None else _numbers(film.scores),
            "costs": None if film.costs is None else _numbers(film.costs),
            "look_ahead": film.look_ahead,
            "observation": _packed(film.observations, "<f4"),
            "features": _features(film),
            "form": film.form,
            "rules": [*film.rules, "refuse"] if film.refuses else list(film.rules),
        },
        "memory": _packed(film.workers, "<i4"),
    }


def _workers(film: Film) -> Iterator[dict[str, Any]]:
    """Name and memory of each worker."""
    names = []
    for kind in film.scenario.workers:
        name = f"{kind['model']} on {kind['gpu']}" if "model" in kind else "a worker of its own cost"
        names += [name] * int(kind.get("count", 1))
    size = film.scenario.engine.page_size
    for name, pages in zip(names, film.kv_pages.tolist(), strict=True):
        yield {"name": name, "kv_pages": pages, "kv_tokens": pages * size, "page_size": size}


def _end(fault: Any, end: float) -> float:
    """When a fault is over, at the latest at the end of the episode."""
    return float(min(fault.time_s + (fault.down_s if isinstance(fault, Crash) else fault.duration_s), end))


def _features(film: Film) -> list[tuple[str, str, int | str | None, str]]:
    """Name, unit, worker (a number) or candidate ("c3") or None, and meaning of each feature."""
    rows: list[tuple[str, str, int | str | None, str]] = []
    for full, feature in zip(film.layout.names, film.layout.features, strict=True):
        of, dot, _ = full.partition(".")
        of_whom = None if not dot else int(of[1:]) if of[0] == "w" else of
        rows.append((feature.name, feature.unit if film.form == "physical" else "", of_whom, feature.text))
    return rows


def _columns(columns: Mapping[str, NDArray[Any]]) -> dict[str, list[Any]]:
    return {name: _numbers(column) for name, column in columns.items()}


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _numbers(values: NDArray[Any]) -> list[Any]:
    """Nested lists; of floats microseconds are kept, and NaN is None."""
    if values.dtype.kind != "f":
        return list(values.tolist())
    rounded = np.round(values.astype(np.float64), _TIME_DIGITS)
    plain = rounded.astype(object)
    plain[np.isnan(rounded)] = None
    return list(plain.tolist())


def _packed(values: NDArray[Any], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()
