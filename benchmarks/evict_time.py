"""Time of one eviction decision of each evictor against the size of the cache, on one thread.

    python -m benchmarks.evict_time [--pages 1000 .. 200000] [--rounds 9] [--out DIR]

A cache is filled with prompts of four pages that share nothing, so that it has a leaf per four pages. A third of them
is asked for again, and those that will be asked for next are known to the oracle. Then a compiled loop calls the
evictor for one page at a time, for a twentieth of the pages, at most a thousand times (fifty times, where a call looks
at every leaf). A first call is not timed: where leaves lie in a heap, it builds that. The time per call is that of the
fastest of several rounds, each on a fresh copy of the tables: other programs only add to it. Nothing else is timed.

The tables grow with the cache, up to some ten megabytes, and what does not depend on the number of leaves becomes
slower nevertheless when they leave the processor's caches. "(a random leaf)" tells by how much: it draws a leaf, reads
it, writes it, and goes on to the next when that is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.timing import report
from kvgym import _command
from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.sim import EVICTORS, Simulator
from kvgym.workload import Workload

SIZES = (1000, 3000, 10_000, 30_000, 100_000, 200_000)
PROMPT_PAGES = 4
MOST_DECISIONS, MOST_SCANS = 1000, 50
SCANS = ("workload_aware",)
"""Evictors that look at every leaf."""
BASELINE = "(a random leaf)"

Times = dict[str, list[float]]
"""By evictor: ns per decision, by size."""
Driver = Callable[[int, int, int, int], None]


def make_drivers() -> tuple[Driver, Driver]:
    """Compiles the loops: over evictions, and over reads of a leaf that is drawn."""
    from numba import njit

    from kvgym.sim.base.access import rows, workers
    from kvgym.sim.base.random import below
    from kvgym.sim.cache.eviction import evict
    from kvgym.sim.evictors.leaves import leaves

    @njit("void(int64, int64, int64, int64)")
    def drive(s: int, q: int, rule: int, decisions: int) -> None:
        for _ in range(decisions):
            evict(s, 0, q, rule, 1)

    @njit("void(int64, int64, int64, int64)")
    def draw_and_read(s: int, q: int, rule: int, decisions: int) -> None:
        worker = workers(s)[0]
        more = 0
        for _ in range(decisions):
            row = rows(s)[leaves(s)[below(worker, worker.n_leaves + more)]]
            row.phase += 1
            more = row.cached - PROMPT_PAGES  # always 0, but the processor has to wait for it

    return drive, draw_and_read


def filling(pages: int) -> tuple[Workload, int]:
    """Requests that fill a cache of `pages` pages, and others that come later; how many fill it."""
    rng = np.random.default_rng(pages)
    n = pages // PROMPT_PAGES
    prompt = np.concatenate([np.arange(n), rng.permutation(n)[: n // 3], rng.permutation(n)])
    zeros, ones = np.zeros_like(prompt), np.ones_like(prompt)
    lengths, times = np.full_like(prompt, PROMPT_PAGES), np.arange(len(prompt)) * 1e-3
    workload = Workload.from_segments(
        np.arange(len(prompt) + 1), prompt, zeros, lengths, ones, times, 1, sessions=prompt, turns=prompt % 4
    )
    return workload, n + n // 3


def filled(evictor: str, workload: Workload, pages: int, n: int) -> Simulator:
    """A simulator whose only worker has a full cache and nothing to do."""
    cluster = ClusterSpec.uniform(1, pages, IterationCost(k=1e-3, a_s=1e-6))
    simulator = Simulator(cluster, EngineSpec(1, chunk_tokens=64, max_running=1), evictor, "round_robin")
    simulator.reset(workload, limit=n)
    simulator.run()
    assert simulator.totals()["evicted"][0] == 0
    assert simulator.tables["workers"]["free"][0] == 0
    return simulator


def measure(evictors: Sequence[str], sizes: Sequence[int], rounds: int) -> Times:
    """Evictors take turns, so that a noisy machine is noisy for all of them."""
    drive, draw_and_read = make_drivers()
    times: Times = {evictor: [] for evictor in (*evictors, BASELINE)}
    for pages in tqdm(sizes, unit="size", disable=None):
        workload, n = filling(pages)
        simulators = {evictor: filled(evictor, workload, pages, n) for evictor in evictors}
        simulators[BASELINE] = filled("random", workload, pages, n)
        fastest = dict.fromkeys(simulators, float("inf"))
        for _ in range(rounds):
            for name, simulator in simulators.items():
                copy = simulator.clone()
                address, is_baseline = copy.address, name == BASELINE
                decisions = min(MOST_SCANS if name in SCANS else MOST_DECISIONS, pages // 20)
                rule, loop = (0, draw_and_read) if is_baseline else (EVICTORS.index(name), drive)
                loop(address, n - 1, rule, 1)  # the first one builds the heap
                began = time.perf_counter()
                loop(address, n - 1, rule, decisions)
                fastest[name] = min(fastest[name], (time.perf_counter() - began) / decisions)
                evicted = int(copy.totals()["evicted"][0])
                assert evicted == 0 if is_baseline else decisions < evicted <= PROMPT_PAGES * (decisions + 1)
        for name, seconds in fastest.items():
            times[name].append(1e9 * seconds)
    return times


def growth(times: Times, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Time per decision by evictor and size, and the slope of its logarithm over that of the number of leaves."""
    table = []
    for evictor, ns in times.items():
        slope = float(np.polyfit(np.log(leaf_counts(sizes)), np.log(ns), 1)[0]) if len(ns) > 1 else float("nan")
        by_size = {f"{pages:,} pages (ns)": y for pages, y in zip(sizes, ns, strict=True)}
        table.append({"evictor": evictor, **by_size, "exponent": slope})
    return table


