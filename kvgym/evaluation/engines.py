"""Measured engines: their figures, what the simulator gives for them under a preset, and the constants that fit best.

A figure is the time per output token, to the first token and of whole requests of a closed loop: so many clients, each
with the next request as soon as the last one is answered. The clients of the simulation start all at once.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from tqdm import tqdm

from kvgym import _check
from kvgym.cluster import PRESETS, EngineSpec, IterationCost, WorkerSpec, find_preset, load_catalogue
from kvgym.evaluation.closed_loop import closed_loop
from kvgym.scenarios.describe import make_engine

METRICS = ("tpot", "ttft", "e2e")
BARS = {"tpot": 8.0, "ttft": 25.0}
"""Errors in per cent that count as one when presets are compared."""
COLUMNS = ("model", "gpu", "tp", "weights", "prompt_tokens", "output_tokens", "concurrency", "tpot_ms", "ttft_ms")
"""Columns of a file of figures. weights (bf16), tp (1) and ttft_ms may be absent or empty; "engine" may be there."""

_NEEDED = ("model", "gpu", "prompt_tokens", "output_tokens", "concurrency", "tpot_ms")
_MOST_BEFORE_MS = 50.0  # what is longer is a queue, not a frontend
_STEPS = (0.2, 0.01)  # ms, for the slopes of the time per token over the two constants


@dataclass(frozen=True)
class Figure:
    """What was measured of one closed loop.

    Attributes:
        model, gpu, tp, weights: The worker, as in `worker_spec`.
        engine: The engine as its source calls it.
        settings: What `Scenario.engine` takes, with a preset; empty where the preset is not known.
        prompt_tokens: Length of the prompts.
        output_tokens: Length of the answers.
        clients: Number of clients.
        tpot_ms: Mean time per output token after the first.
        ttft_ms: Mean time to the first token; NaN where it was not measured.
    """

    model: str
    gpu: str
    tp: int
    weights: str
    engine: str
    settings: Mapping[str, Any]
    prompt_tokens: int
    output_tokens: int
    clients: int
    tpot_ms: float
    ttft_ms: float

    @property
    def worker(self) -> tuple[str, str, int, str]:
        """Model, GPU, number of GPUs and weights."""
        return self.model, self.gpu, self.tp, self.weights

    @property
    def group(self) -> str:
        """Worker and engine in words: figures of a group share their constants."""
        weights = "" if self.weights == "bf16" else f" ({self.weights})"
        return f"{self.model} on {self.tp} x {self.gpu}{weights}" + (f", {self.engine}" if self.engine else "")

    @cached_property
    def times_ms(self) -> dict[str, float]:
        """The measured times by name in `METRICS`."""
        return _times(self.tpot_ms, self.ttft_ms, self.output_tokens)


@dataclass(frozen=True)
class Constants:
    """What an engine adds to the time of its kernels.

    Attributes:
        overhead_ms: Per iteration.
        sequence_ms: Per decoding request and iteration, beside what the cost says.
        before_ms: Per request, before it is in the engine's queue.
    """

    overhead_ms: float
    sequence_ms: float = 0.0
    before_ms: float = 0.0

    def on(self, worker: WorkerSpec) -> WorkerSpec:
        """The worker with these overheads in its cost."""
        cost = replace(worker.cost, overhead_ms=self.overhead_ms, c_b=worker.cost.c_b + self.sequence_ms)
        return replace(worker, cost=cost)


def _times(tpot_ms: float, ttft_ms: float, output_tokens: int) -> dict[str, float]:
    return {"tpot": tpot_ms, "ttft": ttft_ms, "e2e": ttft_ms + tpot_ms * (output_tokens - 1)}


def measured() -> dict[str, Any]:
    """The published measurements that come with the package."""
    file = resources.files("kvgym.cluster").joinpath("measured.json")
    return dict(json.loads(file.read_text(encoding="utf-8")))


def figures() -> list[Figure]:
    """The package's measured closed loops."""
    rows: list[Figure] = []
    for entry in measured()["closed_loop"]:
        given = {name: entry[name] for name in ("model", "gpu", "tp", "weights", "engine", "settings")}
        given |= {"prompt_tokens": entry["prompt_tokens"], "output_tokens": entry["output_tokens"]}
        firsts = entry.get("ttft_ms", [math.nan] * len(entry["tpot_ms"]))
        for clients, tpot, ttft in zip(entry["concurrency"], entry["tpot_ms"], firsts, strict=True):
            rows.append(Figure(**given, clients=clients, tpot_ms=tpot, ttft_ms=ttft))
    return rows


