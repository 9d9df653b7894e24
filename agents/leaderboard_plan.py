"""What the leaderboard plays: agents x scenarios x seeds, checked before any work starts."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import agents
import kvgym
from agents import make_agent
from kvgym import _check
from kvgym.envs.route import RouteEnv
from kvgym.evaluation import RANDOM, REFERENCE, files
from kvgym.evaluation.anchors import N_SEEDS
from kvgym.evaluation.runs import Identity
from kvgym.evaluation.standings import Player
from kvgym.scenarios import SCENARIOS, Scenario, get_scenario

DEFAULT_SCENARIOS = ("gsp", "gsp-stable", "gsp-worst", "multi-turn", "long-doc", "sanity")
OWN = "own"
"""Stands for the evictor that a scenario names."""
ORACLE_EVICTORS = ("belady",)
QUICK_SEEDS = 3
QUICK_AGENTS = ("round_robin", "least_loaded", "cache_aware", "lmetric", "lbgr", "lbgr_code")
DEFAULT_AGENTS = (
    "round_robin",
    "least_loaded",
    "power_of_two",
    "session_affinity",
    "cache_aware",
    "cache_aware_03",
    "cache_aware_smg",
    "llmd",
    "dynamo",
    "lmetric",
    "lpwl",
    "lbgr",
    "lbgr_code",
)
_LBGR = ("lbgr", "lbgr_code")
_WARMUP_SHARE = 8  # of the requests of a trace one in so many is played before counting starts


@dataclass(frozen=True)
class Entry:
    """An agent with an evictor, as asked for.

    Attributes:
        agent: A name of `agents.AGENTS`, or path.py:Class.
        args: Keyword arguments, as JSON.
        evictor: A name of `kvgym.sim.EVICTORS`, or `OWN`.
        declared_oracle: The agent's class says that it knows the future.
    """

    agent: str
    args: str = "{}"
    evictor: str = OWN
    declared_oracle: bool = False

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments."""
        return dict(json.loads(self.args))

    @property
    def label(self) -> str:
        """The agent as tables name it."""
        kwargs = files.without_folders(self.kwargs)
        text = ", ".join(f"{name}={value}" for name, value in kwargs.items())
        return f"{os.path.basename(self.agent)}({text})" if text else os.path.basename(self.agent)

    def evictor_on(self, scenario: Scenario) -> str:
        """The evictor on a scenario."""
        return scenario.evictor if self.evictor == OWN else self.evictor

    def player(self, evictor: str, cloned: bool) -> Player:
        """The row's name; what was seen to use the future is an oracle, whatever it says."""
        return Player(self.label, evictor, self.declared_oracle or cloned or evictor in ORACLE_EVICTORS)


@dataclass(frozen=True)
class Case:
    """A scenario with overrides.

    Attributes:
        scenario: The scenario, overrides applied.
        overrides: Its changed fields.
    """

    scenario: Scenario
    overrides: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """Everything that is to be played.

    Attributes:
        entries: The rows; the anchors come first.
        cases: The scenarios.
        seeds: Seeds that each row plays on each scenario.
        split: "test", "validation" or "train".
        smoke: A smoke test.
    """

    entries: tuple[Entry, ...]
    cases: tuple[Case, ...]
    seeds: tuple[int, ...]
    split: str
    smoke: bool = False


ANCHORS = (Entry(RANDOM[0], evictor=RANDOM[1]), Entry(REFERENCE[0], evictor=REFERENCE[1]))


def anchor_plan() -> Plan:
    """The anchors on all scenarios that need no file."""
    cases = tuple(_case(name, {}, "test") for name in DEFAULT_SCENARIOS)
    _prepare(ANCHORS, cases, "test")
    return Plan(ANCHORS, cases, tuple(range(N_SEEDS)), "test")


