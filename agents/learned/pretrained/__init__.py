"""Trained networks that come with the suite: NAME.npz, weights as plain arrays, and its model card NAME.md.

Those of routers are read here, those of evictors by `agents.learned.leaf_scorer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym import _check

from .. import arrays

FOLDER = Path(__file__).resolve().parent
_ORIGIN = "origin"


@dataclass(frozen=True)
class Shipped:
    """Contents of a file.

    Attributes:
        weights: Of the network, float32, by the names that an `Actor` of `agents.learned.network` gives them.
        origin: What it was trained on and how, as `agents.learned.file.Trained` has it, with "env_kwargs".
    """

    weights: Mapping[str, NDArray[np.float32]]
    origin: Mapping[str, Any]


def names() -> list[str]:
    """The networks that there are."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def find(name: str) -> Path:
    """The file of a network.

    Args:
        name: One of `names()`, or a file ("mine.npz").

    Raises:
        ValueError: If it is neither.
    """
    return Path(name) if name.endswith(".npz") else FOLDER / f"{_check.choice('name', name, names())}.npz"


def read(name: str) -> Shipped:
    """Reads the network of a router; no code of its author's is run.

    Args:
        name: See `find`.

    Raises:
        ValueError: If there is none, or its file is not what `write` writes.
    """
    path = find(name)
    try:
        origin, weights = arrays.read(path, _ORIGIN, "a shipped network")
    except OSError as error:
        raise ValueError(f"{path} is not a shipped network: {error}") from error
    return Shipped(weights, origin)


def write(path: Path, shipped: Shipped) -> None:
    """Writes a file; it is there whole or not at all."""
    weights = {name: np.asarray(value, np.float32) for name, value in shipped.weights.items()}
    arrays.write(path, _ORIGIN, shipped.origin, weights)
