"""The rows of the leaderboard: who routes and who evicts, on each of its tracks.

route    agents that route, each with the scenario's evictor or with those asked for
evict    one router; evictors of the simulator and agents that evict
joint    routers x evictors, and agents that do both
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kvgym import _check
from kvgym.envs.view import is_oracle
from kvgym.evaluation import RANDOM, REFERENCE, files
from kvgym.evaluation.remote import AgentLost, RemoteAgent
from kvgym.evaluation.report import Axes
from kvgym.evaluation.scoring import TRAINING_SEEDS
from kvgym.evaluation.stage import EVICT, JOINT, ROUTE, environment_of
from kvgym.evaluation.standings import Player
from kvgym.scenarios import Scenario
from kvgym.sim import EVICTORS

from .. import AGENTS, EVICTION_AGENTS, make_agent
from .seats import apart_agent, guests_in

TRACKS = {"route": ROUTE, "evict": EVICT, "joint": JOINT}
"""Track -> environment of the agents that are ranked on it."""
OWN = "own"
"""Stands for the evictor that a scenario names."""
ORACLE_EVICTORS = ("belady",)
CAUSAL_EVICTORS = tuple(name for name in EVICTORS if name not in ORACLE_EVICTORS)
SUITE = "agents:"
"""Before the name of an eviction agent of the suite, since evictors of the simulator have the same names."""

QUICK_AGENTS = ("round_robin", "least_loaded", "cache_aware", "lmetric", "lbgr", "lbgr_code")
# The first is an anchor. The other trains trees every 10 s of an episode, and needs an extra: it plays when asked for.
DEFAULT_AGENTS = tuple(name for name in AGENTS if name not in (RANDOM[0], "llmd_predicted"))
_LBGR = ("lbgr", "lbgr_code")

# The other eviction agents free one page at a time, always (rlt) or often (gdsf): up to a minute an episode where a
# page is a token, and 32 seeds of that are hours. They play when they are asked for.
DEFAULT_EVICTION_AGENTS = ("lru", "random_leaf")

JOINT_ROUTERS = ("round_robin", "least_loaded", "cache_aware", "lmetric", "lbgr_code")
JOINT_EVICTORS = ("lru", "lru_node", "lfu", "slru", "ghost_slru", "arc", "rlt", "rlt_code", "random")
JOINT_AGENTS = (("pair", '{"evictor": "random_leaf", "router": "lbgr_code"}'),)
QUICK_ROUTERS = ("least_loaded", "cache_aware", "lbgr_code")
QUICK_EVICTORS = ("lru", "lfu", "rlt")


@dataclass(frozen=True)
class Entry:
    """Names of router and evictor, as asked for.

    Attributes:
        agent: Who is made and asked: a name that `agents.make_agent` knows, or path.py:Class.
        args: Keyword arguments, as JSON.
        evictor: Where the agent routes alone: a name of `kvgym.sim.EVICTORS`, or `OWN`. Else "".
        router: Where the agent evicts alone: who routes, named as an agent is. Else "".
        environment: What the agent plays.
        oracle: One of its agents says that it may know the future.
        training: What a learned agent was trained on, and with how many training seeds; "" for rules.
        needs: What it goes by, see `agents.base.Agent`.
        view: The view of the caches that an agent asks for; "": the scenario's.
        training_seeds: Of a learned agent, else 0.
    """

    agent: str
    args: str = "{}"
    evictor: str = OWN
    router: str = ""
    environment: str = ROUTE
    oracle: bool = False
    training: str = ""
    needs: str = ""
    view: str = ""
    training_seeds: int = 0

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments."""
        return dict(json.loads(self.args))

    @property
    def label(self) -> str:
        """The agent as tables name it."""
        kwargs = files.without_folders(self.kwargs)
        text = ", ".join(f"{name}={_short(value)}" for name, value in kwargs.items())
        view = f" [{self.view} view]" if self.view else ""
        return os.path.basename(self.agent) + (f"({text})" if text else "") + view

    def evictor_on(self, scenario: Scenario) -> str:
        """The evictor on a scenario."""
        return scenario.evictor if self.evictor == OWN else self.evictor

    @property
    def guests(self) -> tuple[str, ...]:
        """Files of code that is not the suite's, see `guests_in`."""
        return guests_in([self.agent, self.router, self.kwargs])

    def player(self, evictor: str, oracle: bool = False) -> Player:
        """The row's name; what was given the environment itself is an oracle, whatever it says."""
        oracle = oracle or self.oracle or evictor in ORACLE_EVICTORS
        if self.environment == EVICT:
            suite = SUITE if self.agent in EVICTION_AGENTS else ""
            names = os.path.basename(self.router), suite + self.label
        else:
            names = self.label, "joint" if self.environment == JOINT else evictor
        return Player(*names, oracle, self.training, self.training_seeds)


