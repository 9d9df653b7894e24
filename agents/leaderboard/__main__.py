"""Plays agents against each other and shows who is fastest.

`python -m agents.leaderboard --quick` gives a first look in about a minute, without --quick it gives results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from kvgym import _check, _command
from kvgym.evaluation import anchors, files
from kvgym.evaluation.remote import DECISION_TIMEOUT_S
from kvgym.evaluation.runs import Store
from kvgym.scenarios import SPLITS, command_line
from kvgym.sim import EVICTORS

from . import folder, freeze, stored
from .backends import add_places, opened
from .entries import OWN, TRACKS
from .options import add_agents
from .plan import QUICK_SCENARIOS, make_plan
from .run import run
from .seats import Terms
from .tables import FAILED, show

__all__ = ["COMMANDS", "FAILED", "INTERRUPTED", "USAGE", "main", "make_parser"]

USAGE, INTERRUPTED = 2, 130


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    text = "Plays agents on the same seeds and compares them with the reference, lbgr_code + rlt_code."
    parser = _command.parser("agents.leaderboard", text)
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("--track", choices=TRACKS, help=_TRACK)
    add("--quick", action="store_true", help="a smoke test: few agents and seeds, about a minute")
    add("--scenario", nargs="+", action="extend", metavar="NAME|FILE|module:name", help=_SCENARIO)
    add_agents(parser, "agents (default: those of the suite)")
    add("--router", nargs="+", action="extend", metavar="NAME|path.py:Class", help=_ROUTER)
    add("--evictor", nargs="+", action="extend", metavar="NAME", help=_EVICTOR)
    add("--seeds", metavar="N|A-B", help=f"episodes per scenario (default {anchors.N_SEEDS}, 3 with --quick), or which")
    add("--split", choices=SPLITS, help="workloads of which split (default test); all: all of a trace")
    command_line.add_options(parser)
    add("--load", nargs="+", action="extend", type=float, metavar="X", help=_LOAD)
    add_places(parser)
    add("--decision-timeout", type=float, default=DECISION_TIMEOUT_S, metavar="SECONDS", help=_TIMEOUT)
    add("--charge-decision-time", action="store_true", help=_CHARGE)
    add("--out", type=Path, metavar="DIR", help="write results here, and do not play again what is here already")
    add("--anchors", action="store_true", help=_ANCHORS)
    freeze.add_options(parser)
    return parser


_EPILOG = """Exit code: 0, 1 if an agent failed or broke a rule, 2 if an option is wrong, 130 if interrupted.
Before the options may stand a command, each with --help of its own: run (what this page is about),
aggregate DIR [DIR ..], verify DIR|FILE.zip, submit DIR, anchors (the same as --anchors)."""
_TRACK = """route (default): agents that route; evict: agents and rules that evict, behind one router; joint: routers x
evictors, and agents that do both"""
_SCENARIO = f"""scenarios (default: the ranked ones; with --quick {", ".join(QUICK_SCENARIOS)}); your own: a .json or
.yml file, or module:name"""
_CHARGE = """each decision takes as long in the simulated cluster as it took here: the request waits, and those behind
it (default: none; --set decision_s=SECONDS for the same of all)"""
_LOAD = """each scenario at these loads, of what the best known policy sustains (0.5 0.8 1.05); tables and scores of
each load apart"""
_ANCHORS = """find the best causal pair of each scenario, play it, the other anchors and the planner, and freeze what
they came to in the package; takes --scenario, --load, --rate-scale, --out, where to play, and those of the planner"""
_TIMEOUT = f"that a decision, or a reset, of an agent from a file may take ({DECISION_TIMEOUT_S:g})"
_ROUTER = "who routes: one on the track evict (default lbgr_code), the rows of the matrix on the track joint"
_EVICTOR = f"""on the track route, what each agent is played with: {OWN} (the scenario's) or evictors of the simulator;
on evict and joint, the evictors that are compared, on joint also agents:NAME and path.py:Class. Those of the
simulator: {", ".join(EVICTORS)}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code. Raises SystemExit(2) if an option is not allowed."""
    words = sys.argv[1:] if argv is None else [str(word) for word in argv]
    command, rest = (words[0], words[1:]) if words and words[0] in COMMANDS else ("run", words)
    try:
        return COMMANDS[command](rest)
    except KeyboardInterrupt:
        kept = "run again with the same --out to go on" if "--out" in words else "nothing is kept without --out"
        print(f"\ninterrupted: {kept}", file=sys.stderr)
        return INTERRUPTED


def _run(words: list[str]) -> int:
    parser = make_parser()
    options = parser.parse_args(words)
    try:
        if options.anchors:
            return freeze.freeze(options)
        place = opened(options)
        options.split = options.split or "test"
        options.track = options.track or "route"
        timeout = _check.finite("--decision-timeout", options.decision_timeout)
        terms = Terms(folder.salt(options.out), timeout, options.charge_decision_time)
        plan = replace(make_plan(options), terms=terms)
        store = Store(options.out / folder.RUNS if options.out else None)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if not options.out:
        return show(folder.Kept(plan, run(plan, store, place), words), store, None)
    command = files.without_folders(words)
    folder.write(options.out, folder.Kept(plan, {}, command))
    kept = folder.Kept(plan, run(plan, store, place), command)
    folder.write(options.out, kept)
    return show(kept, store, options.out)


def _aggregate(words: list[str]) -> int:
    return stored.aggregate(words, show)


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": _run,
    "aggregate": _aggregate,
    "verify": stored.verify,
    "submit": stored.submit,
    "anchors": lambda words: _run(["--anchors", *words]),
}


if __name__ == "__main__":
    sys.exit(main())
