"""Reader of traces that know lengths only: tables as those of Azure, BurstGPT and others."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress

from kvgym.workload.arrivals import poisson_arrivals
from kvgym.workload.random import Seed
from kvgym.workload.timed import Row, TimeUnit, from_zero, open_loop, seconds
from kvgym.workload.trace_file import Record, TraceError, TraceSource, decode, parse_lines, read_lines
from kvgym.workload.workload import Workload

# Names of columns: Azure 2023 and 2024; BurstGPT; vidur; others that occur.
TIME = ("TIMESTAMP", "Timestamp", "timestamp", "arrived_at", "arrival_time")
PROMPT = ("ContextTokens", "Request tokens", "num_prefill_tokens", "input_length", "prompt_tokens")
OUTPUT = ("GeneratedTokens", "Response tokens", "num_decode_tokens", "output_length", "completion_tokens")
SESSION = ("Session ID", "session_id")


def read_lengths(
    source: TraceSource,
    page_size: int,
    *,
    rate: float | None = None,
    rate_scale: float = 1.0,
    window_s: tuple[float, float] = (0.0, math.inf),
    max_requests: int | None = None,
    jitter: float = 0.0,
    seed: Seed = 0,
    time_unit: TimeUnit = "s",
    skip_bad: bool = False,
    header_lines: int = 0,
) -> Workload:
    """Open-loop requests from a CSV table with a head, or JSON lines: times, tokens of prompts, tokens of answers.

    Columns (or fields) are known by their names, in any order. Those of Azure 2023 and 2024 are `TIMESTAMP`,
    `ContextTokens`, `GeneratedTokens`, those of BurstGPT `Timestamp`, `Request tokens`, `Response tokens`, `Session
    ID`, those of vidur `arrived_at`, `num_prefill_tokens`, `num_decode_tokens`; a few more occur. Times are numbers or
    dates, sorted or not; the first one becomes 0. Nothing is known of the content, so nothing is shared. An answer of
    length 0 counts as 1.

    Args:
        source: a path, a folder or an open file; plain or gzip.
        page_size: tokens per page.
        rate: requests per second of Poisson arrivals, in a table without times.
        rate_scale: 2 = twice as fast.
        window_s: (start, end): only requests with start <= time < end; start becomes 0.
        max_requests: only the first ones of the window.
        jitter: adds a uniform time in [0, jitter) to each time and sorts, before `rate_scale`.
        seed: of the jitter and the Poisson arrivals.
        time_unit: of times that are numbers, "ms" or "s".
        skip_bad: skips, and counts in a warning, lines that are not in the format.
        header_lines: lines in front of the head that are skipped.

    Raises:
        TraceError: for a trace not in this format.
        ValueError: for another argument, or a window without requests.
    """
    rows = list(_rows(source, time_unit, skip_bad, header_lines, timed=rate is None))
    if rate is not None:
        arrivals = poisson_arrivals(seed, len(rows), rate).tolist()
        rows = [row._replace(time=time) for row, time in zip(rows, arrivals, strict=True)]
    return open_loop(
        from_zero(rows),
        page_size,
        block_tokens=1,
        name="lengths",
        rate_scale=rate_scale,
        window_s=window_s,
        max_requests=max_requests,
        jitter=jitter,
        seed=seed,
    )


def _rows(source: TraceSource, unit: TimeUnit, skip_bad: bool, header_lines: int, timed: bool) -> Iterator[Row]:
    columns: Sequence[str] = ()
    sessions: dict[object, int] = {}

    def parse(place: str, line: str) -> Row:
        if line.startswith("{"):
            record = Record(place, decode(place, line))
        else:
            values = next(csv.reader([line]))
            if len(values) != len(columns):
                raise TraceError(f"{place}: expected {len(columns)} columns, got {len(values)}")
            record = Record(place, dict(zip(columns, values, strict=True)))
        session = record.fields.get(_name(record, SESSION))
        return Row(
            _time(record, _name(record, TIME), unit) if timed else 0.0,
            _tokens(record, _name(record, PROMPT), 1),
            _tokens(record, _name(record, OUTPUT), 0),
            session=sessions.setdefault(session, len(sessions)) if session not in (None, "") else -1,
        )

    def body() -> Iterator[tuple[str, str]]:
        nonlocal columns
        name = ""
        for place, line in read_lines(source, header_lines):
            file = place.rpartition(", line")[0]
            if file == name or line.startswith("{"):
                yield place, line
                continue
            name, columns = file, [one.strip() for one in next(csv.reader([line]))]
            head = Record(place, dict.fromkeys(columns))
            for names in (TIME, PROMPT, OUTPUT) if timed else (PROMPT, OUTPUT):
                _name(head, names)

    yield from parse_lines(body(), parse, skip_bad)


def _name(record: Record, names: Sequence[str]) -> str:
    """The first of these names that a record has."""
    found = next((one for one in names if one in record), "")
    if not found and names is not SESSION:
        hint = "; or give a rate of arrivals" if names is TIME else ""
        raise record.error(f"expected one of {', '.join(names)}, got {', '.join(record.fields)}{hint}")
    return found


def _time(record: Record, field: str, unit: TimeUnit) -> float:
    with suppress(ValueError):  # else it is a date, or no time
        record = Record(record.place, {field: float(record.get(field))})
    return seconds(record, field, unit)


def _tokens(record: Record, field: str, low: int) -> int:
    text = record.get(field)
    with suppress(ValueError, TypeError):
        number = float(text)
        if number.is_integer() and low <= number < 2**31:
            return int(number)
    raise record.error(f"expected {field!r} to be an integer >= {low}, got {text!r}")
