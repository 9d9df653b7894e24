"""Files of plain arrays and what is said about them: no code of their author's is run when they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym import _atomic


def write(path: Path, key: str, about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes a file; it is there whole or not at all.

    Args:
        path: The file.
        key: Under which `about` is found: a file of another kind has another one.
        about: Plain values, as JSON has them.
        arrays: By names other than `key`.
    """
    held: dict[str, Any] = {**arrays, key: json.dumps(dict(about))}
    with _atomic.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **held)


def read(path: Path, key: str, what: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What `write` was given of a file.

    Args:
        path: The file.
        key: As `write` was given it.
        what: What it should be, for the error.

    Raises:
        ValueError: If it is not what `write` writes.
        OSError: If it can't be read.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        about: dict[str, Any] = json.loads(str(arrays.pop(key)))
    except OSError:
        raise
    except Exception as error:  # what zipfile, NumPy and json raise
        raise ValueError(f"{path} is not {what}: {error}") from error
    return about, arrays
