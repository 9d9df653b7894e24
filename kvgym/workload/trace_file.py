"""Traces as lines of text, plain or gzip, one file or a folder of them, with errors that say where and what."""

from __future__ import annotations

import gzip
import json
import math
import os
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from kvgym._check import flag, whole
from kvgym._progress import LINE_S, progress

L = TypeVar("L")
T = TypeVar("T")
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
        self.fields = value

    def error(self, message: str) -> TraceError:
        """An error at this place."""
        return TraceError(f"{self.place}: {message}")

    def __contains__(self, field: str) -> bool:
        """Whether there is a field."""
        return field in self.fields

    def get(self, field: str) -> Any:
        """A field's value, whatever its type."""
        if field not in self.fields:
            raise self.error(f"expected a field {field!r}, which is missing; got {_short(sorted(self.fields))}")
        return self.fields[field]

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


def read_records(
    source: TraceSource, parse: Callable[[Record], T], *, skip_bad: bool = False, header_lines: int = 0
) -> Iterator[T]:
    """What `parse` makes of the JSON objects of a file, one a line.

    Args:
        source: as in `read_lines`.
        parse: raises a TraceError for an object that is not in the format.
        skip_bad: lines that are not in the format are skipped; a warning counts them at the end.
        header_lines: as in `read_lines`.

    Raises:
        TraceError: for a line that is no JSON object or not in the format, unless there are others and `skip_bad`; as
            `read_lines`.
    """
    return parse_lines(
        read_lines(source, header_lines), lambda place, line: parse(Record(place, decode(place, line))), skip_bad
    )


def parse_lines(lines: Iterable[tuple[str, L]], parse: Callable[[str, L], T], skip_bad: bool = False) -> Iterator[T]:
    """What `parse` makes of places and lines; with `skip_bad` without those of which it makes a TraceError."""
    flag("skip_bad", skip_bad)
    bad, good, first = 0, 0, None
    for place, line in lines:
        try:
            made = parse(place, line)
        except TraceError as error:
            if not skip_bad:
                raise
            bad, first = bad + 1, first or error
            continue
        good += 1
        yield made
    if first and not good:
        raise first
    if first:
        warnings.warn(f"skipped {bad:,} of {bad + good:,} lines; the first: {first}", stacklevel=3)


def read_lines(source: TraceSource, header_lines: int = 0) -> Iterator[tuple[str, str]]:
    """Place and text of each line; those of white space only, and those that begin with #, are skipped.

    Says how far it is where that takes seconds.

    Args:
        source: a path, or an open file in text or binary mode (binary: seekable); gzip is known by its first bytes. Of
            a folder the files in order of their names, but those that begin with a dot or end in .md.
        header_lines: so many lines at the beginning of a file are skipped.

    Raises:
        TraceError: for a truncated or damaged gzip file, other text than UTF-8, or if there is no line.
    """
    whole("header_lines", header_lines, 0)
    if not isinstance(source, (str, os.PathLike)):
        yield from _placed(source, str(getattr(source, "name", "the file")), header_lines)
        return
    path = Path(source)
    paths = sorted(one for one in path.iterdir() if _is_part(one)) if path.is_dir() else [path]
    sizes = [one.stat().st_size for one in paths]
    done = at = 0
    with progress(lambda s: f"kvgym: reading {path}: {100 * (done + at) // max(1, sum(sizes))} %, {s:.0f} s", LINE_S):
        for one, size in zip(paths, sizes, strict=True):
            with one.open("rb") as file:
                for number, line in enumerate(_placed(file, str(one), header_lines)):
                    if number % 1000 == 0:
                        at = file.tell()
                    yield line
            done, at = done + size, 0
    if not paths:
        raise TraceError(f"{path}: expected at least one file in the folder")


def _is_part(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.suffix != ".md"


def decode(place: str, line: str) -> object:
    """The value of a line of JSON."""
    try:
        return json.loads(line)
    except ValueError as error:
        raise TraceError(f"{place}: expected a JSON object, got {_short(line)} ({error})") from None


def _placed(file: IO[str] | IO[bytes], name: str, header_lines: int) -> Iterator[tuple[str, str]]:
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
        if number > header_lines and line.strip() and not line.startswith("#"):
            found = True
            yield f"{name}, line {number}", line
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