def read_points(path: str | Path) -> list[Figure]:
    """Figures of somebody's own cluster.

    Args:
        path: A CSV file with the columns `COLUMNS`, and possibly "engine"; others are refused.

    Raises:
        ValueError: If the file can't be read, lacks a column or has one too many, or a value is not allowed; the
            message names line and column.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            names = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            for name in names:
                _check.choice(f"column of {path}", name, (*COLUMNS, "engine"))
            if missing := [name for name in _NEEDED if name not in names]:
                raise ValueError(f"{path} must have the columns {', '.join(_NEEDED)}; it lacks {', '.join(missing)}")
            found = [_read_point(f"line {reader.line_num} of {path}", row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"points {path} can't be read: {error}") from None
    if not found:
        raise ValueError(f"points {path} must have at least one line below its heads")
    return found


def _read_point(where: str, row: Mapping[Any, Any]) -> Figure:
    if None in row or None in row.values():
        raise ValueError(f"{where} must have a value for each column, as many as there are heads")
    text = {name: value.strip() for name, value in row.items()}

    def number(name: str, kind: type[int] | type[float], default: str = "") -> Any:
        given = text.get(name) or default
        try:
            value = kind(given)
        except ValueError:
            value = math.nan
        if not (value > 0 and math.isfinite(value)):
            allowed = "an integer" if kind is int else "a number"
            raise ValueError(f"{where}: {name} must be {allowed} > 0, got {given!r}")
        return value

    worker = text["model"], text["gpu"], number("tp", int, "1"), text.get("weights") or "bf16"
    output = number("output_tokens", int)
    figure = Figure(
        *worker,
        engine=text.get("engine", ""),
        settings={},
        prompt_tokens=number("prompt_tokens", int),
        output_tokens=output,
        clients=number("concurrency", int),
        tpot_ms=number("tpot_ms", float),
        ttft_ms=number("ttft_ms", float) if text.get("ttft_ms") else math.nan,
    )
    if output < 2:
        raise ValueError(f"{where}: output_tokens must be at least 2, one token has no time per token; got {output}")
    try:
        tokens = worker_of(figure, 1).kv_pages
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if (length := figure.prompt_tokens + output) > tokens:
        raise ValueError(
            f"{where}: prompt_tokens + output_tokens must be at most {tokens}, the KV tokens of {figure.group}; "
            f"got {length}"
        )
    return figure


def worker_of(figure: Figure, page_size: int) -> WorkerSpec:
    """The worker of a figure: the catalogue's fit, or published figures where it has none."""
    catalogue = load_catalogue()
    form = None if figure.worker in catalogue.pairs else "published"
    model, gpu, tp, weights = figure.worker
    return catalogue.worker_spec(model, gpu, tp, weights=weights, page_size=page_size, form=form)


def play(figure: Figure, engine: EngineSpec, queued: int, constants: Constants) -> dict[str, float]:
    """The simulated times of a figure, in ms by name in `METRICS`.

    Args:
        figure: The closed loop.
        engine: The engine's settings.
        queued: So many clients always wait: the batch is that much smaller than their number, at least 1.
        constants: The engine's overheads; `before_ms` is added to the time to the first token.
    """
    served = min(engine.max_running, max(1, figure.clients - queued))
    worker = constants.on(worker_of(figure, engine.page_size))
    found = closed_loop(
        worker,
        figure.clients,
        figure.prompt_tokens,
        figure.output_tokens,
        engine=replace(engine, max_running=served),
    )
    return _times(found.tpot_ms, found.ttft_ms + constants.before_ms, figure.output_tokens)


def halves(rows: Sequence[Figure]) -> tuple[list[Figure], list[Figure]]:
    """Splits each group in two: the first, third, .. in order of lengths and clients, and those between."""
    chosen: list[Figure] = []
    unseen: list[Figure] = []
    for group in dict.fromkeys(row.group for row in rows):
        own = [row for row in rows if row.group == group]
        own.sort(key=lambda row: (row.prompt_tokens, row.output_tokens, row.clients, row.tpot_ms))
        chosen += own[::2]
        unseen += own[1::2]
    return chosen, unseen


