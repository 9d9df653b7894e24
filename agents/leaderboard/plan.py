"""The plan of the leaderboard: rows x scenarios x seeds, checked before any work starts."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import kvgym
from kvgym import _check
from kvgym.evaluation import files
from kvgym.evaluation.anchors import N_SEEDS
from kvgym.evaluation.report import Axes
from kvgym.evaluation.runs import Identity
from kvgym.evaluation.stage import ROUTE, make_env
from kvgym.scenarios import SUITE_SCENARIOS, Scenario, ScenarioLike, get_scenario
from kvgym.scenarios.find import is_file
from kvgym.scenarios.recipes import SUITE_RECIPES, recipe_file

from .. import make_agent
from .entries import ANCHORS, SUITE, Entry, make_entries
from .processes import apart

DEFAULT_SCENARIOS = ("gsp", "gsp-stable", "gsp-worst", "multi-turn", "long-doc", "sanity")
FLEET_SCENARIOS = ("mixed-fleet", "straggler", "failover", "multi-node-agents")
"""Held out: played by name only. Nothing of the suite was trained or tuned there."""
EVICTION_SCENARIOS = ("gsp", "gsp-stable", "gsp-worst", "multi-turn")
"""Those where the reference has to evict what is asked for again: on long-doc it never evicts, and on sanity nothing is
ever asked for twice."""
JOINT_SCENARIOS = (*EVICTION_SCENARIOS, "long-doc")
"""On long-doc routers that scatter documents have to evict."""
_SCENARIOS = {"route": DEFAULT_SCENARIOS, "evict": EVICTION_SCENARIOS, "joint": JOINT_SCENARIOS}
QUICK_SEEDS = 3
_WARMUP_SHARE = 8  # of the requests of a trace one in so many is played before counting starts


@dataclass(frozen=True)
class Case:
    """A scenario with overrides.

    Attributes:
        scenario: The scenario, overrides applied.
        overrides: Its changed fields.
        source: What processes apply the overrides to: "module:name", so that they import the module, which may register
            recipes; else the scenario as it was found here.
    """

    scenario: Scenario
    overrides: Mapping[str, Any]
    source: ScenarioLike


@dataclass(frozen=True)
class Plan:
    """Everything that is to be played.

    Attributes:
        entries: The rows; the anchors come first.
        cases: The scenarios.
        seeds: Seeds that each row plays on each scenario.
        split: "test", "validation" or "train".
        smoke: A smoke test.
        track: "route", "evict" or "joint".
        axes: Of the matrix of scores, if there is one.
    """

    entries: tuple[Entry, ...]
    cases: tuple[Case, ...]
    seeds: tuple[int, ...]
    split: str
    smoke: bool = False
    track: str = "route"
    axes: Axes | None = None


def anchor_plan() -> Plan:
    """The anchors on all scenarios that need no file."""
    cases = tuple(_case(name, {}, "test") for name in (*DEFAULT_SCENARIOS, *FLEET_SCENARIOS))
    _prepare(ANCHORS, cases, "test")
    return Plan(ANCHORS, cases, tuple(range(N_SEEDS)), "test")


def make_plan(options: argparse.Namespace) -> Plan:
    """The plan that command-line options ask for.

    Raises:
        ValueError: If an option is not allowed; nothing has been played then.
    """
    seeds = options.seeds if options.seeds is not None else QUICK_SEEDS if options.quick else N_SEEDS
    _check.whole("--seeds", seeds, 1)
    entries, axes = make_entries(options)
    cases = _cases(options)
    _prepare(entries, cases, options.split)
    return Plan(entries, cases, tuple(range(seeds)), options.split, options.quick, options.track, axes)


def _prepare(entries: Iterable[Entry], cases: Iterable[Case], split: str) -> None:
    """Makes every environment once: what is not allowed raises now, and kernels are compiled before processes start."""
    kinds: dict[Any, tuple[Entry, Case]] = {}
    for case in cases:
        for entry in entries:
            kind = entry.evictor_on(case.scenario) if entry.environment == ROUTE and not entry.guests else entry
            kinds.setdefault((kind, case.scenario.name), (entry, case))
    groups: dict[tuple[str, ...], list[tuple[Entry, Case]]] = {}
    for entry, case in kinds.values():
        groups.setdefault(entry.guests, []).append((entry, case))
    for guests, pairs in groups.items():
        if guests:
            apart(_make_all, pairs, split)
        else:
            _make_all(pairs, split)


def _make_all(pairs: Iterable[tuple[Entry, Case]], split: str) -> None:
    for entry, case in pairs:
        where = play_where(entry, entry.evictor_on(case.scenario))
        try:
            agent = make_agent(entry.agent, **entry.kwargs)
            make_env(agent, case.source, overrides=case.overrides, split=split, **where)
        except ValueError:
            raise
        except Exception as error:  # an agent may raise anything
            raise ValueError(f"{entry.label}: {type(error).__name__}: {error}") from error


def play_where(entry: Entry, evictor: str) -> dict[str, Any]:
    """Arguments of the environment beside those of the agent: who does the other half of the work."""
    return {"evictor": evictor or None, "router": SUITE + entry.router if entry.router else None}


def _cases(options: argparse.Namespace) -> tuple[Case, ...]:
    names = list(options.scenario or ())
    if options.trace is None:
        for option in ("format", "rate_scale", "max_requests"):
            if getattr(options, option) is not None:
                raise ValueError(
                    f"--{option.replace('_', '-')} says how to play a trace: give its file with --trace PATH"
                )
        if "trace" in names:
            raise ValueError("--scenario trace needs a trace file: give it with --trace PATH")
        return _different(_case(name, {}, options.split) for name in names or _SCENARIOS[options.track])
    trace = _case("trace", _trace_overrides(options), options.split)
    return _different((*(_case(name, {}, options.split) for name in names if name != "trace"), trace))


def _different(cases: Iterable[Case]) -> tuple[Case, ...]:
    """The cases, if no two have one name: tables and results are told apart by it."""
    found: dict[str, Case] = {}
    for case in cases:
        if found.setdefault(case.scenario.name, case).scenario != case.scenario:
            raise ValueError(f"--scenario: two scenarios have the name {case.scenario.name!r}, give one another name")
    return tuple(found.values())


def _trace_overrides(options: argparse.Namespace) -> dict[str, Any]:
    if not Path(options.trace).is_file():
        raise ValueError(f"--trace: there is no file {options.trace}")
    arguments = {"path": options.trace, "format": options.format or "mooncake"}
    if options.rate_scale is not None:
        if not _check.finite("--rate-scale", options.rate_scale) > 0:
            raise ValueError(f"--rate-scale must be a finite number > 0, got {options.rate_scale}")
        arguments["rate_scale"] = options.rate_scale
    overrides: dict[str, Any] = {"recipe_args": arguments}
    if options.max_requests is not None:
        warmup = _check.whole("--max-requests", options.max_requests, 1) // _WARMUP_SHARE
        overrides |= {"warmup_requests": warmup, "episode_requests": options.max_requests - warmup}
    return overrides


def _case(name: str, overrides: dict[str, Any], split: str) -> Case:
    plain = get_scenario(name, argument="--scenario")
    if plain.name in SUITE_SCENARIOS and plain != SUITE_SCENARIOS[plain.name]:
        raise ValueError(f"--scenario {name}: {plain.name!r} is a scenario of the suite, yours must have another name")
    scenario = plain.with_overrides(overrides)
    scenario.workload(scenario.seeds(0, split, 0)[0], split)  # raises where a trace is too short, or no trace at all
    return Case(scenario, overrides, name if ":" in name and not is_file(name) else plain)


def identity(entry: Entry, case: Case, split: str) -> Identity:
    """Key of the results of an entry on a case."""
    fields = {} if case.scenario.name in SUITE_SCENARIOS else case.scenario.to_dict()
    code = [] if case.scenario.recipe in SUITE_RECIPES else [recipe_file(case.scenario.recipe)]
    return Identity(
        suite_version=kvgym.__version__,
        code_sha256=_code(),
        scenario=case.scenario.name,
        scenario_version=case.scenario.version,
        overrides=files.without_folders(case.overrides),
        scenario_fields=files.without_folders(fields),
        environment=entry.environment,
        agent=os.path.basename(entry.agent),
        agent_args=files.without_folders(entry.kwargs),
        evictor=entry.evictor_on(case.scenario),
        router=os.path.basename(entry.router),
        oracle=entry.player(entry.evictor_on(case.scenario)).oracle,
        split=split,
        files=files.file_hashes([entry.agent, entry.router, entry.kwargs, case.overrides, fields, code]),
    )


@lru_cache(maxsize=1)
def _code() -> str:
    package = Path(kvgym.__file__).parent  # where a wheel has the agents, too, and a study
    return files.source_hash(package, Path(__file__).parents[1], but=[package / "theory"])
