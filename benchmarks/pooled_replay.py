"""Hit rates of all evictors on a recorded trace: one cache, one request after the other, no service times.

    python -m benchmarks.pooled_replay --trace FILE --format mooncake --pages 4000 8000 16000

A page is a block of 512 tokens. The hit rate is the share of the pages of all prompts that were there. Requests come in
recorded order, at recorded times; each finishes before the next one comes. The last block of a prompt in a Mooncake
trace counts as a whole one, as it does wherever such traces are replayed by their ids. Such a trace names no sessions:
a request is taken to go on with the session of the longest earlier prompt that it begins with, the last page of that
one excepted, which may not have been full. (The first page alone does not count: prompts of strangers begin alike.)
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate
from tqdm import tqdm

from kvgym import _command
from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost, worker_spec
from kvgym.sim import EVICTORS, Simulator
from kvgym.workload import TraceError, Workload, read_agent_sessions, read_mooncake

PAGE_TOKENS = 512
SESSION_GAP_S = 60  # agent sessions start one a minute
FORMATS = ("mooncake", "agent-sessions")
USAGE = 2
_SPEED_UP = 1e-6  # requests of one moment are done within microseconds, so idle times are those of the trace


def read(path: Path, format: str, sessions: int | None = None) -> Workload:
    """The requests of a trace one by one: prompts of whole pages and one token more, one output token."""
    if format == "mooncake":
        arrival_ps = read_mooncake(path, PAGE_TOKENS).requests["arrival_ps"]  # as it is: complains of what is wrong
        pages = prompt_pages(read_mooncake(_whole_blocks(path), PAGE_TOKENS))
        return one_by_one(pages, arrival_ps * 1e-12, *guess_sessions(pages))
    workload = read_agent_sessions(
        path, PAGE_TOKENS, sessions_per_s=1 / SESSION_GAP_S, starts="fixed", max_sessions=sessions
    )
    requests = workload.requests
    return one_by_one(prompt_pages(workload), _recorded_times(path, sessions), requests["session"], requests["turn"])


def _whole_blocks(path: Path) -> io.BytesIO:
    """The trace with prompts as long as their blocks."""
    lines = []
    for line in _open(path):
        row = json.loads(line)
        row["input_length"] = PAGE_TOKENS * len(row["hash_ids"])
        lines.append(json.dumps(row))
    return io.BytesIO("\n".join(lines).encode())


def _recorded_times(path: Path, sessions: int | None) -> NDArray[np.float64]:
    """When the requests of agent sessions would arrive at the recorded pace, the order in which the reader has them."""
    times = []
    for number, line in zip(range(sys.maxsize if sessions is None else sessions), _open(path), strict=False):
        times += [SESSION_GAP_S * number + request["t"] for request in json.loads(line)["reqs"]]
    return np.sort(times)


def _open(path: Path) -> io.BytesIO:
    data = path.read_bytes()
    return io.BytesIO(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)


def prompt_pages(workload: Workload) -> list[list[int]]:
    """Ids of the full pages of each prompt: equal where the whole prefix is."""
    first_page = np.cumsum(workload.nodes["n_pages"]) - workload.nodes["n_pages"]
    found = []
    for request in workload.requests:
        path = workload.paths[request["path_start"] : request["path_start"] + request["path_nodes"]]
        pages = [page for v in path for page in range(first_page[v], first_page[v] + workload.nodes["n_pages"][v])]
        found.append(pages[: request["prompt_pages"]])
    return found


def guess_sessions(pages: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Session and turn of each request, from what it shares with earlier ones."""
    last: dict[int, int] = {}  # last but one page of a prompt to the last such prompt
    session, turn = np.arange(len(pages)), np.zeros(len(pages), np.int64)
    for q, held in enumerate(pages):
        before = next((last[page] for page in reversed(held[1:]) if page in last), None)
        if before is not None:
            session[q], turn[q] = session[before], turn[before] + 1
        if len(held) > 2:
            last[held[-2]] = q
    return session, turn


