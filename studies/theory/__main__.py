"""The theory behind RLT (arXiv 2601.18999), measured: log-competitive where LRU is linear.

    python -m studies.theory [--quick] [--out DIR --figures]

Four parts. "cyclic", "random" and "stale" ask k + 1 prompts that differ in one page where there is room for k, in an
order that hurts; printed are the pages that come into the cache over those of the optimum (belady) on the same
requests, and under them what theory expects. "groups" asks groups that share a prefix in cyclic order, from rounds that
fit into the cache to rounds twice as large; printed are hit rates, and under them those of an independent simulation.
notebooks/02_rlt_and_the_theory.ipynb tells the story.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tabulate import tabulate
from tqdm import tqdm

from kvgym import _atomic, _command
from kvgym._check import whole
from kvgym.evaluation import files

from .measure import EVICTORS, HitRate, Ratio, hit_rates, ratios
from .values import GROUPS, harmonic
from .workloads import ORDERS, leaf_order

USAGE = 2
PARTS = (*ORDERS, "groups")
DEFAULTS: dict[str, tuple[Any, Any]] = {
    "k": ([8, 16, 32, 64, 128, 256], [8, 16, 32]),
    "length": (4000, 400),
    "phases": (300, 100),
    "seeds": (3, 1),
}
"""Option -> its default, and that of --quick."""
GRID = [round(0.05 * i, 2) for i in range(16, 41)]  # W / B for the figure; the table shows those of GROUPS
_STALE_LIMIT = 32  # a phase of k has 3 k^2 requests
_TITLES = {
    "cyclic": "k + 1 prompts in cyclic order",
    "random": "k + 1 prompts in random order",
    "stale": f"k - 1 prompts in use, the k-th changes now and then (k up to {_STALE_LIMIT})",
}


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("studies.theory", __doc__)
    add = parser.add_argument
    sizes, length, phases, seeds = (default for default, _ in DEFAULTS.values())
    sizes = " ".join(map(str, sizes))
    add("--quick", action="store_true", help="a first look: small k, short runs, one seed")
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=f"of {', '.join(PARTS)}")
    add("--evictors", nargs="+", choices=EVICTORS, default=list(EVICTORS), metavar="NAME", help=", ".join(EVICTORS))
    add("--k", nargs="+", type=int, metavar="K", help=f"places for the prompts' own pages (default {sizes})")
    add("--length", type=int, metavar="N", help=f"N k requests of the cyclic and the random order (default {length})")
    add("--phases", type=int, metavar="N", help=f"phases of the stale order, 3 k^2 requests each (default {phases})")
    add("--rounds", type=int, default=32, metavar="N", help="rounds of the groups (default 32)")
    add("--seeds", type=int, metavar="N", help=f"runs of whatever is random (default {seeds})")
    add("--out", type=Path, metavar="DIR", help="write theory.json here")
    add("--figures", action="store_true", help="write figures there, too (needs matplotlib)")
    return parser


def check(options: argparse.Namespace) -> None:
    """Fills in what --quick shortens, and checks all options before anything is played.

    Raises:
        ValueError: If an option is not allowed.
    """
    for name, defaults in DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, defaults[options.quick])
    for name, least in (("length", 1), ("phases", 1), ("seeds", 1), ("rounds", 2)):
        whole(f"--{name}", getattr(options, name), least)
    for k in options.k:
        whole("--k", k, 2)
    for case in _leaf_cases(options):
        leaf_order(*case)
    if options.figures and options.out is None:
        raise ValueError("--figures needs --out: where should they go?")
    if options.figures:
        from .plots import need_matplotlib

        need_matplotlib()


def _leaf_cases(options: argparse.Namespace) -> list[tuple[str, int, int]]:
    """Order, k and length of each."""
    lengths = {"cyclic": options.length, "random": options.length, "stale": options.phases}
    chosen = [(order, k, length) for order, length in lengths.items() if order in options.parts for k in options.k]
    return [case for case in chosen if case[0] != "stale" or case[1] <= _STALE_LIMIT]


def measure(options: argparse.Namespace) -> tuple[list[Ratio], list[HitRate]]:
    """Plays everything; a progress bar is shown where standard error is a terminal."""
    cases = _leaf_cases(options)
    loads = (list(GROUPS) if options.quick else GRID) if "groups" in options.parts else []
    found: list[Ratio] = []
    rates: list[HitRate] = []
    with tqdm(total=len(cases) + len(loads), unit="case", leave=False, disable=None) as bar:
        for order, k, length in cases:
            bar.set_description(f"{order}, k = {k}")
            found += ratios(order, k, length, options.seeds, options.evictors)
            bar.update()
        for ratio in loads:
            bar.set_description(f"groups, W/B = {ratio}")
            rates += hit_rates(ratio, options.rounds, options.seeds, options.evictors)
            bar.update()
    return found, rates


def ratio_table(found: Sequence[Ratio], order: str) -> str:
    """Measured ratios of an order, a row per evictor, and what theory expects under each."""
    mine = [one for one in found if one.order == order]
    sizes = sorted({one.k for one in mine})
    rows: list[list[Any]] = []
    for evictor in dict.fromkeys(one.evictor for one in mine):
        cells = {one.k: one for one in mine if one.evictor == evictor}
        rows.append([evictor, *(cells[k].ratio for k in sizes)])
        if cells[sizes[0]].expected is not None:
            rows.append([f"{evictor} (theory)", *(cells[k].expected for k in sizes)])
    rows.append(["H_k", *(harmonic(k) for k in sizes)])
    return tabulate(rows, ["misses / optimum", *(f"k = {k}" for k in sizes)], floatfmt=".3f")


def group_table(rates: Sequence[HitRate], mixed: bool) -> str:
    """Measured hit rates of the cyclic groups, and under them those of the independent simulation."""
    mine = [one for one in rates if one.mixed == mixed and one.ratio in GROUPS]
    loads = sorted({one.ratio for one in mine})
    column = {("lru_node", False): 0, ("rlt_code", False): 1, ("rlt_code", True): 2}
    rows: list[list[Any]] = []
    for evictor in dict.fromkeys(one.evictor for one in mine):
        cells = {one.ratio: one.hit_rate for one in mine if one.evictor == evictor}
        rows.append([evictor, *(cells[ratio] for ratio in loads)])
        if (evictor, mixed) in column:
            rows.append([f"{evictor} (independent)", *(GROUPS[ratio][column[evictor, mixed]] for ratio in loads)])
    return tabulate(rows, ["hit rate", *(f"W/B = {ratio}" for ratio in loads)], floatfmt=".3f")


def show(found: Sequence[Ratio], rates: Sequence[HitRate]) -> None:
    """Prints the tables."""
    for order, title in _TITLES.items():
        if any(one.order == order for one in found):
            print(f"{title}\n\n{ratio_table(found, order)}\n")
    if rates:
        for mixed, title in ((False, "equal lengths"), (True, "lengths 1 : 2 : 4 : 8 : 16")):
            print(f"groups in cyclic order, {title}; W = tokens of a round, B = cache\n\n{group_table(rates, mixed)}\n")
    if errors := [one.error / one.ratio for one in found if one.error > 0]:
        print(f"largest standard error of a ratio: {max(errors):.1%}")


def save(options: argparse.Namespace, found: Sequence[Ratio], rates: Sequence[HitRate]) -> None:
    """Writes what was measured and with which options."""
    settings = {name: getattr(options, name) for name in ("k", "length", "phases", "rounds", "seeds")}
    result = {"settings": settings, "ratios": [asdict(one) for one in found], "groups": [asdict(one) for one in rates]}
    _atomic.write(options.out / "theory.json", files.to_text(result))
    if options.figures:
        from .plots import save_figures

        save_figures(options.out, found, rates)
    print(f"written: {options.out}")


def main(argv: Sequence[str] | None = None) -> int:
    """Plays, prints and writes; returns the exit code. Raises SystemExit(2) if an option is not allowed."""
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        check(options)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    found, rates = measure(options)
    show(found, rates)
    if options.out:
        save(options, found, rates)
    return 0


if __name__ == "__main__":
    _command.run(main)