def causal_routers() -> list[tuple[str, str]]:
    """The suite's routing agents that are no oracles, without the random one: name, and the view that it asks for."""
    says = {name: _made("--agent", name, "{}", ROUTE) for name in DEFAULT_AGENTS}
    return [(name, one.view) for name, one in says.items() if not one.oracle]


def _short(value: Any) -> Any:
    return f"{value[0]} + {len(value) - 1}" if isinstance(value, list) and len(value) > 1 else value


ANCHORS = (Entry(RANDOM[0], evictor=RANDOM[1]), Entry(REFERENCE[0], evictor=REFERENCE[1]))


def make_entries(options: argparse.Namespace) -> tuple[tuple[Entry, ...], Axes | None]:
    """The rows that command-line options ask for, the anchors first, and the matrix that they make up, if any.

    Raises:
        ValueError: If an option is not allowed.
    """
    if options.track != "route" and OWN in (options.evictor or ()):
        raise ValueError(f"--evictor {OWN} is for --track route; --track {options.track} names evictors one by one")
    rows, axes = {"route": route_rows, "evict": _evict_rows, "joint": _joint_rows}[options.track](options)
    entries = tuple(dict.fromkeys([*ANCHORS, *rows]))
    named: dict[str, str] = {}
    for entry in entries:
        for label, name in ((entry.label, entry.agent), (os.path.basename(entry.router), entry.router)):
            if named.setdefault(label, name) != name:
                raise ValueError(f"two agents would be called {label}: {named[label]} and {name}")
    return entries, axes


def route_rows(options: argparse.Namespace) -> tuple[list[Entry], None]:
    """The rows of the track `route` that options ask for, without the anchors; no matrix."""
    if options.router:
        raise ValueError("--router is for --track evict and --track joint; --track route compares routers: use --agent")
    rows = []
    for name, args in options.agent or [(name, "{}") for name in (QUICK_AGENTS if options.quick else DEFAULT_AGENTS)]:
        says = _made("--agent", name, args, ROUTE)
        own = [OWN, "rlt_code"] if name in _LBGR else [OWN]
        for evictor in options.evictor or own:
            _check.choice("--evictor", evictor, (OWN, *EVICTORS))
            rows.append(Entry(name, args, evictor, "", *says))
    if not (options.quick or options.agent or options.evictor):
        # What evictions could still give. One row: where a page is a token, looking ahead costs seconds an episode.
        rows.append(Entry(REFERENCE[0], evictor=ORACLE_EVICTORS[0]))
    return rows, None


def _evict_rows(options: argparse.Namespace) -> tuple[list[Entry], None]:
    routers = options.router or [REFERENCE[0]]
    if len(routers) != 1:
        raise ValueError(f"--track evict has one --router, got {', '.join(routers)}: use --track joint for several")
    agents, evictors = options.agent or [], options.evictor or []
    if not (agents or evictors):
        agents = [(name, "{}") for name in DEFAULT_EVICTION_AGENTS]
        evictors = CAUSAL_EVICTORS if options.quick else EVICTORS
    for evictor in evictors:
        _check.choice("--evictor", evictor, EVICTORS)
    asked = [(evictor, "{}", False) for evictor in evictors] + [(name, args, True) for name, args in agents]
    return _cells(routers, asked, "--agent"), None


