"""Freezes the anchors: random and the reference, the best causal pair that a search finds, and the planner.

The search is on validation seeds, in stages: every causal router of the suite with the scenario's evictor and with
a strong one; then the best routers with every causal evictor, both on short episodes. The best pairs of these play
whole ones. What comes out is played on the test seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

import kvgym
from kvgym import _check
from kvgym.evaluation import anchors
from kvgym.evaluation.anchors import Anchors, Headroom, Pair, Row
from kvgym.evaluation.runs import Store
from kvgym.evaluation.statistics import Floats
from kvgym.scenarios import SUITE_SCENARIOS

from .backends import Submit, opened
from .entries import ANCHORS, CAUSAL_EVICTORS, OWN, Entry, causal_routers
from .folder import RUNS
from .plan import Case, Plan, checked, make_cases
from .run import run
from .tables import FAILED, OK, episodes_of

STRONG_EVICTOR = "arc"
"""Of the first stage, beside the scenario's own."""
N_BEST = 3
"""Routers of the second stage."""
SEARCH_REQUESTS, SEARCH_SEEDS = 1024, 2
"""That count in an episode of these two stages, at most; validation seeds."""
N_FINAL, FINAL_SEEDS = 5, 4
"""Pairs that play whole episodes in the end, and on how many validation seeds."""
FORESEEING = "belady"
"""What the planner is played with, beside the frontier's evictor."""
LOOK_AHEAD = (32,)
"""Arrivals that it looks ahead."""
PLANNED_REQUESTS = 512
"""That count in its episodes then."""
PLANNER = "planner"
Place = AbstractContextManager[Submit] | None
Places = Callable[[], Place]
"""Opens where episodes are played, once for each plan."""


