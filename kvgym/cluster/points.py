"""Iterations as rows of numbers: what costs are compared on, how far apart two are, and the grid of the fits."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.cluster.cost import PS_PER_MS, IterationCost

POINT = np.dtype([("prefill", "i8"), ("chunks", "i8"), ("s", "f8"), ("decodes", "i8"), ("kv", "i8")])
"""P, N, S, B and KV of an iteration, as in `IterationCost.duration_ps`."""

PART_NAMES = ("all", "decode", "prefill", "mixed")
_GPUS = {"a100": "a100-80g"}
_COLUMNS = ("pair", "prefill_tokens", "n_chunks", "hist", "decode_batch", "decode_ctx", "t_ms")


@dataclass(frozen=True)
class Errors:
    """Relative errors of one cost, in per cent of the times it is compared with.

    Attributes:
        n: Number of points.
        r2: Share of the variance of the times that is explained; NaN for less than two different times.
        mape: Mean of the absolute errors.
        p95: Their 95th percentile.
        max: The largest.
        bias: Mean of the errors.
    """

    n: int
    r2: float
    mape: float
    p95: float
    max: float
    bias: float

    @classmethod
    def of(cls, found: NDArray[np.float64], true: NDArray[np.float64]) -> "Errors":
        """Errors of the times `found` against `true`, both (n,); NaN for n = 0."""
        if not len(true):
            return cls(0, *[float("nan")] * 5)
        relative = (found / true - 1) * 100
        size = np.abs(relative)
        variance = ((true - true.mean()) ** 2).sum()
        r2 = 1 - ((found - true) ** 2).sum() / variance if variance > 0 else float("nan")
        p95 = np.percentile(size, 95)
        return cls(len(true), float(r2), float(size.mean()), float(p95), float(size.max()), float(relative.mean()))


def times_ms(cost: IterationCost, points: NDArray[Any]) -> NDArray[np.float64]:
    """Durations of iterations in ms, as the simulator computes them but for its rounding to picoseconds.

    Args:
        cost: The cost.
        points: POINT (n,).

    Returns:
        float64 (n,).
    """
    tokens = points["prefill"] + points["decodes"]
    a_s, c_n, c_b, q = cost.coefficients_ps()
    g = cost.g_ps(max(1, int(tokens.max(initial=1))))[tokens]
    rest = a_s * points["s"] + c_n * points["chunks"] + c_b * points["decodes"] + float(q) * points["kv"]
    result: NDArray[np.float64] = (g + rest) / PS_PER_MS
    return result


def parts(points: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    """Which points have decodes alone, prefills alone, both; and all of them."""
    prefill, decode = points["prefill"] > 0, points["decodes"] > 0
    masks = (np.ones(len(points), bool), decode & ~prefill, prefill & ~decode, prefill & decode)
    return dict(zip(PART_NAMES, masks, strict=True))


def errors_by_part(found: NDArray[np.float64], true: NDArray[np.float64], points: NDArray[Any]) -> dict[str, Errors]:
    """Errors of `found` against `true`, both (n,), on all `points` and on each part of them."""
    return {name: Errors.of(found[mask], true[mask]) for name, mask in parts(points).items()}


def make_points(rows: Sequence[tuple[int, int, int, int, int]]) -> NDArray[Any]:
    """POINT (n,) from rows (prefill tokens, chunks, history, decodes, context); the chunks are equal."""
    if not rows:
        return np.zeros(0, POINT)
    prefill, chunks, history, decodes, context = np.array(rows, np.int64).T
    each = prefill / np.maximum(chunks, 1)
    out = np.zeros(len(rows), POINT)
    out["prefill"], out["chunks"], out["s"] = prefill, chunks, prefill * (history + (each + 1) / 2)
    out["decodes"], out["kv"] = decodes, decodes * context
    return out


def usual_points(kv_tokens: int) -> NDArray[Any]:
    """Iterations over the range of the fits that a worker with this much KV memory can have.

    P 0 to 8,192 in 1 or 4 chunks after 0, 4k or 16k tokens, B 0 to 256 at contexts of 128 to 16k.

    Args:
        kv_tokens: Room for KV, in tokens.

    Returns:
        POINT (n,).
    """
    prefills = [(0, 0, 0), *product((64, 512, 2048, 8192), (1, 4), (0, 4096, 16384))]
    decodes = [(0, 0), *product((1, 8, 32, 64, 128, 256), (128, 1024, 4096, 16384))]
    rows = [
        (*prefill, *decode)
        for prefill, decode in product(prefills, decodes)
        if 0 < prefill[0] + prefill[1] * prefill[2] + decode[0] * decode[1] <= kv_tokens
    ]
    return make_points(rows)


def read_grid(path: str | Path) -> dict[tuple[str, str, int, str], tuple[NDArray[Any], NDArray[np.float64]]]:
    """Iteration times from a grid file, by pair.

    Args:
        path: A CSV file with the columns pair (source:model:gpu:tpN:weights), prefill_tokens, n_chunks, hist,
            decode_batch, decode_ctx and t_ms.

    Returns:
        For each (model, gpu, tp, weights): the points, POINT (n,), and their times in ms, float64 (n,).

    Raises:
        ValueError: If there is no such file, a column is missing, or a row can't be read; the message names it.
    """
    rows: dict[str, list[tuple[int, int, int, int, int]]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"grid {path} must have the columns {', '.join(_COLUMNS)}; it lacks {missing}")
            for row in reader:
                try:
                    prefill, chunks, history, decodes, context = (int(row[name]) for name in _COLUMNS[1:-1])
                    time = float(row["t_ms"])
                except (TypeError, ValueError):
                    raise ValueError(f"line {reader.line_num} of grid {path} must hold numbers, got {row}") from None
                if not time > 0:
                    raise ValueError(f"t_ms in line {reader.line_num} of grid {path} must be > 0, got {time}")
                rows[row["pair"]].append((prefill, chunks, history, decodes, context))
                times[row["pair"]].append(time)
    except OSError as error:
        raise ValueError(f"grid {path} can't be read: {error}") from None
    return {_key(name): (make_points(rows[name]), np.array(times[name])) for name in rows}


def _key(name: str) -> tuple[str, str, int, str]:
    """Key of a pair that a grid calls source:model:gpu:tpN:weights."""
    try:
        _, model, gpu, tp, weights = name.split(":")
        return model.removesuffix("-realattn"), _GPUS.get(gpu, gpu), int(tp.removeprefix("tp")), weights
    except ValueError:
        raise ValueError(f"pair of a grid must look like source:model:gpu:tpN:weights, got {name!r}") from None
