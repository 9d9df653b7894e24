"""The named scenarios: a file for each family in the folder `families`.

A file holds `family` (a line: what its scenarios have in common), `held_out` (whether they are for testing alone),
`shared` (fields that all of them have) and `scenarios`: a table each, of fields of `Scenario`, or of `base`, the name
of a scenario of any file, and what differs from it (`Scenario.variant`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kvgym.scenarios.scenario import Scenario

_FOLDER = Path(__file__).with_name("families")


@dataclass(frozen=True, slots=True)
class Family:
    """Scenarios that ask for the same kind of knowledge.

    Attributes:
        text: What they have in common, a line.
        held_out: Whether they are for testing alone: training refuses them.
        scenarios: The scenarios by name.
    """

    text: str
    held_out: bool
    scenarios: Mapping[str, Scenario]


def _read_families() -> dict[str, Family]:
    paths = sorted(_FOLDER.glob("*.toml"))
    contents = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in paths}
    fields = {own["name"]: {**one.get("shared", {}), **own} for one in contents.values() for own in one["scenarios"]}

    def make(name: str) -> Scenario:
        own = dict(fields[name])
        base = own.pop("base", None)
        return Scenario(**own) if base is None else make(base).variant(own)

    return {
        name: Family(
            one["family"], one.get("held_out", False), {own["name"]: make(own["name"]) for own in one["scenarios"]}
        )
        for name, one in contents.items()
    }


FAMILIES: Mapping[str, Family] = _read_families()
"""The families of the package, by the name of their file."""
SUITE_SCENARIOS: Mapping[str, Scenario] = {
    name: scenario for family in FAMILIES.values() for name, scenario in family.scenarios.items()
}
"""The scenarios of the package, by name."""
SCENARIOS: dict[str, Scenario] = dict(SUITE_SCENARIOS)
"""Those, and what `register_scenario` has added in this process."""


def family_of(name: str) -> str:
    """Name of the family of a scenario of the package; "" for any other."""
    return next((family for family, one in FAMILIES.items() if name in one.scenarios), "")


def refuse_held_out(argument: str, name: str) -> None:
    """Refuses to train, or to tune, on a scenario of a family that is held out.

    Raises:
        ValueError: If it is one.
    """
    family = FAMILIES.get(family_of(name))
    if family is not None and family.held_out:
        raise ValueError(f"{argument} {name} is held out for tests of what was trained on others")


def register_scenario(scenario: Scenario) -> None:
    """Lets environments of this process name a scenario; "module:name" is found by other processes too.

    Raises:
        ValueError: If it is no Scenario, or there is another one of its name.
    """
    if not isinstance(scenario, Scenario):
        raise ValueError(f"scenario must be a Scenario, got {scenario!r}")
    if not SCENARIOS.setdefault(scenario.name, scenario) == scenario:
        raise ValueError(f"there is another scenario {scenario.name!r} already, this one must have another name")
