"""Plays agents against each other and shows who is fastest.

`python -m agents.leaderboard --quick` gives a first look in about a minute, without --quick it gives results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kvgym import _check, _command
from kvgym.evaluation import anchors
from kvgym.evaluation.runs import Store
from kvgym.scenarios import SPLITS, command_line
from kvgym.sim import EVICTORS

from . import freeze
from .entries import OWN, TRACKS
from .options import add_agents, cores
from .plan import DEFAULT_SCENARIOS, FLEET_SCENARIOS, make_plan
from .run import run
from .tables import FAILED, command_line_of, show

__all__ = ["FAILED", "INTERRUPTED", "USAGE", "main", "make_parser"]

USAGE, INTERRUPTED = 2, 130


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    text = "Plays agents on the same seeds and compares them with the reference, lbgr_code + rlt_code."
    parser = _command.parser("agents.leaderboard", text)
    parser.epilog = "Exit code: 0, 1 if an agent failed or broke a rule, 2 if an option is wrong, 130 if interrupted."
    add = parser.add_argument
    add("--track", choices=TRACKS, help=_TRACK)
    add("--quick", action="store_true", help="a smoke test: few agents and seeds, about a minute")
    add("--scenario", nargs="+", action="extend", metavar="NAME|FILE|module:name", help=_SCENARIO)
    add_agents(parser, "agents (default: those of the suite)")
    add("--router", nargs="+", action="extend", metavar="NAME|path.py:Class", help=_ROUTER)
    add("--evictor", nargs="+", action="extend", metavar="NAME", help=_EVICTOR)
    add("--seeds", type=int, metavar="N", help=f"episodes per scenario (default {anchors.N_SEEDS}, 3 with --quick)")
    add("--split", choices=SPLITS, help="workloads of which split (default test); all: all of a trace")
    command_line.add_options(parser)
    add("--load", nargs="+", action="extend", type=float, metavar="X", help=_LOAD)
    add("--workers", type=int, metavar="N", help="processes (default: one per core)")
    add("--out", type=Path, metavar="DIR", help="write results here, and do not play again what is here already")
    add("--anchors", action="store_true", help=_ANCHORS)
    freeze.add_options(parser)
    return parser


_TRACK = """route (default): agents that route; evict: agents and rules that evict, behind one router; joint: routers x
evictors, and agents that do both"""
_SCENARIO = f"""scenarios (default: all that need no file but the held-out {", ".join(FLEET_SCENARIOS)}; on evict
and joint those where evictors make a difference); your own: a .json or .yml file, or module:name"""
_ROUTER = "who routes: one on the track evict (default lbgr_code), the rows of the matrix on the track joint"
_EVICTOR = f"""on the track route, what each agent is played with: {OWN} (the scenario's) or evictors of the simulator;
on evict and joint, the evictors that are compared, on joint also agents:NAME and path.py:Class. Those of the
simulator: {", ".join(EVICTORS)}"""

_LOAD = """each scenario at these loads, of what the best known policy sustains (0.5 0.8 1.05); tables and scores of
each load apart"""
_ANCHORS = """find the best causal pair of each scenario, play it, the other anchors and the planner, and freeze what
they came to in the package; takes --scenario, --load, --rate-scale, --workers, --out and those of the planner"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code. Raises SystemExit(2) if an option is not allowed."""
    parser = make_parser()
    options = parser.parse_args(argv)
    command = command_line_of(parser.prog, sys.argv[1:] if argv is None else argv)
    try:
        return _main(parser, options, command)
    except KeyboardInterrupt:
        kept = "run again with the same --out to go on" if options.out else "nothing is kept without --out"
        print(f"\ninterrupted: {kept}", file=sys.stderr)
        return INTERRUPTED


def _main(parser: argparse.ArgumentParser, options: argparse.Namespace, command: str) -> int:
    try:
        workers = cores() if options.workers is None else _check.whole("--workers", options.workers, 1)
        if options.anchors:
            return freeze.freeze(options, (*DEFAULT_SCENARIOS, *FLEET_SCENARIOS), workers)
        options.split = options.split or "test"
        options.track = options.track or "route"
        plan = make_plan(options)
        store = Store(options.out / "runs" if options.out else None)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return show(plan, store, run(plan, store, workers), options.out, command)


if __name__ == "__main__":
    sys.exit(main())
