"""The plan of the leaderboard: rows x scenarios x seeds, checked before any work starts."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import kvgym
from kvgym.envs.base import load_kernels
from kvgym.evaluation import anchors, files
from kvgym.evaluation.anchors import N_SEEDS
from kvgym.evaluation.report import Axes
from kvgym.evaluation.runs import Identity
from kvgym.evaluation.stage import ROUTE, make_env
from kvgym.scenarios import SUITE_SCENARIOS, Scenario, ScenarioLike, command_line, get_scenario
from kvgym.scenarios.find import is_file
from kvgym.scenarios.recipes import SUITE_RECIPES, recipe_file

from .entries import SUITE, Entry, make_entries
from .processes import apart
from .seats import DEFAULT_TERMS, Terms, seated

QUICK_SCENARIOS = ("gsp-stable", "chat", "documents", "completion")
QUICK_SEEDS = 3


class Case(NamedTuple):
    """A scenario, its overrides applied, and what processes apply them to.

    Attributes:
        scenario: With its overrides.
        overrides: The fields that are changed.
        source: "module:name", so that processes import the module, which may register recipes; else the scenario as it
            was found here.
        parts: Seeds that have no request in common; None: all.
        has_sessions: Whether a session comes back.
        notes: What a reader should know of the workload.
        load: Which load this is, where the scenario has several.
    """

    scenario: Scenario
    overrides: Mapping[str, Any]
    source: ScenarioLike
    parts: int | None = None
    has_sessions: bool = True
    notes: tuple[str, ...] = ()
    load: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What tables tell it apart by: name and load."""
        return self.scenario.name, self.load


