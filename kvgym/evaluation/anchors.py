"""The frozen anchors: J of the pairs that others are compared with, per scenario version and test seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from kvgym import _atomic
from kvgym.evaluation import files
from kvgym.evaluation.statistics import Floats, Interval, ratio
from kvgym.scenarios import SUITE_SCENARIOS, Scenario

PATH = Path(__file__).with_name("anchors.json")
N_SEEDS = 32
HEADROOM = 0.1
"""A scenario is ranked where the planner is at least this share below the frontier, its 95 % interval included."""
_SCHEMA = 2


@dataclass(frozen=True)
class Pair:
    """A router and an evictor.

    Attributes:
        agent: Name of the agent.
        evictor: Name of the evictor.
        args: Keyword arguments of the agent.
    """

    agent: str
    evictor: str
    args: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        text = ", ".join(f"{name}={value}" for name, value in self.args.items())
        return f"{self.agent}({text}) + {self.evictor}" if text else f"{self.agent} + {self.evictor}"


@dataclass(frozen=True)
class Row:
    """What a pair came to.

    Attributes:
        pair: Who played.
        J: On each of the anchors' seeds (s).
    """

    pair: Pair
    J: Floats


@dataclass(frozen=True)
class Headroom:
    """What a planner that knows the future came to, beside the frontier on the same episodes.

    Attributes:
        pair: The planner.
        overrides: Fields of the scenario that were changed, since a planner is slow: shorter episodes.
        seeds: Test seeds.
        J: Of the planner on each (s).
        frontier: Of the frontier's pair (s).
    """

    pair: Pair
    overrides: Mapping[str, Any]
    seeds: tuple[int, ...]
    J: Floats
    frontier: Floats

    @property
    def ratio(self) -> Interval:
        """J_planner / J_frontier, a geometric mean."""
        return ratio(self.J, self.frontier)

    @property
    def enough(self) -> bool:
        """Whether there is enough to gain for a scenario to be ranked."""
        return self.ratio.high <= 1 - HEADROOM


@dataclass(frozen=True)
class Anchors:
    """The anchors of one version of a scenario.

    Attributes:
        version: Of the scenario.
        seeds: Test seeds.
        random: The random router.
        reference: LBGR + RLT.
        frontier: The best known causal pair; None where it was not looked for.
        planner: None where it was not played.
    """

    version: int
    seeds: tuple[int, ...]
    random: Row
    reference: Row
    frontier: Row | None = None
    planner: Headroom | None = None

    @property
    def rows(self) -> dict[str, Row]:
        """The rows that there are, by name."""
        found = {"random": self.random, "reference": self.reference, "frontier": self.frontier}
        return {name: row for name, row in found.items() if row is not None}

    @property
    def why_not_ranked(self) -> str:
        """Why a scenario has no part in the scores; "" where it has."""
        if self.frontier is None or self.planner is None:
            missing = "frontier" if self.frontier is None else "planner"
            return f"no {missing} was played on this version: what there is to gain is not known"
        mean, low, high = self.planner.ratio
        if self.planner.enough:
            return ""
        found = f"{_below(mean)} [{_below(high)}, {_below(low)}]"
        return f"the planner is {found} below the frontier; {_below(1 - HEADROOM)} with confidence are needed"

    def on(self, seeds: tuple[int, ...], row: Row) -> Floats | None:
        """J of a row on other seeds; None if one of them was not played."""
        place = {seed: number for number, seed in enumerate(self.seeds)}
        return row.J[[place[seed] for seed in seeds]] if place.keys() >= set(seeds) else None

    def agree(self, seeds: tuple[int, ...], random: Floats, reference: Floats) -> bool:
        """Whether played anchors are the frozen ones on the seeds that both have, to 1e-9."""
        _, played, frozen = np.intersect1d(seeds, self.seeds, return_indices=True)
        pairs = ((random, self.random.J), (reference, self.reference.J))
        return all(np.allclose(new[played], old[frozen], rtol=1e-9, atol=0) for new, old in pairs)


def _below(share: float) -> str:
    return f"{100 * (1 - share):.0f} %"


def name_of(scenario: Scenario) -> str | None:
    """What a scenario's anchors are kept under: its name, with its rate_scale if that is not the suite's ("gsp@0.8").

    None for a scenario that is not of the suite, or of which another field than the load differs.
    """
    suite = SUITE_SCENARIOS.get(scenario.name)
    if suite is None or replace(suite, rate_scale=scenario.rate_scale, load=scenario.load) != scenario:
        return None
    own = scenario.rate_scale == suite.rate_scale
    return scenario.name if own else f"{scenario.name}@{scenario.rate_scale:.9g}"


def frozen(scenario: Scenario) -> Anchors | None:
    """The frozen anchors of a scenario of the suite as it is, but for its load; None where its version has none."""
    name = name_of(scenario)
    found = load().get(name) if name else None
    return found if found is not None and found.version == scenario.version else None


def ranked() -> tuple[str, ...]:
    """Names of the scenarios that scores count, in the order of the suite."""
    return tuple(name for name, one in SUITE_SCENARIOS.items() if (found := frozen(one)) and not found.why_not_ranked)


@lru_cache(maxsize=1)
def load(path: Path = PATH) -> dict[str, Anchors]:
    """All frozen anchors by scenario; none where there is no file yet.

    Raises:
        ResultError: If the file is not as `save` writes it.
    """
    if not path.is_file():
        return {}
    value = files.read(path)
    if value.get("schema_version") != _SCHEMA:
        raise files.ResultError(f"{path}: schema_version is {value.get('schema_version')!r}, not {_SCHEMA}")
    try:
        return {name: _read(item) for name, item in value["scenarios"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise files.ResultError(f"{path}: not as the anchors are written: {error!r}") from error


def save(anchors: Mapping[str, Anchors], suite_version: str, path: Path = PATH) -> None:
    """Writes the anchors of all scenarios."""
    value = {
        "schema_version": _SCHEMA,
        "suite_version": suite_version,
        "split": "test",
        "scenarios": {name: _plain(item) for name, item in anchors.items()},
    }
    _atomic.write(path, files.to_text(value))
    load.cache_clear()


def _plain(one: Anchors) -> dict[str, Any]:
    rows = {name: {**vars(row.pair), "J": row.J.tolist()} for name, row in one.rows.items()}
    value: dict[str, Any] = {"version": one.version, "seeds": one.seeds, "rows": rows}
    if one.planner is not None:
        numbers = {"J": one.planner.J.tolist(), "frontier": one.planner.frontier.tolist()}
        what = {"overrides": one.planner.overrides, "seeds": one.planner.seeds}
        value["planner"] = {**vars(one.planner.pair), **what, **numbers}
    return value


def _read(value: Mapping[str, Any]) -> Anchors:
    seeds = tuple(value["seeds"])
    rows = {name: Row(_pair(item), _numbers(item["J"], seeds)) for name, item in value["rows"].items()}
    planner, item = None, value.get("planner")
    if item is not None:
        own = tuple(item["seeds"])
        numbers = (_numbers(item[name], own) for name in ("J", "frontier"))
        planner = Headroom(_pair(item), item["overrides"], own, *numbers)
    return Anchors(value["version"], seeds, **rows, planner=planner)


def _pair(item: Mapping[str, Any]) -> Pair:
    return Pair(item["agent"], item["evictor"], item["args"])


def _numbers(value: Any, seeds: tuple[int, ...]) -> Floats:
    found = np.array(value, float)
    if found.shape != (len(seeds),):
        raise ValueError(f"expected {len(seeds)} numbers, one for each seed, got {found.size}")
    return found
