"""An episode as a trace of Chrome's format: `kvgym trace --out trace.json`, for chrome://tracing or Perfetto."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kvgym import _atomic, _command
from kvgym.watch.command_line import add_options, films
from kvgym.watch.film import WORKER_ROWS, Film
from kvgym.watch.payload import plain_of

Plain = dict[str, Any]

_TO_US = 1e6
# Threads of a worker's process, in the order in which they are shown.
_ITERATIONS, _TRANSFERS, _FAULTS = range(3)


def trace(film: Film) -> str:
    """The film as JSON: workers are processes; their lanes, threads; requests, asynchronous events; memory, counters.

    Format: "Trace Event Format" of Chrome, object form, times in microseconds.
    """
    plain = plain_of(film)
    events = [
        *_names(plain),
        *_iterations(plain),
        *_moves(plain),
        *_requests(plain),
        *_memory(film),
        *_decisions(plain),
    ]
    about = {"agent": film.agent, "scenario": film.scenario.name, "seed": film.seed, "split": film.split}
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms", "otherData": about}, allow_nan=False)


def _names(plain: Plain) -> Iterator[dict[str, Any]]:
    router = len(plain["workers"])
    yield {"ph": "M", "pid": router, "name": "process_name", "args": {"name": "router"}}
    for w, worker in enumerate(plain["workers"]):
        yield {"ph": "M", "pid": w, "name": "process_name", "args": {"name": f"worker {w}: {worker['name']}"}}
        for lane, name in ((_ITERATIONS, "iterations"), (_TRANSFERS, "transfers"), (_FAULTS, "faults")):
            yield {"ph": "M", "pid": w, "tid": lane, "name": "thread_name", "args": {"name": name}}


def _span(worker: int, lane: int, name: str, start: float, end: float, **arguments: Any) -> dict[str, Any]:
    times = {"ts": start * _TO_US, "dur": (end - start) * _TO_US}
    return {"ph": "X", "pid": worker, "tid": lane, "name": name, **times, "args": arguments}


def _rows(columns: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _iterations(plain: Plain) -> Iterator[dict[str, Any]]:
    for row in _rows(plain["iterations"]):
        worker, start, end = row.pop("worker"), row.pop("start"), row.pop("end")
        kinds = [kind for kind in ("prefill", "decode") if row["prefill_tokens" if kind == "prefill" else "decodes"]]
        yield _span(worker, _ITERATIONS, " + ".join(kinds) or "iteration", start, end, **row)


def _moves(plain: Plain) -> Iterator[dict[str, Any]]:
    for row in _rows(plain["transfers"]):
        name = f"request {row['request']} from worker {row['source']}"
        yield _span(row["target"], _TRANSFERS, name, row["start"], row["end"])
    for row in _rows(plain["faults"]):
        yield _span(row["worker"], _FAULTS, row["kind"], row["start"], row["end"])


def _requests(plain: Plain) -> Iterator[dict[str, Any]]:
    """Each request as a bar over its life, in parts: waiting, prefill, decode."""
    for row in _rows(plain["requests"]):
        times = [row["arrival"], row["admitted"], row["first_token"], row["finish"]]
        if None in times:
            continue
        about = {"cat": "request", "id": row["request"], "pid": row["worker"], "tid": 0}
        name = f"request {row['request']}"
        yield {"ph": "b", "name": name, "ts": times[0] * _TO_US, "args": row, **about}
        for part, start, end in zip(("waiting", "prefill", "decode"), times, times[1:], strict=False):
            yield {"ph": "b", "name": part, "ts": start * _TO_US, **about}
            yield {"ph": "e", "name": part, "ts": end * _TO_US, **about}
        yield {"ph": "e", "name": name, "ts": times[3] * _TO_US, **about}


def _memory(film: Film) -> Iterator[dict[str, Any]]:
    for time, workers in zip(film.times.tolist(), film.workers.tolist(), strict=True):
        for w, row in enumerate(workers):
            values = dict(zip(WORKER_ROWS, row, strict=True))
            pages = {"locked": values["locked"], "cached": values["cached"]}
            yield {"ph": "C", "pid": w, "name": "KV pages", "ts": time * _TO_US, "args": pages}
            requests = {"running": values["running"], "queued": values["queued"]}
            yield {"ph": "C", "pid": w, "name": "requests", "ts": time * _TO_US, "args": requests}


def _decisions(plain: Plain) -> Iterator[dict[str, Any]]:
    """A mark per decision, on the router's line."""
    router = len(plain["workers"])
    found = plain["decisions"]
    for i, time in enumerate(found["time"]):
        arguments = {"request": found["request"][i], "action": found["action"][i]}
        for name in ("scores", "costs"):
            if found[name] is not None:
                arguments[name] = found[name][i]
        kind = "route" if found["asking"][i] < 0 else f"evict on worker {found['asking'][i]}"
        if kind == "route" and found["action"][i] == router:
            kind = "refuse"
        yield {"ph": "i", "s": "t", "pid": router, "tid": 0, "name": kind, "ts": time * _TO_US, "args": arguments}


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("kvgym.watch.trace", str(__doc__).split("\n")[0])
    parser.add_argument("--agent", default="lbgr", metavar="NAME|path.py:Class", help="who plays (lbgr)")
    add_options(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", required=True, help="the file")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = make_parser()
    options = parser.parse_args(argv)
    (film,) = films(parser, options, [options.agent], options.out)
    _atomic.write(options.out, trace(film))
    print(f"{options.out}: open it in chrome://tracing or https://ui.perfetto.dev")
    return 0


if __name__ == "__main__":
    _command.run(main)