class Task(NamedTuple):
    """Episodes of an entry on a case."""

    entry: Entry
    case: Case
    seeds: tuple[int, ...]
    split: str
    terms: Terms = DEFAULT_TERMS
    known: Identity | None = None
    """What results that are there are kept under; None: what code and files are now."""

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `record` and `make_env`, beside agent and seed."""
        return {
            "scenario": self.case.source,
            "overrides": self.case.overrides,
            "split": self.split,
            "evictor": self.entry.evictor_on(self.case.scenario) or None,
            "router": SUITE + self.entry.router if self.entry.router else None,
            **({"charges": True} if self.terms.charges else {}),
        }

    @property
    def identity(self) -> Identity:
        """What the results are kept under."""
        if self.known is not None:
            return self.known
        entry, scenario, overrides = self.entry, self.case.scenario, self.case.overrides
        evictor = entry.evictor_on(scenario)
        fields = {} if scenario.name in SUITE_SCENARIOS else scenario.to_dict()
        code = [] if scenario.recipe in SUITE_RECIPES else [recipe_file(scenario.recipe)]
        return Identity(
            suite_version=kvgym.__version__,
            code_sha256=code_sha256(),
            scenario=scenario.name,
            scenario_version=scenario.version,
            overrides=files.without_folders(overrides),
            scenario_fields=files.without_folders(fields),
            environment=entry.environment,
            agent=os.path.basename(entry.agent),
            agent_args=files.without_folders(entry.kwargs),
            evictor=evictor,
            router=os.path.basename(entry.router),
            oracle=entry.player(evictor).oracle,
            split=self.split,
            charged=self.terms.charges,
            files=files.file_hashes([entry.agent, entry.router, entry.kwargs, overrides, fields, code]),
        )


@lru_cache(maxsize=1)
def code_sha256() -> str:
    """SHA-256 of the sources of simulator and agents."""
    package = Path(kvgym.__file__).parent  # where a wheel has the agents, too, and a study
    return files.source_hash(package, Path(__file__).parents[1], but=[package / "theory"])


@dataclass(frozen=True)
class Plan:
    """Everything that is to be played: each entry, the anchors first, on each case, with all seeds of a split."""

    entries: tuple[Entry, ...]
    cases: tuple[Case, ...]
    seeds: tuple[int, ...]
    split: str
    smoke: bool = False
    track: str = "route"
    axes: Axes | None = None
    terms: Terms = DEFAULT_TERMS
    identities: Mapping[tuple[Entry, tuple[str, str]], Identity] = field(default_factory=dict)
    """Of results that are there, by entry and name of the scenario."""

    def tasks(self, case: Case) -> list[Task]:
        """What each entry plays on a case: of a trace as many seeds as it has parts."""
        seeds = tuple(seed for seed in self.seeds if case.parts is None or seed < case.parts)
        known = self.identities
        return [
            Task(entry, case, seeds, self.split, self.terms, known.get((entry, case.key))) for entry in self.entries
        ]


def make_plan(options: argparse.Namespace) -> Plan:
    """The plan that command-line options ask for.

    Raises:
        ValueError: If an option is not allowed; nothing has been played then.
    """
    seeds = seeds_of(options.seeds or str(QUICK_SEEDS if options.quick else N_SEEDS))
    entries, axes = make_entries(options)
    cases = make_cases(options, options.scenario or (QUICK_SCENARIOS if options.quick else anchors.ranked()))
    check_split(options.split, entries)
    return checked(Plan(entries, cases, seeds, options.split, options.quick, options.track, axes))


def seeds_of(text: str) -> tuple[int, ...]:
    """The seeds 0 to N - 1 of "N", or A to B of "A-B"."""
    first, dash, last = text.partition("-")
    try:
        begin, end = (int(first), int(last) + 1) if dash else (0, int(first))
    except ValueError:
        begin, end = 0, 0
    if not 0 <= begin < end:
        raise ValueError(f"--seeds must be an integer >= 1, or the first and the last one as in 16-31; got {text}")
    return tuple(range(begin, end))


def checked(plan: Plan) -> Plan:
    """Makes every environment once: what is not allowed raises now, and kernels are compiled before processes start."""
    kinds: dict[Any, Task] = {}
    for case in plan.cases:
        for task in plan.tasks(case):
            alike = task.entry.environment == ROUTE and not task.entry.guests
            kinds.setdefault((task.options["evictor"] if alike else task.entry, case.scenario.name), task)
    for task in kinds.values():
        if task.entry.guests and task.entry.oracle:
            apart(_make_once, task)
        else:
            _make_once(task)
    load_kernels()
    return plan


def _make_once(task: Task) -> None:
    try:
        with seated(task.entry, task.options) as (agent, options):
            make_env(agent(), **options)
    except ValueError:
        raise
    except Exception as error:  # an agent may raise anything
        raise ValueError(f"{task.entry.label}: {type(error).__name__}: {error}") from error


def check_split(split: str, entries: Iterable[Entry]) -> None:
    """Raises a ValueError where an agent that has learned would play what it may have learned from."""
    for entry in entries:
        if split == "all" and entry.training:
            raise ValueError(f"--split all is for agents that have learned nothing, {entry.label} was {entry.training}")


def make_cases(options: argparse.Namespace, names: Sequence[str]) -> tuple[Case, ...]:
    """The scenarios that are named, and a trace where one is given, with the changes that options ask for.

    Raises:
        ValueError: If an option is not allowed, or two scenarios have the same name.
    """
    if options.trace is not None and not options.scenario:
        names = ()
    found: dict[tuple[str, str], Case] = {}
    loads = [{"at_load": load} for load in getattr(options, "load", None) or ()] or [{}]
    for (name, overrides), load in product(command_line.scenarios(options, list(names)), loads):
        case = _case(name, overrides | load, options.split)
        if found.setdefault(case.key, case).scenario != case.scenario:  # tables tell them apart by it
            raise ValueError(f"--scenario: two scenarios have the name {case.scenario.name!r}, give one another name")
    return tuple(found.values())


def _case(name: str, overrides: dict[str, Any], split: str) -> Case:
    plain = get_scenario(name, argument="--scenario")
    if plain.name in SUITE_SCENARIOS and plain != SUITE_SCENARIOS[plain.name]:
        raise ValueError(f"--scenario {name}: {plain.name!r} is a scenario of the suite, yours must have another name")
    scenario = plain.with_overrides(overrides)
    made = scenario.workload(scenario.seeds(0, split, 0)[0], split)  # raises where a trace is too short
    facts = scenario.trace_facts(split)
    notes = []
    if facts is not None:
        wanted = scenario.warmup_requests + scenario.episode_requests
        share = "the trace" if split == "all" else f"the {split} share of the trace"
        notes.append(f"{share} has {facts.requests} requests that fit, {facts.parts} x {wanted} are played")
        if facts.steps:
            notes.append(
                f"arrivals are spread over {facts.jitter_s:g} s, the steps of the file (--jitter 0: as they are)"
            )
    if not made.infinite_hit_rate():
        notes.append("no prompt begins as another one did: caches can't hit, nor have routers anything to see there")
    return Case(
        scenario,
        overrides,
        name if ":" in name and not is_file(name) else plain,
        None if facts is None else facts.parts,
        bool(made.requests["turn"].any()),
        tuple(notes),
        _load_of(overrides),
    )


def _load_of(overrides: Mapping[str, Any]) -> str:
    """Which load this is, of what the best known policy sustains or of what the scenario has; "": the scenario's."""
    if "at_load" in overrides:
        return f"{overrides['at_load']:g}"
    return f"x {overrides['rate_scale']:g}" if "rate_scale" in overrides else ""