_SEEDS = "with --anchors: test seeds that the planner plays (default 8); 0: it plays none, and nothing is ranked"
_REQUESTS = f"with --anchors: that its episodes count where it looks ahead ({PLANNED_REQUESTS})"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that no other command has."""
    add = parser.add_argument
    add("--planner-seeds", type=int, metavar="N", help=_SEEDS)
    add("--planner-requests", type=int, metavar="N", help=_REQUESTS)


_ALLOWED = {"scenario", "load", "rate_scale", "out", "planner_seeds", "planner_requests"}
_PLACES = {"anchors", "workers", "backend", "ray_address", "decision_timeout"}


def freeze(options: argparse.Namespace) -> int:
    """Plays the anchors and writes the file that scores are made with; returns the exit code.

    Scenarios that are not named keep what they have.

    Args:
        options: scenario (default: all that need no file), load, rate_scale, out, planner_seeds, planner_requests and
            where to play; others are refused.

    Raises:
        ValueError: If an option is not allowed.
    """
    given = {name for name, value in vars(options).items() if value not in (None, False)}
    if extra := sorted(given - _ALLOWED - _PLACES):
        raise ValueError(f"--anchors is played as it must be; it takes no --{extra[0].replace('_', '-')}")
    options.split = "test"
    cases = make_cases(options, options.scenario or [name for name in SUITE_SCENARIOS if name != "trace"])
    for case in cases:
        if anchors.name_of(case.scenario) is None:
            raise ValueError(f"--anchors is for scenarios of the suite, got {case.scenario.name!r}")
    requests = PLANNED_REQUESTS if options.planner_requests is None else options.planner_requests
    _check.whole("--planner-requests", requests, 1)
    n = _check.whole("--planner-seeds", 8 if options.planner_seeds is None else options.planner_seeds, 0)
    store = Store(options.out / RUNS if options.out else None)

    def places() -> Place:
        return opened(options)

    found = dict(anchors.load())
    for case in cases:
        try:
            one = _anchors(case, store, places, n, requests)
        except RuntimeError as error:
            print(f"{case.scenario.name}: {error}", file=sys.stderr)
            return FAILED
        name = anchors.name_of(case.scenario) or ""
        found[name] = one
        anchors.save(found, kvgym.__version__)  # after each: the next may take an hour
        print(f"{name:16} {_in_words(one)}", flush=True)
    print(f"written: {anchors.PATH}")
    return OK


def _anchors(case: Case, store: Store, places: Places, n: int, requests: int) -> Anchors:
    seeds = tuple(range(anchors.N_SEEDS))
    best = search(case, store, places)
    entries = (*ANCHORS, best)
    costs = _play(entries, case, seeds, "test", store, places)
    random, reference, frontier = (Row(_pair(entry, case), costs[entry]) for entry in entries)
    planner = _headroom(best, case, seeds[:n], requests, store, places) if n else None
    return Anchors(case.scenario.version, seeds, random, reference, frontier, planner)


def search(case: Case, store: Store, places: Places) -> Entry:
    """The causal router and evictor with the lowest geometric mean of J on validation seeds, see the module."""
    short = _shorter(case, min(SEARCH_REQUESTS, case.scenario.episode_requests))
    evictors = dict.fromkeys((case.scenario.evictor, STRONG_EVICTOR))
    first = [Entry(name, evictor=evictor, view=view) for name, view in causal_routers() for evictor in evictors]
    best: dict[str, Entry] = {}
    for entry in _ordered(first, short, range(SEARCH_SEEDS), store, places):
        best.setdefault(entry.agent, entry)
    routers = list(best.values())[:N_BEST]
    second = [Entry(one.agent, evictor=evictor, view=one.view) for one in routers for evictor in CAUSAL_EVICTORS]
    return final(_ordered(second, short, range(SEARCH_SEEDS), store, places), case, store, places)


def final(ordered: Sequence[Entry], case: Case, store: Store, places: Places) -> Entry:
    """The best of the first few pairs on whole episodes of more seeds."""
    return _ordered(ordered[:N_FINAL], case, range(FINAL_SEEDS), store, places)[0]


def _ordered(entries: Sequence[Entry], case: Case, seeds: Sequence[int], store: Store, places: Places) -> list[Entry]:
    """Those that played without an error, the best first."""
    costs = _play(entries, case, tuple(seeds), "validation", store, places, strict=False)
    return sorted(costs, key=lambda entry: float(np.log(costs[entry]).mean()))


def _headroom(best: Entry, case: Case, seeds: tuple[int, ...], requests: int, store: Store, places: Places) -> Headroom:
    """The planner beside the frontier; where it is not far enough below without a look-ahead, with one.

    A look-ahead takes seconds or minutes for an episode, so episodes are short then.
    """
    found = _planned(best, case, seeds, (), store, places)
    if found.enough:
        return found
    short = _shorter(case, min(requests, case.scenario.episode_requests))
    return _planned(best, short, seeds, LOOK_AHEAD, store, places)


def _planned(
    best: Entry, case: Case, seeds: tuple[int, ...], ahead: Sequence[int], store: Store, places: Places
) -> Headroom:
    """The planner, which knows the frontier's router, and the frontier on the same episodes.

    It is played with the frontier's evictor and with one that knows the future; the better one of each seed counts.
    """
    args = json.dumps({"ahead": ahead, "incumbents": [best.agent]})
    evictors = tuple(dict.fromkeys((best.evictor_on(case.scenario), FORESEEING)))
    planners = [Entry(PLANNER, args, evictor=evictor, oracle=True) for evictor in evictors]
    costs = _play((best, *planners), case, seeds, "test", store, places)
    pair = Pair(PLANNER, " or ".join(evictors), planners[0].kwargs)
    lowest = np.min([costs[planner] for planner in planners], axis=0)
    return Headroom(pair, {"episode_requests": case.scenario.episode_requests}, seeds, lowest, costs[best])


def _shorter(case: Case, requests: int) -> Case:
    """The case with episodes of so many counted requests."""
    overrides = {"episode_requests": requests}
    return case._replace(scenario=case.scenario.with_overrides(overrides), overrides={**case.overrides, **overrides})


def _play(
    entries: Sequence[Entry],
    case: Case,
    seeds: tuple[int, ...],
    split: str,
    store: Store,
    places: Places,
    strict: bool = True,
) -> dict[Entry, Floats]:
    """J per seed of each entry.

    Raises:
        RuntimeError: If one of them failed, where `strict`; else it is left out.
    """
    plan = checked(Plan(tuple(entries), (case,), seeds, split))
    errors = run(plan, store, places())
    if errors and strict:
        raise RuntimeError("; ".join(failure.reason for failure in errors.values()))
    played = ((task.entry, episodes_of(task, store)) for task in plan.tasks(case))
    return {entry: np.array([one.J for one in episodes]) for entry, episodes in played if episodes is not None}


def _pair(entry: Entry, case: Case) -> Pair:
    evictor = case.scenario.evictor if entry.evictor == OWN else entry.evictor
    args: dict[str, Any] = entry.kwargs
    return Pair(entry.agent, evictor, args)


def _in_words(one: Anchors) -> str:
    means = ", ".join(f"{name} {row.J.mean():.3f} s" for name, row in one.rows.items())
    frontier = f" ({one.frontier.pair})" if one.frontier else ""
    return f"{means}{frontier}; {one.why_not_ranked or 'ranked'}"
