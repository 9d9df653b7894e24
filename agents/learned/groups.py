"""What a training run plays: sub-environments of one or many scenarios, in native batches of equal clusters.

A scenario may be named with the evictor under it ("gsp-stable+arc"). Fields of scenarios may be drawn, once for each
sub-environment, from a TOML file:

    n_workers = { choices = [2, 3, 4, 6, 8] }
    rate_scale = { low = 0.6, high = 1.1, log = true }
    "engine.max_running" = { low = 64, high = 256 }

A whole number where both ends are. A table with the name of a scenario is of that one alone:

    [documents]
    workers = { choices = [[{ model = "llama-3.1-8b", gpu = "h200", count = 3 }], ..] }

Where the workers change, arrivals change with how fast all of them together read prompts: `rate_scale` says the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym import _check, _command
from kvgym.envs.base import Observation
from kvgym.envs.layout import Layout
from kvgym.envs.route import RouteVectorEnv
from kvgym.evaluation import anchors
from kvgym.scenarios import SUITE_SCENARIOS, Scenario, check_training_split, get_scenario, refuse_held_out
from kvgym.scenarios.command_line import merged, nested

FRONTIER = "frontier"
"""As an evictor: that of the best known pair of the scenario, its own where none is known."""


@dataclass(frozen=True)
class Entry:
    """A scenario that is trained on.

    Attributes:
        scenario: The scenario.
        evictor: Which pages go; None: the scenario's.
    """

    scenario: Scenario
    evictor: str | None

    @property
    def name(self) -> str:
        """As it is asked for."""
        return self.scenario.name + (f"+{self.evictor}" if self.evictor else "")


def entries(names: Sequence[str], evictor: str | None, overrides: Mapping[str, Any]) -> list[Entry]:
    """The scenarios of a run.

    Args:
        names: Scenarios, as `get_scenario` takes them, each with "+evictor" or without.
        evictor: Of those without: a name, "frontier", or None for the scenario's own.
        overrides: Fields to change in all of them.

    Raises:
        ValueError: If there is no such scenario or it is held out, or a field is not known or not allowed.
    """
    found = []
    for text in names:
        name, _, own = text.partition("+")
        scenario = get_scenario(name, argument="--scenario")
        refuse_held_out("--scenario", scenario.name)
        chosen = own or evictor
        if chosen == FRONTIER:
            known = anchors.frozen(scenario)
            chosen = known.frontier.pair.evictor if known and known.frontier else None
        found.append(Entry(scenario.with_overrides(overrides), chosen))
    return found


def at_load(played: Sequence[Entry], load: float) -> list[Entry]:
    """The same scenarios with so many times the load."""
    return [
        replace(entry, scenario=entry.scenario.with_overrides({"rate_scale": load * entry.scenario.rate_scale}))
        for entry in played
    ]


def read_ranges(path: Path) -> dict[str, Mapping[str, Any]]:
    """Reads a file of fields to draw.

    Returns:
        Ranges by field, and by the name of a scenario those of its fields alone.

    Raises:
        ValueError: If it is not TOML, or a range is neither {low, high} with or without log nor {choices}.
        OSError: If it can't be read.
    """
    found = _command.toml("--randomise", path)
    shared, own = _split(found)
    for name, given in (pair for ranges in (shared, *own.values()) for pair in ranges.items()):
        if not _is_range(given):
            raise ValueError(
                f"--randomise: {name} must be {{low, high}}, with log = true or without, or {{choices}} with at least "
                f"one; got {given!r}"
            )
    return found


def _split(ranges: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Mapping[str, Any]]]:
    """Ranges for all scenarios, and those of one by its name."""
    own = {name: given for name, given in ranges.items() if isinstance(given, Mapping) and name in SUITE_SCENARIOS}
    return {name: given for name, given in ranges.items() if name not in own}, own


def _is_range(given: Any) -> bool:
    if not isinstance(given, Mapping):
        return False
    if set(given) == {"choices"}:
        return isinstance(given["choices"], list) and bool(given["choices"])
    if not {"low", "high"} <= set(given) <= {"low", "high", "log"}:
        return False
    return bool(0 < given["low"] <= given["high"] if given.get("log") else given["low"] <= given["high"])


def drawn(scenario: Scenario, ranges: Mapping[str, Mapping[str, Any]], random: np.random.Generator) -> Scenario:
    """The scenario with fields drawn from ranges.

    Raises:
        ValueError: If a field is not known, or what was drawn is not allowed.
    """
    changes: dict[str, Any] = {}
    shared, own = _split(ranges)
    for name, given in (shared | dict(own.get(scenario.name, {}))).items():
        changes = merged(changes, nested(name, _one(given, random)))
    found = scenario.with_overrides(changes)
    if found.cluster == scenario.cluster:
        return found
    return found.with_overrides({"rate_scale": found.rate_scale * _prefill_rate(found) / _prefill_rate(scenario)})


def _prefill_rate(scenario: Scenario) -> float:
    """Prompt tokens that all workers together compute, per picosecond."""
    chunk = scenario.engine.chunk_tokens
    return sum(chunk / max(1, int(worker.cost.g_ps(chunk)[chunk])) for worker in scenario.cluster.workers)


def _one(given: Mapping[str, Any], random: np.random.Generator) -> Any:
    if "choices" in given:
        return given["choices"][int(random.integers(len(given["choices"])))]
    low, high = given["low"], given["high"]
    if isinstance(low, int) and isinstance(high, int):
        return int(random.integers(low, high + 1))
    share = random.random()
    return math.exp(math.log(low) + share * math.log(high / low)) if given.get("log") else low + share * (high - low)


class Group:
    """Environments with as many workers: one batch for a network, though there are several native ones behind it.

    Attributes:
        size: How many.
        n_workers: Of each.
        fetches: Whether observations say what may be fetched.
        width: Of observations.
        of: Number of the entry that each plays: int64 (size,).
        latencies: J of the episodes that have ended since it was asked, by number of the entry.
    """

    def __init__(self, envs: Sequence[RouteVectorEnv], of: Sequence[int], cells: Sequence[int], fetches: bool) -> None:
        """Batches with the entries of their environments, one after the other.

        Args:
            envs: The batches.
            of: Entries of all their environments.
            cells: Numbers that those have in common which play the same workloads.
            fetches: Observations say what may be fetched, all zero where nothing may.
        """
        self._envs, self.of, self._cells = list(envs), np.array(of), np.array(cells)
        self.size, self.n_workers = len(of), envs[0].layout.n_workers
        self._ends = np.cumsum([env.num_envs for env in envs])
        self.fetches, self.width = fetches, Layout(self.n_workers, fetches=fetches).size
        self.masks = np.ones((self.size, self.n_workers), bool)
        self.latencies: list[tuple[int, float]] = []

    def _parts(self) -> Iterator[tuple[RouteVectorEnv, slice]]:
        for env, end in zip(self._envs, self._ends.tolist(), strict=True):
            yield env, slice(end - env.num_envs, end)

    def reset(self, seed: int, out: Observation) -> None:
        """Starts episodes of workloads from `seed` on; `out`, (size, width) float32, gets the observations."""
        for env, at in self._parts():
            out[at, : env.layout.size], infos = env.reset(seed=(seed + self._cells[at]).tolist())
            self.masks[at] = infos["action_mask"]

    def step(self, actions: NDArray[np.int64], out: Observation) -> tuple[NDArray[np.float64], list[tuple[int, Any]]]:
        """Steps all of them; `out`, (size, width) float32, gets the observations.

        Returns:
            Reward, requests that arrived, seconds, and whether the episode ended, float64 (4, size); and the last
            observations of episodes that were cut, with the numbers of their environments.
        """
        real, cut = np.empty((4, self.size)), []
        for env, at in self._parts():
            width = env.layout.size
            out[at, :width], rewards, terminated, truncated, infos = env.step(actions[at])
            self.masks[at] = infos["action_mask"]
            real[:, at] = rewards, env.arrivals, infos["dt"], terminated | truncated
            for i in np.flatnonzero(terminated | truncated).tolist():
                final = infos["final_info"]
                real[2, at.start + i] = final["dt"][i]
                J = float(final["episode_metrics"]["J"][i])
                if not math.isnan(J):  # of a first episode that was too short for anything to finish
                    self.latencies.append((int(self.of[at.start + i]), J))
                if truncated[i]:
                    last = np.zeros(self.width, np.float32)
                    last[:width] = infos["final_obs"][i]
                    cut.append((at.start + i, last))
        return real, cut

    def close(self) -> None:
        """Closes the environments."""
        for env in self._envs:
            env.close()


@dataclass
class Scale:
    """What is normal in a scenario: variance of its discounted returns (Welford's, by parts), requests in flight."""

    n: float = 1e-4
    mean: float = 0.0
    variance: float = 1.0
    in_flight: float = 0.0  # requests, on average

    def add(self, x: NDArray[np.float64]) -> None:
        """Counts returns."""
        n, shift, total = x.size, float(x.mean()) - self.mean, self.n + x.size
        self.variance = (self.n * self.variance + n * float(x.var()) + shift**2 * self.n * n / total) / total
        self.mean, self.n = self.mean + shift * n / total, total

    def follow(self, in_flight: float) -> None:
        """Counts requests in flight: a moving average."""
        self.in_flight += 0.1 * (in_flight - self.in_flight) if self.in_flight else in_flight


def make(
    played: Sequence[Entry],
    num_envs: int,
    repeats: int,
    ranges: Mapping[str, Mapping[str, Any]],
    seed: int,
    **settings: Any,
) -> list[Group]:
    """The groups of a run; entries have as many environments each, give or take `repeats`.

    Args:
        played: The scenarios.
        num_envs: Environments in all.
        repeats: So many of them, side by side in a group, play the same workloads on the same scenario.
        ranges: Fields that are drawn, see `read_ranges`.
        seed: Of these draws.
        **settings: Arguments of KVGym/Route-v0 for all of them.

    Raises:
        ValueError: If there are too few environments for that, or as `drawn` does.
    """
    n_cells, rest = divmod(num_envs, _check.whole("--repeats", repeats, 1))
    if rest or n_cells < len(played):
        raise ValueError(
            f"--num-envs must be a multiple of --repeats, and at least {repeats * len(played)} for {len(played)} "
            f"scenarios; got {num_envs}"
        )
    check_training_split("agents.learned.groups", settings.get("split", "train"))
    batches: dict[tuple[Any, ...], list[tuple[int, dict[str, Any]]]] = {}
    for cell in range(n_cells):
        entry = played[cell % len(played)]
        scenario = drawn(entry.scenario, ranges, np.random.default_rng([seed, cell])) if ranges else entry.scenario
        given = {"scenario": scenario} | ({"evictor": entry.evictor} if entry.evictor else {})
        key = (len(scenario.cluster), scenario.transfers, scenario.objective)
        batches.setdefault(key, []).extend([(cell, given)] * repeats)
    fetches = any(transfers for _, transfers, _ in batches)
    by_workers: dict[int, list[tuple[RouteVectorEnv, list[int]]]] = {}
    for (n_workers, _, _), members in sorted(batches.items()):
        variants = [given for _, given in members]
        envs = RouteVectorEnv(len(members), autoreset_mode="SameStep", stagger=True, variants=variants, **settings)
        for (cell, _), env in zip(members, envs.envs, strict=True):
            env.first_share = (cell + 1) / n_cells  # the same for those that play the same
        by_workers.setdefault(n_workers, []).append((envs, [cell for cell, _ in members]))
    groups = []
    for parts in by_workers.values():
        cells = [cell for _, numbers in parts for cell in numbers]
        groups.append(Group([envs for envs, _ in parts], [cell % len(played) for cell in cells], cells, fetches))
    return groups


def latencies(groups: Sequence[Group], played: Sequence[Entry]) -> dict[str, float]:
    """Mean J (s) of the training episodes that have ended since it was last asked, by scenario."""
    found: dict[str, list[float]] = {}
    for group in groups:
        for number, J in group.latencies:
            found.setdefault(played[number].name, []).append(J)
        group.latencies = []
    return {name: sum(values) / len(values) for name, values in sorted(found.items())}