def fit(rows: Sequence[Figure], engine: EngineSpec, queued: int = 0) -> Constants:
    """The constants under which the rows come out best, none of them negative; `before_ms` at most 50 ms.

    Those of the time per token: least squares of its relative errors; the one per iteration alone where all rows have
    the same number of clients. Then that of the time to the first token: least mean of the absolute relative errors.
    """
    true = np.array([row.tpot_ms for row in rows])
    n = 2 if len({row.clients for row in rows}) > 1 else 1
    now = np.array([load_catalogue().overhead_ms, 0.0])[:n]

    def tpot(constants: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([play(row, engine, queued, Constants(*constants))["tpot"] for row in rows])

    for _ in range(3):  # nearly linear: the third step moves nothing that shows
        base = tpot(now)
        slopes = np.column_stack(
            [(tpot(now + step * one) - base) / step for step, one in zip(_STEPS, np.eye(n), strict=False)]
        )
        rest = true - base + slopes @ now
        now = lsq_linear(slopes / true[:, None], rest / true, bounds=(0, np.inf), method="bvls").x
    constants = Constants(*(float(value) for value in now))
    waits = sorted(
        (row.ttft_ms - play(row, engine, queued, constants)["ttft"], 1 / row.ttft_ms)
        for row in rows
        if not math.isnan(row.ttft_ms)
    )
    if not waits:
        return constants
    gaps, weights = np.array(waits).T
    middle = gaps[np.searchsorted(weights.cumsum(), weights.sum() / 2)]
    return replace(constants, before_ms=min(max(0.0, float(middle)), _MOST_BEFORE_MS))


def errors(
    rows: Iterable[Figure], engine: EngineSpec, queued: int, constants: Constants
) -> dict[str, NDArray[np.float64]]:
    """Relative errors in per cent by name in `METRICS`, float64 (n,) each; NaN where nothing was measured."""
    found = [(play(row, engine, queued, constants), row.times_ms) for row in rows]
    return {name: np.array([100 * (got[name] / true[name] - 1) for got, true in found]) for name in METRICS}


@dataclass(frozen=True)
class Result:
    """A figure with its errors in per cent, by name in `METRICS`; NaN where nothing was measured.

    Attributes:
        figure: The figure.
        unseen: Whether no constant of its group was chosen on it.
        preset: Under its settings, with the preset's overhead.
        fitted: Under its settings, with the constants chosen on the other half of its group.
        constants: Those constants.
    """

    figure: Figure
    unseen: bool
    preset: Mapping[str, float]
    fitted: Mapping[str, float]
    constants: Constants


def results(rows: Sequence[Figure]) -> Iterator[Result]:
    """The result of each figure, whose settings must be known; group by group, each half in turn."""
    chosen, unseen = halves(rows)
    for group in dict.fromkeys(row.group for row in rows):
        seen, other = ([row for row in half if row.group == group] for half in (chosen, unseen))
        settings = seen[0].settings
        engine, queued = make_engine(settings), _queued(settings)
        usual = Constants(find_preset(settings["preset"]).overhead_ms.value)
        constants = fit(seen, engine, queued)
        for row, is_unseen in [*((row, False) for row in seen), *((row, True) for row in other)]:
            off = [errors([row], engine, queued, one) for one in (usual, constants)]
            preset, fitted = ({name: float(one[name][0]) for name in METRICS} for one in off)
            yield Result(row, is_unseen, preset, fitted, constants)


@dataclass(frozen=True)
class Candidate:
    """A preset with the constants that fit best.

    Attributes:
        settings: What `Scenario.engine` takes.
        constants: The constants.
        score: Mean absolute errors of the times per token and to the first token, each over its `BARS`, added up.
        errors: As of the function `errors`, on the rows that it was fitted to.
    """

    settings: Mapping[str, Any]
    constants: Constants
    score: float
    errors: Mapping[str, NDArray[np.float64]]

    @property
    def queued(self) -> int:
        """Clients that always wait."""
        return _queued(self.settings)

    def on(self, rows: Iterable[Figure]) -> dict[str, NDArray[np.float64]]:
        """Errors on other rows, as of the function `errors`."""
        return errors(rows, make_engine(self.settings), self.queued, self.constants)


def candidates(rows: Sequence[Figure]) -> list[Candidate]:
    """Every preset fitted to rows of one worker, with and without the defaults of its GPU; the best comes first."""
    found: list[Candidate] = []
    for settings in tqdm(list(_settings(rows[0].gpu)), rows[0].group, file=sys.stderr, disable=None, leave=False):
        engine, queued = make_engine(settings), _queued(settings)
        constants = fit(rows, engine, queued)
        off = errors(rows, engine, queued, constants)
        means = {name: np.abs(off[name][~np.isnan(off[name])]) for name in BARS}
        score = sum(float(sizes.mean()) / BARS[name] for name, sizes in means.items() if len(sizes))
        found.append(Candidate(settings, constants, score, off))
    return sorted(found, key=lambda one: one.score)


def _queued(settings: Mapping[str, Any]) -> int:
    return int(find_preset(settings["preset"]).queued.value)


def _settings(gpu: str) -> Iterable[dict[str, Any]]:
    for name in PRESETS:
        yield {"preset": name}
        if EngineSpec.preset(name, gpu=gpu) != EngineSpec.preset(name):
            yield {"preset": name, "gpu": gpu}


def snippet(row: Figure, best: Candidate) -> str:
    """The fields `engine` and `workers` of a scenario with the worker of a figure, as JSON."""
    constants = replace(best.constants, **{key: round(value, 4) for key, value in asdict(best.constants).items()})
    model, gpu, tp, weights = row.worker
    worker: dict[str, Any] = {"model": model, "gpu": gpu, "tp": tp, "weights": weights}
    if row.worker not in load_catalogue().pairs:
        worker["form"] = "published"
    if constants.sequence_ms:
        spec = constants.on(worker_of(row, 1))
        usual = asdict(IterationCost())
        cost = {key: value for key, value in asdict(spec.cost).items() if value != usual[key]}
        worker = {"kv_tokens": spec.kv_pages, "cost": cost, "kv_bytes_per_token": spec.kv_bytes_per_token}
    else:
        worker["overhead_ms"] = constants.overhead_ms
    return json.dumps({"engine": best.settings, "workers": [worker]}, indent=2)
