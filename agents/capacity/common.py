"""What the commands `capacity` and `sweep` share: options, who plays what, and how it is played."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kvgym import _check
from kvgym._progress import progress
from kvgym.envs.base import load_kernels
from kvgym.evaluation.runs import Store
from kvgym.evaluation.standings import Failure
from kvgym.scenarios import SPLITS, Scenario, command_line, get_scenario
from kvgym.sim import EVICTORS

from ..leaderboard.backends import add_places, backend
from ..leaderboard.entries import OWN, Entry, route_rows
from ..leaderboard.options import add_agents, cores
from ..leaderboard.plan import Case, Task, check_split, make_cases
from ..leaderboard.run import clock
from .drive import Search, drive

DEFAULT_SEEDS = 8
DEFAULT_SCENARIO = "gsp-stable"
LINE_S = 10.0
R = TypeVar("R")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    add("--scenario", nargs=1, metavar="NAME|FILE|module:name", help=f"what is played ({DEFAULT_SCENARIO})")
    command_line.add_options(parser)
    add_agents(parser, "routers (default: the main ones of the suite)")
    add("--evictor", nargs="+", action="extend", metavar="NAME", help=_EVICTOR)
    add(
        "--seeds", type=int, metavar="N", help=f"episodes of each point ({DEFAULT_SEEDS}; of a trace as many as it has)"
    )
    add("--split", choices=SPLITS, help="workloads of which split (test; of a trace all)")
    add_places(parser)
    add("--out", type=Path, metavar="DIR", help="write results here, and do not play again what is here already")


_EVICTOR = f"which pages go, each with each router: {OWN} (the scenario's) or of {', '.join(EVICTORS)}"


@dataclass(frozen=True)
class Setting:
    """Who plays on what.

    Attributes:
        entries: Routers and evictors.
        case: The scenario with the changes that the command line asks for.
        seeds: The same for everybody.
        split: Of the workloads.
    """

    entries: tuple[Entry, ...]
    case: Case
    seeds: tuple[int, ...]
    split: str

    def case_with(self, changes: Mapping[str, Any]) -> Case:
        """The scenario with more fields changed."""
        overrides = command_line.merged(self.case.overrides, changes)
        return Case(get_scenario(self.case.source, overrides), overrides, self.case.source)

    def task(self, entry: Entry, changes: Mapping[str, Any]) -> Task:
        """All seeds of an entry on that."""
        return Task(entry, self.case_with(changes), self.seeds, self.split)

    def notes(self) -> list[str]:
        """What a reader should know."""
        found = list(self.case.notes)
        for entry in self.entries:
            if entry.needs == "sessions" and not self.case.has_sessions:
                found.append(f"{entry.label} goes by sessions, and no session comes back here")
        return found


def make_setting(options: argparse.Namespace) -> Setting:
    """What command-line options ask for.

    Raises:
        ValueError: If an option is not allowed.
    """
    is_trace = options.trace is not None
    options.split = options.split or ("all" if is_trace else "test")
    wanted = DEFAULT_SEEDS if options.seeds is None else _check.whole("--seeds", options.seeds, 1)
    options.router, options.quick = None, True
    entries = tuple(dict.fromkeys(route_rows(options)[0]))
    check_split(options.split, entries)
    cases = make_cases(options, options.scenario or ([] if is_trace else [DEFAULT_SCENARIO]))
    if len(cases) != 1:
        raise ValueError("--scenario and --trace: one of them is played, give the other one a command of its own")
    return Setting(entries, cases[0], tuple(range(wanted))[: cases[0].parts], options.split)


def offered_rate(scenario: Scenario, seeds: Sequence[int], split: str) -> float:
    """Requests per second that arrive, over all seeds; of closed loops those of the sessions that start in a second.

    NaN where everything arrives at once.
    """
    n, seconds = 0.0, 0.0
    for seed in seeds:
        requests = scenario.workload(scenario.seeds(seed, split, 0)[0], split).requests
        times = requests["arrival_ps"][requests["predecessor"] < 0]
        n += len(requests) * (len(times) - 1) / len(times)
        seconds += float(np.ptp(times)) * 1e-12
    return n / seconds if seconds else math.nan


def play(options: argparse.Namespace, searches: Mapping[Any, Search[R]], store: Store) -> dict[Any, R | Failure]:
    """Runs searches on the backend that the options name, and says how far they are."""
    workers = cores() if options.workers is None else _check.whole("--workers", options.workers, 1)
    load_kernels()
    with backend(options.backend, workers, options.ray_address) as submit, _shown(len(searches)) as told:
        return drive(searches, store, submit, told)


@contextmanager
def _shown(total: int) -> Iterator[Any]:
    now = [0, 0]

    def told(played: int, ended: int) -> None:
        now[:] = played, ended

    with progress(lambda s: f"{now[1]} of {total} searches done, {now[0]} episodes played in {clock(s)}", LINE_S):
        yield told


def open_store(options: argparse.Namespace) -> Store:
    """The finished episodes under --out."""
    return Store(options.out / "runs" if options.out else None)
