"""The claims of arXiv 2601.18999 one by one: ours beside theirs, and what the paper left open.

    python -m studies.reproduce [--quick] [--part NAME ..] [--out DIR] [--workers N] [--docs]
    python -m studies.reproduce --page

Writes DIR/reproduction.json, DIR/reproduction.md and plots (extra `plot`). What was played is kept in DIR/kept and not
played again. With --part the other parts stay as they are there. --docs writes the page of docs/ as well, its JSON and
its plots; --page plays nothing and writes the page and the plots of docs/ from its JSON.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import kvgym
from kvgym import _atomic, _check, _command
from kvgym.evaluation import files

from . import page, plots
from .jobs import SPLIT, Kept, play_jobs
from .results import PARTS, SEEDS, SHORT, SWEEP_SEEDS, Plan

DOCS = Path(__file__).parents[2] / "docs"


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("studies.reproduce", __doc__)
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help=f"two episodes of {SHORT} requests each: whether it runs, not what comes out",
    )
    add("--part", nargs="+", choices=PARTS, metavar="NAME", default=list(PARTS), help=f"of {', '.join(PARTS)} (all)")
    add("--out", type=Path, metavar="DIR", default=Path("runs/reproduce"), help="where results go (runs/reproduce)")
    add("--workers", type=int, metavar="N", default=2, help="processes (2)")
    add("--docs", action="store_true", help="write docs/reproduction.md, its JSON and its plots, too; not with --quick")
    add("--page", action="store_true", help="play nothing: docs/reproduction.md and its plots from their JSON")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Plays what is not kept, and writes."""
    parser = make_parser()
    options = parser.parse_args(argv)
    if options.page:
        _show(page.FILE, DOCS / "reproduction.md", DOCS / "images")
        return
    try:
        workers = _check.whole("--workers", options.workers, 1)
        if options.docs and options.quick:
            raise ValueError("--docs must not go with --quick: the page is of whole episodes")
        results = measure(options.part, options.quick, options.out, workers)
    except ValueError as error:
        parser.error(str(error))
    for file, shown in _places(options.out, options.docs):
        _atomic.write(file, files.to_text(results))
        _show(file, *shown)


def _places(out: Path, docs: bool) -> list[tuple[Path, tuple[Path, Path]]]:
    """Where JSON goes, the page, and the folder of the plots."""
    places = [(out / "reproduction.json", (out / "reproduction.md", out))]
    return places + [(page.FILE, (DOCS / "reproduction.md", DOCS / "images"))] * docs


def measure(parts: list[str], quick: bool, out: Path, workers: int) -> dict[str, Any]:
    """The results of these parts, beside those of the others that are in `out` already.

    Raises:
        ValueError: If a file in `out` is not one of this command.
    """
    file = out / "reproduction.json"
    before = files.read(file) if file.is_file() else {}
    kept = Kept(out / "kept")
    plans = {name: Plan(PARTS[name], quick) for name in parts}
    jobs = list(dict.fromkeys(job for plan in plans.values() for job in plan.jobs()))
    print(f"{len(jobs)} episodes, {sum(kept.get(job) is None for job in jobs)} to play", file=sys.stderr, flush=True)
    found = play_jobs(jobs, kept, workers)
    old = before.get("parts", {}) if before.get("quick") == quick else {}
    measured = {name: plans[name].of(found) if name in plans else old[name] for name in PARTS if name in {*plans, *old}}
    return {
        "suite_version": kvgym.__version__,
        "quick": quick,
        "split": SPLIT,
        "seeds": SEEDS,
        "sweep_seeds": SWEEP_SEEDS,
        "parts": measured,
    }


def _show(file: Path, markdown: Path, images: Path) -> None:
    """Writes the page and the plots of a file of results."""
    results = files.read(file)
    _atomic.write(markdown, page.text(results))
    plots.draw(results, images)
    print(markdown)


if __name__ == "__main__":
    _command.run(main)
