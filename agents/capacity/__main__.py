"""The highest rate that each router sustains on a fleet, and the fewest workers for a rate.

kvgym capacity --trace requests.jsonl.gz --fleet fleet.yml --ttft-p95 2 --tpot-p95 0.05
kvgym capacity --scenario gsp-stable --count 4 16 --agent llmd lmetric --evictor own ghost_slru
kvgym capacity --trace requests.jsonl.gz --fleet fleet.yml --rate 20
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from tabulate import tabulate

import kvgym
from kvgym import _atomic, _check, _command
from kvgym.evaluation import files
from kvgym.evaluation.report import number
from kvgym.evaluation.standings import Failure
from kvgym.scenarios import Scenario

from ..leaderboard.entries import Entry
from ..leaderboard.plan import Task
from . import common
from .common import Setting
from .search import FEWEST_FOR_INTERVAL, TOLERANCE, Found, Goal, fewest_workers, highest_rate, plain

FAILED, INTERRUPTED = 1, 130
MOST_WORKERS = 1024
_SHORT_S = 300.0


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("agents.capacity", __doc__)
    common.add_options(parser)
    add = parser.add_argument
    add(
        "--ttft-p95", type=float, metavar="S", help="95th percentile of the time to first token (scenario's slo_ttft_s)"
    )
    add("--tpot-p95", type=float, metavar="S", help="95th percentile of the time per output token (slo_tpot_s)")
    add("--attainment", type=float, metavar="SHARE", help="instead: share of requests inside slo_ttft_s and slo_tpot_s")
    add("--count", type=int, nargs="+", metavar="N", help="numbers of workers to do it for (the scenario's)")
    add("--rate", type=float, metavar="R", help="find the fewest workers for R requests per second instead")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code. Raises SystemExit(2) if an option is not allowed."""
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        setting = common.make_setting(options)
        goal = make_goal(options, setting.case.scenario)
        offered = common.offered_rate(setting.case.scenario, setting.seeds, setting.split)
        searches = make_searches(options, setting, goal, offered)
        store = common.open_store(options)
        found = common.play(options, searches, store)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        kept = "run again with the same --out to go on" if options.out else "nothing is kept without --out"
        print(f"\ninterrupted: {kept}", file=sys.stderr)
        return INTERRUPTED
    value = as_dict(options, setting, goal, offered, found)
    print(text(value))
    if options.out:
        file = options.out / "capacity.json"
        _atomic.write(file, files.to_text(value))
        print(f"\nall numbers: {file}; episodes: {options.out / 'runs'}")
    return FAILED if any(isinstance(one, Failure) for one in found.values()) else 0


def make_goal(options: argparse.Namespace, scenario: Scenario) -> Goal:
    """What must hold.

    Raises:
        ValueError: If nothing must, or a limit is not allowed.
    """
    if options.attainment is not None:
        if not _check.finite("--attainment", options.attainment, maximum=1.0) > 0:
            raise ValueError(f"--attainment must be above 0, got {options.attainment}")
        if not (scenario.slo_ttft_s or scenario.slo_tpot_s):
            raise ValueError("--attainment is of slo_ttft_s and slo_tpot_s: give one of them with --set or --fleet")
        return Goal({}, {"slo_attainment": options.attainment})
    given = {"ttft_p95": options.ttft_p95, "tpot_p95": options.tpot_p95}
    if all(limit is None for limit in given.values()):
        given = {"ttft_p95": scenario.slo_ttft_s or None, "tpot_p95": scenario.slo_tpot_s or None}
    limits = {name: _check.finite(f"--{name.replace('_', '-')}", x) for name, x in given.items() if x is not None}
    if not limits or not all(limits.values()):
        raise ValueError("there is no goal: give --ttft-p95, --tpot-p95 or --attainment, or --set slo_ttft_s=2")
    return Goal(limits)


def make_searches(options: argparse.Namespace, setting: Setting, goal: Goal, offered: float) -> dict[Any, Any]:
    """A search for each router and evictor, on each number of workers; by entry and number, 0 where that is sought."""
    own = len(setting.case.scenario.cluster)
    if options.rate is not None:
        if options.count:
            raise ValueError("--count is given where a rate is sought, and sought where --rate is given: not both")
        if not _check.finite("--rate", options.rate) > 0 or math.isnan(offered):
            raise ValueError(
                f"--rate must be above 0, and the scenario's arrivals spread over time; got {options.rate}"
            )
        scale = setting.case.scenario.rate_scale * options.rate / offered
        return {
            (entry, 0): fewest_workers(partial(_on_workers, setting, entry, scale), goal, own, MOST_WORKERS)
            for entry in setting.entries
        }
    counts = [_check.whole("--count", count, 1) for count in options.count or [own]]
    return {
        (entry, count): highest_rate(partial(_at_scale, setting, entry, {} if count == own else {"count": count}), goal)
        for count in counts
        for entry in setting.entries
    }


def _on_workers(setting: Setting, entry: Entry, scale: float, count: float) -> Task:
    return setting.task(entry, {"count": int(count), "rate_scale": scale})


