"""JSON files that are whole or absent, with NaN as null, and hashes of what they hold."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class ResultError(ValueError):
    """A file that is not as its format says; the message holds the file and what was expected."""


def to_text(value: Any) -> str:
    """JSON with sorted keys: the same value gives the same text on every machine. NaN and infinity become null."""
    return json.dumps(_finite(value), sort_keys=True, indent=1, allow_nan=False) + "\n"


def sha256(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def digest(value: Any) -> str:
    """SHA-256 of a value's JSON."""
    return sha256(to_text(value).encode())


def read(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        ResultError: If the file holds anything else.
        OSError: If it can't be read.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultError(f"{path}: no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ResultError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def file_hashes(value: Any) -> dict[str, str]:
    """SHA-256 by name of each existing file that a string somewhere in `value` names: traces, checkpoints, code."""
    found: dict[str, str] = {}
    if isinstance(value, (Mapping, list, tuple)):
        for item in value.values() if isinstance(value, Mapping) else value:
            found |= file_hashes(item)
    elif path := _path_in(value):
        found[os.path.basename(path)] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return found


def without_folders(value: Any) -> Any:
    """`value` with paths of existing files cut to their names: a result says what was read, not where it lay."""
    if isinstance(value, Mapping):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_folders(item) for item in value]
    return os.path.basename(value) if _path_in(value) else value


def _path_in(value: Any) -> str | None:
    """The existing file that `value` names, as "path" or as "path:Class"."""
    if isinstance(value, str):
        for path in (value, value.rpartition(":")[0]):
            if os.path.isfile(path):
                return path
    return None


def source_hash(*folders: Path, but: Sequence[Path] = ()) -> str:
    """SHA-256 over the Python files in `folders` and the data that they read: other code is another result.

    Args:
        *folders: One inside another counts once, by itself: the hash is the same wherever they lie.
        but: Folders inside them that do not count.
    """
    total = hashlib.sha256()
    for folder in folders:
        inside = [other for other in (*folders, *but) if folder in other.parents]
        for path in sorted(folder.rglob("*")):
            if any(other in path.parents for other in inside):
                continue
            if path.suffix == ".py" or path.name in ("catalogue.json", "published.json"):
                total.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return total.hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