def leaf_counts(sizes: Sequence[int]) -> list[int]:
    return [pages // PROMPT_PAGES for pages in sizes]


def draw(times: Times, sizes: Sequence[int], path: Path) -> None:
    """Draws the times, both axes logarithmic, with the evictors' names at the ends of their curves."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axis = figure.subplots()
    ends = []
    leaves = leaf_counts(sizes)
    for evictor, y in times.items():
        colour = "#555555" if evictor == BASELINE else "#c0392b" if evictor in SCANS else "#1f5fa8"
        axis.loglog(leaves, y, "o:" if evictor == BASELINE else "o-", color=colour, ms=3, lw=1.2, alpha=0.8)
        ends.append((y[-1], evictor, colour))
    last = leaves[-1]
    lowest, highest = (pick(map(pick, times.values())) for pick in (min, max))
    gap = (highest / lowest) ** (1 / 26)
    place = 0.0
    for y, evictor, colour in sorted(ends):
        place = max(y, place * gap)
        axis.annotate(
            evictor,
            (last, y),
            (last * 1.5, place),
            color=colour,
            fontsize=8,
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.4, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)},
            annotation_clip=False,
        )
    axis.set(xlabel="leaves (a quarter of the cached pages)", ylabel="ns per decision that frees one page")
    axis.set_xlim(right=last * 5)
    axis.set_ylim(lowest / 2, max(highest, place) * 2)
    axis.set_title(
        "Blue: no look at other leaves. Red: a look at every leaf. Dotted: a leaf drawn and read",
        loc="left",
        fontsize=10,
    )
    axis.grid(True, which="major", lw=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=160)


def main(argv: list[str] | None = None) -> None:
    parser = _command.parser("benchmarks.evict_time", __doc__)
    add = parser.add_argument
    add("--evictors", nargs="+", choices=EVICTORS, default=list(EVICTORS), metavar="NAME", help=", ".join(EVICTORS))
    add("--pages", type=int, nargs="+", default=list(SIZES), metavar="N", help="sizes of the cache, multiples of 20")
    add("--rounds", type=int, default=9)
    add("--out", type=Path, metavar="DIR", help="write evict_time.json and evict_time.png here (needs matplotlib)")
    args = parser.parse_args(argv)
    if min(args.pages) < 20 or any(pages % 20 for pages in args.pages) or args.rounds < 1:
        parser.error("--pages must be multiples of 20, --rounds at least 1")
    if args.out is not None and find_spec("matplotlib") is None:
        parser.error('--out needs matplotlib, which is not installed: pip install "kvgym[plot]"')
    sizes = sorted(set(args.pages))
    times = measure(args.evictors, sizes, args.rounds)
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        draw(times, sizes, args.out / "evict_time.png")
    out = None if args.out is None else args.out / "evict_time.json"
    report("time of one eviction decision, one thread", growth(times, sizes), out)


if __name__ == "__main__":
    main()
