"""Trains and scores learned baselines: every entry of a table with five training seeds each.

    python -m agents.zoo                                     hours: agents/zoo/table.toml
    python -m agents.zoo --entry ppo-gsp-stable --seeds 2 --minutes 1
    python -m agents.zoo --table mine.toml --out runs/mine   entries of your own
    python -m agents.zoo --quick                             two entries in their smallest form

Each run is a folder as agents.train makes it, each entry is scored on test seeds by a leaderboard in its folder. What
is done is kept: the same command again goes on, and several commands may fill one --out, an entry each. Writes zoo.md,
zoo.json and, with the extra "plot", pictures of the curves. Needs the extra "train".
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tabulate import tabulate

from kvgym import _check, _command
from kvgym.evaluation import anchors
from kvgym.evaluation.scoring import TRAINING_SEEDS

from ..leaderboard.run import clock
from ..train import SMDP
from . import page, training
from .entry import Entry
from .table import TABLE, Row, check_limits, read_table
from .training import Budget, Failed

QUICK_ENTRIES = ("ppo-gsp-stable", "smdp-gsp-stable")
QUICK_SEEDS = 2
OK, FAILED = 0, 1


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("agents.zoo", __doc__)
    add = parser.add_argument
    add("--entry", nargs="+", action="extend", metavar="NAME", help="entries of the table (all)")
    add("--table", type=Path, default=TABLE, metavar="FILE", help="another table, in TOML as agents/zoo/table.toml is")
    add("--seeds", type=int, metavar="N", help=f"training seeds of each entry ({TRAINING_SEEDS}, 2 with --quick)")
    add(
        "--minutes",
        type=float,
        metavar="M",
        help="of each training seed at most, in place of what the entry says",
    )
    add("--steps", type=int, metavar="N", help="decisions of each training seed, in place of what the entry says")
    add("--test-seeds", type=int, metavar="N", help=f"episodes per scenario ({anchors.N_SEEDS}, 2 with --quick)")
    add("--workers", type=int, metavar="N", help="processes that play test seeds (one per core)")
    add("--out", type=Path, default=Path("runs/zoo"), metavar="DIR", help="where all of it is kept (runs/zoo)")
    add("--quick", action="store_true", help=f"a smoke test: {' and '.join(QUICK_ENTRIES)}, 256 decisions each")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code. Raises SystemExit(2) if an option is not allowed."""
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        return _zoo(options)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("\ninterrupted: the same command goes on", file=sys.stderr)
        return _command.INTERRUPTED


def _zoo(options: argparse.Namespace) -> int:
    table = read_table(options.table)
    entries = _entries(options, table)
    # An --out of something else is refused before anything is trained.
    n_done = sum(entry.n_done() for entry in entries)
    n_runs = sum(entry.n_seeds for entry in entries)
    print(f"{len(entries)} entries, {n_runs} runs, {n_done} of them done{_limit(entries)}; all in {options.out}")
    failed: list[str] = []
    for entry in entries:
        try:
            entry.make()
        except Failed as error:
            failed.append(f"FAILED {entry.row.name}: {error}")
            print(failed[-1], file=sys.stderr)
        written = page.write(options.out, table)
    print(tabulate(page.rows(written), headers="keys", disable_numparse=True))
    print(*failed, f"all of it: {options.out / 'zoo.md'}, also as .json", sep="\n")
    return FAILED if failed else OK


def _entries(options: argparse.Namespace, table: dict[str, Row]) -> list[Entry]:
    """The entries that are asked for; raises a ValueError if an option is not allowed."""
    quick, ours = options.quick, options.table == TABLE
    names = options.entry or (QUICK_ENTRIES if quick and ours else table)
    rows = [table[_check.choice("--entry", name, table)] for name in dict.fromkeys(names)]
    seeds, tests = (QUICK_SEEDS, QUICK_SEEDS) if quick else (TRAINING_SEEDS, anchors.N_SEEDS)
    n_seeds = seeds if options.seeds is None else _check.whole("--seeds", options.seeds, 1)
    n_tests = tests if options.test_seeds is None else options.test_seeds
    if n_tests < n_seeds:
        raise ValueError(f"--test-seeds must be at least --seeds, {n_seeds}, which take turns; got {n_tests}")
    if options.workers is not None:
        _check.whole("--workers", options.workers, 1)
    check_limits("--steps", options.steps, "--minutes", options.minutes)
    for name in ("torch", *(["sb3_contrib"] if any(row.algorithm != SMDP for row in rows) else [])):
        if find_spec(name) is None:
            raise ValueError(f'{name} is not there, which the extra "train" brings: pip install "kvgym[train]"')
    budget = Budget(options.minutes, options.steps, quick)
    return [Entry(row, options.out / row.name, n_seeds, n_tests, options.workers, budget) for row in rows]


def _limit(entries: list[Entry]) -> str:
    """How long the training of all of it takes at most, in words; "" where decisions are the limit."""
    limits = [training.limits(entry.row, entry.budget)[1] for entry in entries]
    if None in limits:
        return ""
    total = sum(60 * (limit or 0) * entry.n_seeds for limit, entry in zip(limits, entries, strict=True))
    return f", at most {clock(total)} of training in all"


if __name__ == "__main__":
    sys.exit(main())
