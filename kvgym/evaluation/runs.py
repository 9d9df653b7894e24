"""Result files: what one agent did on one scenario, a JSON file for each, checked when it is read.

A file holds an identity (everything that decides the outcome but the seed), the machine, and a list of episodes. Its
name ends in a hash of the first two, so that other code, arguments or scenario versions never share a file. Episodes
that were played on another machine are found by the identity alone: only timings depend on the machine.
"""

from __future__ import annotations

import math
import os
import platform
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kvgym import _atomic
from kvgym.evaluation import files
from kvgym.evaluation.episode import Episode
from kvgym.evaluation.files import ResultError

SCHEMA_VERSION = 5
_NUMBERS = {"float": (int, float), "int": (int,), "str": (str,), "bool": (bool,)}


@dataclass(frozen=True)
class Identity:
    """Everything that decides what an agent does on a scenario, but the seed.

    Attributes:
        suite_version: Of kvgym.
        code_sha256: Of the sources of simulator and agents.
        scenario: Its name.
        scenario_version: Its version.
        overrides: Its changed fields.
        scenario_fields: All fields of a scenario that is not one of the suite; else empty.
        environment: Id of what the agent plays.
        agent: Name, or path.py:Class.
        agent_args: Keyword arguments of the agent.
        evictor: Which pages go when memory is short; "" where the agent says.
        router: Who routes where the agent only evicts, else "".
        oracle: It may know the future, and says so.
        split: "train", "validation" or "test".
        charged: Measured seconds of its decisions were added to the simulated clock.
        files: SHA-256 by name of the files that agent, arguments, overrides and fields name, and of a recipe that is
            not one of the suite.
    """

    suite_version: str
    code_sha256: str
    scenario: str
    scenario_version: int
    overrides: Mapping[str, Any]
    scenario_fields: Mapping[str, Any]
    environment: str
    agent: str
    agent_args: Mapping[str, Any]
    evictor: str
    router: str
    oracle: bool
    split: str
    charged: bool
    files: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return dict(vars(self))

    @property
    def key(self) -> str:
        """SHA-256 of all fields."""
        return files.digest(self.as_dict())


def machine() -> dict[str, Any]:
    """The machine and versions that the timings of a result depend on."""
    return {
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "numba", "gymnasium")},
    }


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def write_run(folder: Path, identity: Identity, where: Mapping[str, Any], episodes: Mapping[int, Episode]) -> Path:
    """Writes the episodes of one identity on one machine, in order of their seeds; returns the file's path."""
    payload = {
        "schema_version": SCHEMA_VERSION,
        "identity": identity.as_dict(),
        "machine": dict(where),
        "protocol": {"split": identity.split, "seeds": sorted(episodes)},
        "episodes": [episodes[seed].as_dict() for seed in sorted(episodes)],
    }
    key = files.digest({"identity": payload["identity"], "machine": payload["machine"]})
    other = identity.evictor or identity.router
    parts = [os.path.basename(part) for part in (identity.scenario, identity.agent, other) if part]
    name = re.sub(r"[^\w.-]+", "_", "--".join(parts))
    path = folder / f"{name}--{key[:12]}.json"
    _atomic.write(path, files.to_text({"run_id": files.digest(payload), **payload}))
    return path