def _at_scale(setting: Setting, entry: Entry, fleet: dict[str, Any], scale: float) -> Task:
    return setting.task(entry, {**fleet, "rate_scale": setting.case.scenario.rate_scale * scale})


def as_dict(
    options: argparse.Namespace, setting: Setting, goal: Goal, offered: float, found: dict[Any, Any]
) -> dict[str, Any]:
    """All numbers, the same whatever played them."""
    scenario = setting.case.scenario
    rows = [_row(entry, count, one, scenario, offered) for (entry, count), one in found.items()]
    order = "best" if options.rate is None else "workers"
    rows.sort(key=lambda row: (row["workers"] if order == "best" else 0, _place(row, order)))
    return {
        "schema_version": 1,
        "suite_version": kvgym.__version__,
        "scenario": scenario.name,
        "overrides": files.without_folders(setting.case.overrides),
        "goal": str(goal),
        "split": setting.split,
        "seeds": len(setting.seeds),
        "offered_rate": offered,
        "rate": options.rate,
        "notes": _notes(setting, rows, options.rate is None),
        "rows": rows,
    }


def _place(row: dict[str, Any], order: str) -> float:
    value = row.get("rate" if order == "best" else "workers")
    return math.inf if value is None or math.isnan(value) else -value if order == "best" else value


def _row(entry: Entry, count: int, found: Found | Failure, scenario: Scenario, offered: float) -> dict[str, Any]:
    who = {"agent": entry.label, "evictor": entry.evictor_on(scenario), "workers": count}
    if isinstance(found, Failure):
        return {**who, "error": found.reason}
    if count == 0:  # it was sought
        return {**who, "workers": found.best, "found": plain(found)}
    rates = {name: offered * getattr(found, end) for name, end in (("rate", "best"), ("low", "low"), ("high", "high"))}
    return {**who, **rates, "headroom": 1 / found.best, "found": plain(found)}


def _notes(setting: Setting, rows: list[dict[str, Any]], of_rates: bool) -> list[str]:
    found = setting.notes()
    n = len(setting.seeds)
    if of_rates and n < FEWEST_FOR_INTERVAL:
        found.append(f"{n} seed{'s' * (n > 1)}: no intervals, they need {FEWEST_FOR_INTERVAL}")
    highest = max((row.get("rate") or 0.0 for row in rows), default=0.0)
    requests = setting.case.scenario.warmup_requests + setting.case.scenario.episode_requests
    if of_rates and highest and requests / highest < _SHORT_S:
        found.append(
            f"at {highest:.3g} requests/s an episode is over in {requests / highest:.0f} s, in which a queue may grow "
            "without being seen: play more requests (--max-requests, --set episode_requests=..)"
        )
    return found


def text(value: dict[str, Any]) -> str:
    """The table for a terminal."""
    of_rates = value["rate"] is None
    seeds = f"{value['seeds']} seed{'s' * (value['seeds'] > 1)}"
    lines = [
        f"kvgym {value['suite_version']}: {value['scenario']}, split {value['split']}, {seeds}, "
        f"{number(value['offered_rate'])} requests/s as they are",
        f"goal: {value['goal']} (means over the seeds)",
        *(f"note: {note}" for note in value["notes"]),
        "",
    ]
    rows = [_cells(row, of_rates) for row in value["rows"]]
    named = ["agent", "evictor", "workers"]
    sought = ["highest rate [1/s]", "95 %", "headroom", "limits", "episodes"]
    table = tabulate(rows, named + (sought if of_rates else ["one fewer", "episodes"]), "simple", disable_numparse=True)
    end = (
        f"highest rate: to {TOLERANCE:.0%}. headroom: the rate as it is over the highest. limits: what fails beyond."
        if of_rates
        else f"workers: the fewest for {value['rate']:g} requests/s. one fewer: what fails then."
    )
    return "\n".join([*lines, table, "", end])


def _workers(count: float) -> str:
    return f"more than {MOST_WORKERS}" if math.isnan(count) else str(int(count))


def _cells(row: dict[str, Any], of_rates: bool) -> list[str]:
    if "error" in row:
        return [row["agent"], row["evictor"], str(row["workers"] or "-"), f"FAILED: {row['error']}"]
    tried = row["found"]["tried"]
    beyond = [
        one for one in tried if (one["at"] > row["found"]["best"]) == of_rates and one["at"] != row["found"]["best"]
    ]
    failing = (min if of_rates else max)(beyond, key=lambda one: one["at"], default=None)
    shown = (
        "-"
        if failing is None
        else ", ".join(
            f"{name} {number(failing['metrics'][name])}" for name in ("ttft_p95", "tpot_p95", "slo_attainment")
        )
    )
    who = [row["agent"], row["evictor"], _workers(row["workers"])]
    spread = "" if math.isnan(row.get("low", math.nan)) else f"{number(row['low'])} to {number(row['high'])}"
    rate = [number(row["rate"]), spread, f"{row['headroom']:.2f}"] if of_rates else []
    return [*who, *rate, shown, str(len(tried))]


if __name__ == "__main__":
    sys.exit(main())