def _joint_rows(options: argparse.Namespace) -> tuple[list[Entry], Axes | None]:
    given = options.router or options.evictor
    agents: Iterable[tuple[str, str]] = options.agent or ()
    if not (given or agents):
        agents = JOINT_AGENTS
    rows = [Entry(name, args, "", "", *_made("--agent", name, args, JOINT)) for name, args in agents]
    if options.agent and not given:
        return rows, None
    routers = options.router or (QUICK_ROUTERS if options.quick else JOINT_ROUTERS)
    evictors = options.evictor or (QUICK_EVICTORS if options.quick else JOINT_EVICTORS)
    asked = []
    for evictor in evictors:
        is_agent = evictor.startswith(SUITE) or ".py:" in evictor
        if not is_agent and evictor not in EVICTORS:
            raise ValueError(
                f"--evictor must be one of {', '.join(EVICTORS)}, {SUITE}NAME with NAME one of "
                f"{', '.join(EVICTION_AGENTS)}, or path.py:Class; got {evictor!r}"
            )
        asked.append((evictor.removeprefix(SUITE), "{}", is_agent))
    cells = _cells(routers, asked, "--evictor")
    players = [cell.player(cell.evictor) for cell in cells]
    named = [dict.fromkeys(names) for names in ([one.agent for one in players], [one.evictor for one in players])]
    return cells + rows, Axes(*map(tuple, named))


def _cells(routers: Iterable[str], evictors: Iterable[tuple[str, str, bool]], option: str) -> list[Entry]:
    """Each router with each evictor: its name, its arguments, and whether it is an agent."""
    knows = {router: _made("--router", router, "{}", ROUTE) for router in routers}
    rows = []
    for name, args, is_agent in evictors:
        own = _made(option, name, args, EVICT) if is_agent else None
        for router, says in knows.items():
            if own:
                both = own._replace(oracle=own.oracle or says.oracle, needs=says.needs, view="")
                rows.append(Entry(name, args, "", router, *both))
            else:
                rows.append(Entry(router, "{}", name, "", *says))
    return rows


class _Says(NamedTuple):
    """What an agent says of itself, see `Entry`."""

    environment: str
    oracle: bool
    training: str
    needs: str
    view: str
    training_seeds: int


def _made(option: str, name: str, args: str, environment: str) -> _Says:
    """Makes an agent once, to see whether it can be made and plays `environment`; what `Entry` has it say of itself."""
    try:
        if guests_in([name, json.loads(args)]):
            with apart_agent(name, json.loads(args)) as agent:
                says = _ask(agent)
        else:
            says = _ask(make_agent(name, **json.loads(args)))
    except Exception as error:  # an agent's file or constructor may raise anything
        own = isinstance(error, (ValueError, AgentLost))
        raise ValueError(f"{option} {name}: {'' if own else f'{type(error).__name__}: '}{error}") from error
    if says.environment != environment:
        plays = says.environment
        tracks = {env: track for track, env in TRACKS.items()}
        raise ValueError(
            f"{option} {name}: it plays {plays}, an agent of {environment} is needed here"
            f" (--track {tracks[plays]} is for those of {plays})"
        )
    return says


def _ask(agent: Any) -> _Says:
    """What an agent declares."""
    training, seeds = "", getattr(agent, "training_seeds", None)
    if seeds is not None:
        ranked = "" if seeds >= TRAINING_SEEDS else f", not ranked: needs {TRAINING_SEEDS}"
        training = f"trained on {agent.trained_on}, {seeds} training seed{'s' * (seeds != 1)}{ranked}"
    asked = getattr(agent, "env_kwargs", None)  # what is wrong with it, the environment says
    view = str(asked.get("view", "")) if isinstance(asked, Mapping) else ""
    oracle = agent.declared_oracle if isinstance(agent, RemoteAgent) else is_oracle(agent)
    needs = str(getattr(agent, "needs", ""))
    return _Says(environment_of(agent), bool(oracle), training, needs, view, int(seeds or 0))