def read_run(path: Path) -> tuple[Identity, dict[str, Any], dict[int, Episode]]:
    """Reads what `write_run` wrote: identity, machine, episodes by seed.

    Raises:
        ResultError: If the file is of another schema, misses something, or was changed since it was written.
        OSError: If it can't be read.
    """
    value = files.read(path)
    found = value.get("schema_version")
    if found != SCHEMA_VERSION:
        raise ResultError(f"{path}: schema_version is {found!r}, this version reads {SCHEMA_VERSION}")
    for name, kind in (("run_id", str), ("identity", dict), ("machine", dict), ("protocol", dict), ("episodes", list)):
        if not isinstance(value.get(name), kind):
            raise ResultError(f"{path}: expected {name!r} to be a {kind.__name__}, got {value.get(name)!r:.60}")
    payload = {name: item for name, item in value.items() if name != "run_id"}
    if files.digest(payload) != value["run_id"]:
        raise ResultError(f"{path}: run_id is not the hash of the rest: the file was changed after it was written")
    identity = Identity(**_fields(path, "identity", value["identity"], Identity))
    episodes = [Episode(**_fields(path, f"episode {i}", item, Episode)) for i, item in enumerate(value["episodes"])]
    seeds = [episode.seed for episode in episodes]
    if value["protocol"].get("seeds") != seeds or len(set(seeds)) < len(seeds):
        raise ResultError(f"{path}: protocol.seeds is {value['protocol'].get('seeds')}, the episodes have {seeds}")
    return identity, value["machine"], {episode.seed: episode for episode in episodes}


def _fields(path: Path, where: str, value: Any, cls: type) -> dict[str, Any]:
    """The fields of a dataclass out of JSON: none missing, none too many, numbers where numbers belong."""
    known = {field.name: str(field.type) for field in fields(cls)}
    if not isinstance(value, dict) or set(value) != set(known):
        wrong = sorted(set(known) ^ set(value)) if isinstance(value, dict) else type(value).__name__
        raise ResultError(f"{path}: {where} has missing or unknown fields: {wrong}")
    out = dict(value)
    for name, kind in known.items():
        if kind == "dict[str, float]":
            out[name] = {key: math.nan if item is None else item for key, item in value[name].items()}
        elif kind in _NUMBERS and not isinstance(value[name], _NUMBERS[kind]):
            raise ResultError(f"{path}: {where}: expected {name!r} to be a {kind}, got {value[name]!r}")
    return out


def differences(one: Episode, other: Episode) -> list[str]:
    """What two episodes of one identity and seed differ in, in words; what was measured in seconds may differ."""
    names = {"actions_sha256": "actions", "records_sha256": "records of its requests", "workload_sha256": "workload"}
    free = ("decision_us", "env_s", "salt")
    a, b = ({**item.as_dict(), "metrics": repr(sorted(item.metrics.items()))} for item in (one, other))
    return [names.get(name, name) for name in a if name not in free and a[name] != b[name]]


class Store:
    """The finished episodes in a folder of result files, by identity; new ones are written as they come."""

    def __init__(self, folder: Path | None) -> None:
        """Reads all files of `folder`; None keeps everything in memory.

        Raises:
            ResultError: If one of them is not a result file.
        """
        self.folder = folder
        self.machine = machine()
        self._episodes: dict[str, dict[int, Episode]] = defaultdict(dict)
        self._own: dict[str, dict[int, Episode]] = defaultdict(dict)
        if folder:
            self.read(folder)

    def read(self, folder: Path) -> None:
        """Takes in all files of a folder.

        Raises:
            ResultError: If one of them is not a result file, or has an episode that is there and came out otherwise.
        """
        for path in sorted(folder.glob("*.json")):
            identity, where, episodes = read_run(path)
            there = self._episodes[identity.key]
            for seed, episode in episodes.items():
                # With another salt an agent has other random numbers: the first one counts.
                kept = there.setdefault(seed, episode)
                if kept.salt == episode.salt and (differ := differences(kept, episode)):
                    raise ResultError(f"{path}: seed {seed} is there already with other {', '.join(differ)}")
            if where == self.machine:
                self._own[identity.key] |= episodes

    def episodes(self, identity: Identity) -> dict[int, Episode]:
        """Finished episodes by seed."""
        return self._episodes[identity.key]

    def add(self, identity: Identity, episodes: list[Episode]) -> None:
        """Takes in finished episodes, and writes them."""
        key, new = identity.key, {episode.seed: episode for episode in episodes}
        self._episodes[key] |= new
        self._own[key] |= new
        if self.folder:
            write_run(self.folder, identity, self.machine, self._own[key])