def make_plan(options: argparse.Namespace) -> Plan:
    """The plan that command-line options ask for.

    Raises:
        ValueError: If an option is not allowed; nothing has been played then.
    """
    seeds = options.seeds if options.seeds is not None else QUICK_SEEDS if options.quick else N_SEEDS
    _check.whole("--seeds", seeds, 1)
    wanted = options.agent or [(name, "{}") for name in (QUICK_AGENTS if options.quick else DEFAULT_AGENTS)]
    entries = list(ANCHORS)
    for name, args in wanted:
        oracle = _oracle(name, args)
        entries += [Entry(name, args, evictor, oracle) for evictor in _evictors(name, options)]
    if not (options.quick or options.agent or options.evictor):
        # What evictions could still give. One row: where a page is a token, looking ahead costs seconds an episode.
        entries.append(Entry(REFERENCE[0], evictor=ORACLE_EVICTORS[0]))
    named: dict[str, str] = {}
    for entry in entries:
        if named.setdefault(entry.label, entry.agent) != entry.agent:
            raise ValueError(f"two agents would be called {entry.label}: {named[entry.label]} and {entry.agent}")
    cases = _cases(options)
    _prepare(entries, cases, options.split)
    return Plan(tuple(dict.fromkeys(entries)), cases, tuple(range(seeds)), options.split, options.quick)


def _prepare(entries: Iterable[Entry], cases: Iterable[Case], split: str) -> None:
    """Makes every environment once: what is not allowed raises now, and kernels are compiled before processes start."""
    for case in cases:
        for evictor in {entry.evictor_on(case.scenario) for entry in entries}:
            RouteEnv(case.scenario.name, scenario_overrides=case.overrides, evictor=evictor, split=split)


def _oracle(name: str, args: str) -> bool:
    """Makes the agent once, to see whether it can be made, and asks whether it is an oracle."""
    try:
        agent = make_agent(name, **json.loads(args))
    except Exception as error:  # an agent's file or constructor may raise anything
        message = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"--agent {name}: {message}") from error
    missing = [part for part in ("observation", "reset", "act") if not hasattr(agent, part)]
    if missing:
        raise ValueError(
            f"--agent {name}: an agent has observation, reset and act; this one lacks {', '.join(missing)}"
        )
    return bool(getattr(agent, "oracle", False))


def _evictors(name: str, options: argparse.Namespace) -> Iterable[str]:
    if options.evictor:
        return list(options.evictor)
    return [OWN, "rlt_code"] if name in _LBGR else [OWN]


def _cases(options: argparse.Namespace) -> tuple[Case, ...]:
    names = list(options.scenario or ())
    for name in names:
        _check.choice("--scenario", name, SCENARIOS)
    if options.trace is None:
        for option in ("format", "rate_scale", "max_requests"):
            if getattr(options, option) is not None:
                raise ValueError(
                    f"--{option.replace('_', '-')} says how to play a trace: give its file with --trace PATH"
                )
        if "trace" in names:
            raise ValueError("--scenario trace needs a trace file: give it with --trace PATH")
        return tuple(_case(name, {}, options.split) for name in names or DEFAULT_SCENARIOS)
    trace = _case("trace", _trace_overrides(options), options.split)
    return (*(_case(name, {}, options.split) for name in names if name != "trace"), trace)


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
    scenario = get_scenario(name, overrides)
    scenario.workload(scenario.seeds(0, split, 0)[0], split)  # raises where a trace is too short, or no trace at all
    return Case(scenario, overrides)


def identity(entry: Entry, case: Case, split: str) -> Identity:
    """What the results of an entry on a case are kept under."""
    path = entry.agent.rpartition(":")[0]
    return Identity(
        suite_version=kvgym.__version__,
        code_sha256=_code(),
        scenario=case.scenario.name,
        scenario_version=case.scenario.version,
        overrides=files.without_folders(case.overrides),
        agent=os.path.basename(entry.agent),
        agent_args=files.without_folders(entry.kwargs),
        evictor=entry.evictor_on(case.scenario),
        oracle=entry.player(entry.evictor_on(case.scenario), cloned=False).oracle,
        split=split,
        files=files.file_hashes([path, entry.kwargs, case.overrides]),
    )


@lru_cache(maxsize=1)
def _code() -> str:
    return files.source_hash(Path(kvgym.__file__).parent, Path(agents.__file__).parent)
