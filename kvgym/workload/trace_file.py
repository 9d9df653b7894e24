"""Traces as JSON lines, plain or gzip, with errors that say where and what."""

from __future__ import annotations

import gzip
import json
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

TraceSource = str | os.PathLike[str] | IO[str] | IO[bytes]
GZIP_MAGIC = b"\x1f\x8b"


class TraceError(ValueError):
    """A trace that is not as its format says: the message holds file, line and what was expected."""


class Record:
    """One JSON object of a trace and the place where it stands."""

    def __init__(self, place: str, value: object) -> None:
        """Takes a decoded value; `place` opens every message."""
        self.place = place
        if not isinstance(value, dict):
            raise self.error(f"expected a JSON object, got {_short(value)}")
        self._fields = value

    def error(self, message: str) -> TraceError:
        """An error at this place."""
        return TraceError(f"{self.place}: {message}")

    def get(self, field: str) -> Any:
        """A field's value, whatever its type."""
        if field not in self._fields:
            raise self.error(f"expected a field {field!r}, which is missing; got {_short(sorted(self._fields))}")
        return self._fields[field]

    def whole(self, field: str, low: int) -> int:
        """An integer field, at least `low`."""
        value = self.get(field)
        if not is_whole(value) or value < low:
            raise self.error(f"expected {field!r} to be an integer >= {low}, got {_short(value)}")
        return int(value)

    def seconds(self, field: str, unit: str = "seconds") -> float:
        """A time, finite and at least 0."""
        value = self.get(field)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise self.error(f"expected {field!r} to be {unit} >= 0, got {_short(value)}")
        return float(value)

    def optional_seconds(self, field: str) -> float | None:
        """A time, or None where the trace says null."""
        return None if self.get(field) is None else self.seconds(field)

    def items(self, field: str, what: str) -> list[Any]:
        """A list field."""
        value = self.get(field)
        if not isinstance(value, list):
            raise self.error(f"expected {field!r} to be a list of {what}, got {_short(value)}")
        return value


def is_whole(value: object) -> bool:
    """Whether a decoded JSON value is an integer that fits 32 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31


def read_records(source: TraceSource) -> Iterator[Record]:
    """The JSON objects of a file, one a line; lines of white space only are skipped.

    Args:
        source: a path, or an open file in text or binary mode (binary: seekable); gzip is known by its first bytes.

    Raises:
        TraceError: for a line that is no JSON object, a truncated or damaged gzip file, or a file without a record.
    """
    if isinstance(source, (str, os.PathLike)):
        with Path(source).open("rb") as file:
            yield from _records(file, str(source))
    else:
        yield from _records(source, str(getattr(source, "name", "the file")))


def _records(file: IO[str] | IO[bytes], name: str) -> Iterator[Record]:
    number, found = 0, False
    lines = _lines(file)
    while True:
        try:
            line = next(lines, None)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise TraceError(f"{name}, after line {number}: expected a complete gzip file ({error})") from None
        except UnicodeDecodeError as error:
            raise TraceError(f"{name}, after line {number}: expected UTF-8 text ({error})") from None
        if line is None:
            break
        number += 1
        if line.strip():
            found = True
            place = f"{name}, line {number}"
            try:
                value = json.loads(line)
            except ValueError as error:
                raise TraceError(f"{place}: expected a JSON object, got {_short(line)} ({error})") from None
            yield Record(place, value)
    if not found:
        raise TraceError(f"{name}: expected at least one record, got an empty file")


def _lines(file: IO[str] | IO[bytes]) -> Iterator[str]:
    lines: IO[str] | IO[bytes] | gzip.GzipFile = file
    if isinstance(file.read(0), bytes):
        position = file.tell()
        magic = file.read(len(GZIP_MAGIC))
        file.seek(position)
        if magic == GZIP_MAGIC:
            lines = gzip.GzipFile(fileobj=cast(IO[bytes], file))
    for line in lines:
        yield line if isinstance(line, str) else line.decode("utf-8")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