def one_by_one(
    pages: Sequence[Sequence[int]], times: NDArray[np.float64], sessions: NDArray[np.int64], turns: NDArray[np.int64]
) -> Workload:
    """Open-loop requests with these prompts: a page each of these ids, and a token that is computed in any case."""
    n_pages = 1 + max(max(held, default=0) for held in pages)
    counts = np.array([len(held) for held in pages])
    splits = np.append(0, np.cumsum(counts + 1))
    segments = np.concatenate([[*held, n_pages + q] for q, held in enumerate(pages)])
    lengths = np.full(len(segments), PAGE_TOKENS)
    lengths[splits[1:] - 1] = 1
    return Workload.from_segments(
        splits,
        segments,
        0 * segments,
        lengths,
        np.ones_like(counts),
        times,
        PAGE_TOKENS,
        sessions=sessions,
        turns=turns,
    )


def simulator(pages: int, evictor: str) -> Simulator:
    """One worker that has room for `pages` pages beside the odd token, and serves one request at a time."""
    cost = worker_spec("llama-3.1-8b", "h100").cost  # for the evictor that weighs by cost
    scaled = {
        field.name: getattr(cost, field.name) * _SPEED_UP
        for field in dataclasses.fields(IterationCost)
        if field.name not in ("p", "knots")
    }
    cluster = ClusterSpec.uniform(1, pages + 1, dataclasses.replace(cost, **scaled))
    return Simulator(cluster, EngineSpec(PAGE_TOKENS, chunk_tokens=2**20, max_running=1), evictor, "round_robin")


def hit_pages(workload: Workload, pages: int, evictor: str) -> int:
    """Pages found in a cache of `pages` pages."""
    replay = simulator(pages, evictor)
    replay.reset(workload)
    replay.run()
    return int(replay.totals()["hit"][0])


def options(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = _command.parser("benchmarks.pooled_replay", __doc__)
    add = parser.add_argument
    add("--trace", type=Path, required=True, metavar="FILE", help="JSON lines, plain or gzip")
    add("--format", choices=FORMATS, required=True)
    add("--pages", type=int, nargs="+", required=True, metavar="N", help="sizes of the cache")
    add("--sessions", type=int, metavar="N", help="only the first ones, of agent sessions (default all)")
    add("--evictors", nargs="+", choices=EVICTORS, default=list(EVICTORS), metavar="NAME", help=", ".join(EVICTORS))
    return parser.parse_args(argv)


def report(args: argparse.Namespace) -> str:
    """Results of the replays of all evictors at all sizes."""
    if min(args.pages) < 1:
        raise ValueError(f"--pages must be at least 1, got {min(args.pages)}")
    whole = read(args.trace, args.format, args.sessions)
    distinct = int(whole.nodes["n_pages"].sum())
    kept = {pages: whole.drop_oversized(pages + 1) for pages in args.pages}
    table: list[list[str | float]] = [[evictor] for evictor in args.evictors]
    todo = [(row, pages) for row in table for pages in args.pages]
    for row, pages in tqdm(todo, unit="replay", disable=None):
        rate = hit_pages(kept[pages], pages, str(row[0])) / int(kept[pages].requests["prompt_pages"].sum())
        row.append(rate)
    held = f"{int(whole.requests['prompt_pages'].sum()):,} pages, {distinct:,} of them different"
    lines = [f"{len(whole):,} requests of {len(np.unique(whole.requests['session'])):,} sessions, {held}"]
    lines += [
        f"too large for {pages:,} pages: {workload.n_dropped} requests, left out"
        for pages, workload in kept.items()
        if workload.n_dropped
    ]
    head = ["hit rate of pages", *(f"{pages:,}" for pages in args.pages)]
    return "\n".join(lines) + "\n\n" + tabulate(table, head, floatfmt=".3f")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = options(argv)
    try:
        print(report(args))
    except (OSError, TraceError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return _command.INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
