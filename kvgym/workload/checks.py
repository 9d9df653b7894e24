"""Checks of columns: each raises a ValueError that names the argument, the value and what is allowed."""

from __future__ import annotations

from reprlib import repr as short_repr

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kvgym._check import finite

MAX_INT32 = 2**31 - 1
MAX_SEGMENT = 2**62 - 1
MAX_SECONDS = 4e6  # 46 days: sums of two times stay far inside int64 picoseconds


def positive(name: str, value: object, maximum: float = 1e9) -> float:
    """A number in (0, maximum]."""
    if finite(name, value, 0.0, maximum) == 0.0:
        raise ValueError(f"{name} must be > 0, got {value!r}")
    return finite(name, value)


def wholes(name: str, values: ArrayLike, n: int | None, low: int, high: int = MAX_INT32) -> NDArray[np.int64]:
    """(n,) int64 of integers in low .. high; any length where n is None."""
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be a flat sequence of integers: {error}") from None
    if array.size == 0 and array.ndim == 1:
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        got = f"got shape {array.shape}, dtype {array.dtype}: {short_repr(values)}"
        raise ValueError(f"{name} must be a flat sequence of integers, {got}")
    check_length(name, len(array), n)
    if array.size and (array.min() < low or array.max() > high):
        i = int(np.argmax((array < low) | (array > high)))
        raise ValueError(f"{name}[{i}] must be in {low} .. {high}, got {array[i]}")
    return np.ascontiguousarray(array, np.int64)


def picoseconds(name: str, values: ArrayLike, n: int, given: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(n,) int64 picoseconds of n times in seconds; -1 where not `given`."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be a flat sequence of seconds: {error}") from None
    if array.ndim != 1:
        raise ValueError(f"{name} must be a flat sequence of seconds, got shape {array.shape}")
    check_length(name, len(array), n)
    bad = given & ~((array >= 0) & (array <= MAX_SECONDS))
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(f"{name}[{i}] must be seconds in 0 .. {MAX_SECONDS:g}, got {array[i]}")
    return np.rint(np.where(given, array, -1e-12) * 1e12).astype(np.int64)


def check_length(name: str, length: int, n: int | None) -> None:
    """Whether a column has an entry per row."""
    if n is not None and length != n:
        raise ValueError(f"{name} must have length {n}, got {length}")
