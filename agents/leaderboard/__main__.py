"""Plays agents against each other and shows who is fastest.

`python -m agents.leaderboard --quick` gives a first look in about a minute, without --quick it gives results.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np

import kvgym
from kvgym import _atomic, _check, _command
from kvgym.evaluation import Episode, anchors, files, report, scoring, standings
from kvgym.evaluation.remote import DECISION_TIMEOUT_S
from kvgym.evaluation.runs import Store
from kvgym.evaluation.standings import Board, Failure, Player
from kvgym.evaluation.statistics import Floats
from kvgym.scenarios import SPLITS, command_line
from kvgym.sim import EVICTORS

from . import folder, stored
from .backends import Submit, add_places, opened
from .entries import ANCHORS, OWN, TRACKS, Entry
from .options import add_agents
from .plan import FLEET_SCENARIOS, Case, Plan, Task, anchor_plan, make_plan
from .run import run
from .seats import Terms

FAILED, USAGE, INTERRUPTED = 1, 2, 130


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
    add_places(parser)
    add("--decision-timeout", type=float, default=DECISION_TIMEOUT_S, metavar="SECONDS", help=_TIMEOUT)
    add("--charge-decision-time", action="store_true", help=_CHARGE)
    add("--out", type=Path, metavar="DIR", help="write results here, and do not play again what is here already")
    add("--anchors", action="store_true", help="play the anchors on all scenarios and freeze them in the package")
    return parser


_EPILOG = """Exit code: 0, 1 if an agent failed or broke a rule, 2 if an option is wrong, 130 if interrupted.
Before the options may stand a command, each with --help of its own: run (what this page is about),
aggregate DIR [DIR ..], verify DIR|FILE.zip, submit DIR, anchors (the same as --anchors)."""
_TRACK = """route (default): agents that route; evict: agents and rules that evict, behind one router; joint: routers x
evictors, and agents that do both"""
_SCENARIO = f"""scenarios (default: all that need no file but the held-out {", ".join(FLEET_SCENARIOS)}; on evict
and joint those where evictors make a difference); your own: a .json or .yml file, or module:name"""
_CHARGE = """each decision takes as long in the simulated cluster as it took here: the request waits, and those behind
it (default: none; --set decision_s=SECONDS for the same of all)"""
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
        place = opened(options)
        if options.anchors:
            _only_anchors(options)
            return freeze(place)
        options.split = options.split or "test"
        options.track = options.track or "route"
        timeout = _check.finite("--decision-timeout", options.decision_timeout)
        terms = Terms(folder.salt(options.out), timeout, options.charge_decision_time)
        plan = replace(make_plan(options), terms=terms)
        store = Store(options.out / folder.RUNS if options.out else None)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if not options.out:
        return show(plan, store, run(plan, store, place), None)
    command = files.without_folders(words)
    folder.write(options.out, folder.Kept(plan, {}, command))
    errors = run(plan, store, place)
    folder.write(options.out, folder.Kept(plan, errors, command))
    return show(plan, store, errors, options.out)


def _aggregate(words: list[str]) -> int:
    return stored.aggregate(words, lambda kept, store, out: show(kept.plan, store, dict(kept.errors), out))


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": _run,
    "aggregate": _aggregate,
    "verify": stored.verify,
    "submit": stored.submit,
    "anchors": lambda words: _run(["--anchors", *words]),
}


def _only_anchors(options: argparse.Namespace) -> None:
    given = [name for name, value in vars(options).items() if value not in (None, False)]
    if extra := sorted(set(given) - {"anchors", "workers", "backend", "ray_address", "decision_timeout"}):
        raise ValueError(f"--anchors is played as it must be; it takes no --{extra[0].replace('_', '-')}")


def freeze(place: AbstractContextManager[Submit] | None) -> int:
    """Plays the anchors and writes the file that scores are checked against."""
    plan = anchor_plan()
    store = Store(None)
    errors = run(plan, store, place)
    for failure in errors.values():
        print(f"{failure.verdict}: {failure.reason}", file=sys.stderr)
    if errors:
        return FAILED
    found: dict[str, anchors.Anchors] = {}
    for case in plan.cases:
        random, reference = (_episodes(task, store) or [] for task in plan.tasks(case))
        found[case.scenario.name] = one = anchors.Anchors(
            version=case.scenario.version,
            seeds=plan.seeds,
            random=np.array([episode.J for episode in random]),
            reference=np.array([episode.J for episode in reference]),
            utilisation=float(np.mean([episode.metrics["utilisation"] for episode in random])),
        )
        means = f"random {one.random.mean():8.3f} s, reference {one.reference.mean():8.3f} s"
        print(f"{case.scenario.name:12} {means}, u = {one.utilisation:.2f}: {one.tier}")
    anchors.save(found, kvgym.__version__)
    print(f"written: {anchors.PATH}")
    return 0


def show(plan: Plan, store: Store, errors: dict[str, Failure], out: Path | None) -> int:
    """Prints the tables, and writes them where they are wanted; returns the exit code."""
    boards: list[Board] = []
    oracles: set[Entry] = set()
    costs: dict[str, list[dict[Entry, Floats]]] = defaultdict(list)
    notes: list[str] = []
    for case in plan.cases:
        names, board = _board(case, plan, store, errors)
        if isinstance(board, str):
            notes.append(board)
            continue
        boards.append(board)
        oracles |= {entry for entry, player in names.items() if player.oracle}
        costs[board.tier].append({entry: board.costs[one] for entry, one in names.items() if one in board.costs})
    players = {entry: entry.player(entry.evictor, entry in oracles) for entry in plan.entries}
    overall = {
        tier: {players[entry]: score for entry, score in scoring.aggregate(found, *ANCHORS).items()}
        for tier, found in sorted(costs.items())
        if tier != "not counted"
    }
    notes += dict.fromkeys(f"{player.agent}: {player.training}" for player in players.values() if player.training)
    result = report.Report(
        kvgym.__version__, plan.split, len(plan.seeds), plan.smoke, boards, overall, notes, plan.track, plan.axes
    )
    print(report.terminal(result, shutil.get_terminal_size((120, 24)).columns))
    if out:
        table, numbers = out / "leaderboard.md", out / "leaderboard.json"
        _atomic.write(table, report.markdown(result))
        _atomic.write(numbers, files.to_text(report.as_dict(result)))
        print(f"all columns: {table}; all numbers: {numbers}; episodes: {out / 'runs'}")
    return FAILED if errors else 0


def _board(case: Case, plan: Plan, store: Store, errors: dict[str, Failure]) -> tuple[dict[Entry, Player], Board | str]:
    """Who each entry is on a scenario, and its table, or why there is none."""
    played: dict[Player, list[Episode]] = {}
    failed: dict[Player, Failure] = {}
    names: dict[Entry, Player] = {}
    for task in plan.tasks(case):
        episodes = _episodes(task, store)
        oracle = any(episode.oracle for episode in episodes or ())
        player = names[task.entry] = task.entry.player(task.entry.evictor_on(case.scenario), oracle)
        if episodes is None:
            failed[player] = errors.get(task.identity.key, Failure("not all seeds were played"))
        else:
            played[player] = episodes
    random, reference = (names[entry] for entry in ANCHORS)
    for anchor in (random, reference):
        if anchor in failed:
            reason = f"no table without its anchor {anchor}: {failed[anchor].reason}"
            return names, f"FAILED {case.scenario.name}: {reason}"
    n = None if case.parts is None else len(played[reference])
    board = standings.board(case.scenario, case.overrides, plan.split, played, failed, random, reference, n)
    board.notes.extend(case.notes)
    for entry, player in names.items():
        if entry.needs == "sessions" and not case.has_sessions:
            board.notes.append(f"{player.agent} goes by sessions, and no session comes back here")
    costs = [board.costs[names[entry]] for entry in plan.entries[len(ANCHORS) :] if names[entry] in played]
    if plan.track == "evict" and len(costs) > 1 and all(np.array_equal(costs[0], other) for other in costs):
        board.notes.append("all evictors are equal here: nothing was evicted, or nothing that was asked for again")
    return names, board


def _episodes(task: Task, store: Store) -> list[Episode] | None:
    """The episodes of all seeds; None if one is missing."""
    done = store.episodes(task.identity)
    return [done[seed] for seed in task.seeds] if all(seed in done for seed in task.seeds) else None


if __name__ == "__main__":
    sys.exit(main())
