"""Infos of several environments as the one dictionary of arrays that Gymnasium makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def gather(n: int, places: Sequence[int], infos: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The infos of some environments as `VectorEnv._add_info` has them, without a search for each entry.

    Args:
        n: Number of environments.
        places: The environments that have an info.
        infos: Theirs: numbers, arrays of one shape per key, and dictionaries of these; `final_obs` stays an object.

    Returns:
        Per key an array with a row per environment, and as "_key" which rows are there.
    """
    gathered: dict[str, Any] = {}
    for key in dict.fromkeys(key for info in infos for key in info):
        having = [i for i, info in zip(places, infos, strict=True) if key in info]
        values = [info[key] for info in infos if key in info]
        there = np.zeros(n, bool)
        there[having] = True
        gathered[key] = gather(n, having, values) if isinstance(values[0], dict) else _column(n, key, having, values)
        gathered[f"_{key}"] = there
    return gathered


def _column(n: int, key: str, having: Sequence[int], values: Sequence[Any]) -> NDArray[Any]:
    if key == "final_obs":
        column = np.full(n, None, object)
        for i, value in zip(having, values, strict=True):
            column[i] = value
        return column
    rows = np.array(values)
    column = np.zeros((n, *rows.shape[1:]), rows.dtype)
    column[having] = rows
    return column
