"""The table of the zoo: which algorithm learns which environment on which scenarios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from kvgym import _check, _command
from kvgym.evaluation.stage import ENVIRONMENTS, ROUTE
from kvgym.scenarios import get_scenario, refuse_held_out
from kvgym.sim import EVICTORS

from ..learned import ALGORITHMS
from ..train import SMDP

TABLE = Path(__file__).with_name("table.toml")


@dataclass(frozen=True)
class Row:
    """An entry of the zoo.

    Attributes:
        name: Of the entry, and of its folder.
        algorithm: "ppo", "ppo_mask" or "dqn" of Stable-Baselines3, or "smdp", the single-file PPO.
        scenarios: What it is trained and scored on; those of Stable-Baselines3 have one.
        environment: Id of the environment; "smdp" plays KVGym/Route-v0.
        evictor: Which pages go while "smdp" learns and is scored; "": each scenario's own.
        steps: Decisions of each training seed; None: what the hyper-parameters say.
        minutes: That a training seed takes at most; None: no limit.
        options: Further words for `agents.train`.

    Raises:
        ValueError: If one of them is not allowed.
    """

    name: str
    algorithm: str
    scenarios: tuple[str, ...]
    environment: str = ROUTE
    evictor: str = ""
    steps: int | None = None
    minutes: float | None = None
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks the fields."""
        if not self.name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"an entry's name must be of letters, digits, - and _, got {self.name!r}")
        where = f"{self.name}:"
        _check.choice(f"{where} algorithm", self.algorithm, (*ALGORITHMS, SMDP))
        _check.choice(f"{where} environment", self.environment, ENVIRONMENTS)
        check_limits(f"{where} steps", self.steps, f"{where} minutes", self.minutes)
        if not self.scenarios or (len(self.scenarios) > 1 and self.algorithm != SMDP):
            allowed = "one or more" if self.algorithm == SMDP else f"one for {self.algorithm}, which learns one"
            raise ValueError(f"{where} scenarios must be {allowed}, got {list(self.scenarios)}")
        for scenario in self.scenarios:
            refuse_held_out(f"{where} scenario", get_scenario(scenario, argument=f"{where} scenario").name)
        if self.algorithm == SMDP and self.environment != ROUTE:
            raise ValueError(f"{where} environment must be {ROUTE} for {SMDP}, got {self.environment}")
        if self.evictor and self.algorithm != SMDP:
            raise ValueError(f"{where} evictor is for {SMDP}; {self.algorithm} is validated with the scenario's own")
        if self.evictor:
            _check.choice(f"{where} evictor", self.evictor, EVICTORS)

    @property
    def names(self) -> list[str]:
        """The names of its scenarios, where files may be given."""
        return [get_scenario(scenario).name for scenario in self.scenarios]


def read_table(path: Path = TABLE) -> dict[str, Row]:
    """Reads a table in TOML: a table per entry, with the fields of `Row` but its name.

    Raises:
        ValueError: If it is not TOML, has no entries, or an entry is not as `Row` has it.
        OSError: If it can't be read.
    """
    found = _command.toml("--table", path)
    if not found:
        raise ValueError(f"--table: {path} must have at least one entry, got none")
    return {name: _row(name, given) for name, given in found.items()}


def _row(name: str, given: Any) -> Row:
    known = {field.name for field in fields(Row)} - {"name"}
    needed = {"algorithm", "scenarios"}
    if not isinstance(given, Mapping) or not needed <= set(given) <= known:
        said = sorted(given) if isinstance(given, Mapping) else repr(given)
        raise ValueError(f"{name}: an entry must have {sorted(needed)}, may have {sorted(known - needed)}, got {said}")
    values = dict(given)
    for field in ("scenarios", "options"):
        value = values.get(field, [])
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise ValueError(f"{name}: {field} must be a list of strings, got {value!r}")
        values[field] = tuple(value)
    return Row(name, **values)


def check_limits(of_steps: str, steps: int | None, of_minutes: str, minutes: float | None) -> None:
    """Raises a ValueError that names the one that is not allowed."""
    if steps is not None:
        _check.whole(of_steps, steps, 1)
    if minutes is not None and not _check.finite(of_minutes, minutes) > 0:
        raise ValueError(f"{of_minutes} must be above 0, got {minutes}")
