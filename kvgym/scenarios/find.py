"""From what a user gives to a scenario: a name, a file, "module:name", a mapping of fields, or the scenario itself."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from kvgym import _check, _named
from kvgym.scenarios.library import SCENARIOS
from kvgym.scenarios.scenario import OVERRIDES, Scenario

ScenarioLike = str | os.PathLike[str] | Mapping[str, Any] | Scenario
"""A scenario by name, file, `"module:name"` or its fields, or itself."""
SUFFIXES = (".json", ".yml", ".yaml")


Overrides = Mapping[str, Any] | str | os.PathLike[str]
"""Fields of a scenario to change, or a file of them."""


def get_scenario(scenario: ScenarioLike, overrides: Overrides | None = None, *, argument: str = "scenario") -> Scenario:
    """A scenario, with some of its fields changed.

    Args:
        scenario: A name of `SCENARIOS`; a file that ends in .json, .yml or .yaml; "module:name" of a Scenario, or of a
            function without arguments that returns one; a mapping of a scenario's fields; or a Scenario. File and
            mapping hold what `Scenario.to_dict` gives, or "base", the name of a scenario, "name", and overrides of the
            base. A relative "path" in the recipe_args of a file is taken from the file's folder.
        overrides: Fields to change, see `Scenario.with_overrides`; or a file of them, .json, .yml or .yaml.
        argument: The name of `scenario` in messages.

    Raises:
        ValueError: If there is no such scenario (the message lists those that there are), a field is not known or not
            allowed, or an override isn't.
    """
    found = _find(scenario, argument)
    if overrides is None:
        return found
    return found.with_overrides(overrides if isinstance(overrides, Mapping) else read_overrides(overrides))


def read_overrides(file: Any, argument: str = "scenario_overrides") -> dict[str, Any]:
    """The fields in a file; a relative "path" in its recipe_args is taken from the file's folder.

    Raises:
        ValueError: If there is no such file, or it holds no mapping.
    """
    if not is_file(file):
        raise ValueError(f"{argument} must be a mapping of fields, or a file ({', '.join(SUFFIXES)}); got {file!r}")
    return _read_fields(Path(file), argument)


def is_file(scenario: Any) -> bool:
    """Whether `scenario` is meant as a file."""
    if isinstance(scenario, os.PathLike):
        return True
    return isinstance(scenario, str) and scenario.lower().endswith(SUFFIXES)


def _find(scenario: Any, argument: str) -> Scenario:
    if isinstance(scenario, Scenario):
        return scenario
    if isinstance(scenario, Mapping):
        return _from_fields(scenario, argument)
    if is_file(scenario):
        return _from_file(Path(scenario), argument)
    if isinstance(scenario, str) and scenario not in SCENARIOS and ":" in scenario:
        return _from_module(scenario, argument)
    try:
        return SCENARIOS[_check.choice(argument, scenario, SCENARIOS)]
    except ValueError as error:
        raise ValueError(
            f'{error}; or a file ({", ".join(SUFFIXES)}), "module:name", a mapping of fields, or a Scenario'
        ) from None


def _from_fields(values: Mapping[str, Any], argument: str) -> Scenario:
    given = dict(values)
    base = given.pop("base", None)
    if base is None:
        _check.keywords(argument, given, Scenario)
        return Scenario(**given)
    based = SCENARIOS[_check.choice(f"base of {argument}", base, SCENARIOS)]
    for key in given:
        _check.choice(f"field of {argument}", key, ["base", *(field.name for field in fields(Scenario)), *OVERRIDES])
    try:
        return based.variant(given)
    except ValueError as error:
        raise ValueError(f"{argument}: {error}") from error


def _from_module(place: str, argument: str) -> Scenario:
    found = _named.load(argument, place)
    made = found if isinstance(found, Scenario) or not callable(found) else found()
    if not isinstance(made, Scenario):
        raise ValueError(f"{argument} {place!r} must be a Scenario, or a function that returns one; got {made!r}")
    return made


def _from_file(path: Path, argument: str) -> Scenario:
    try:
        return _from_fields(_read_fields(path, argument), argument)
    except ValueError as error:
        raise error if str(path) in str(error) else ValueError(f"{path}: {error}") from error


def _read_fields(path: Path, argument: str) -> dict[str, Any]:
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{argument} must be a file that ends in {', '.join(SUFFIXES)}, got {str(path)!r}")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else f"which is not there, seen from {Path.cwd()}"
        raise ValueError(f"{argument} must be an existing file where it ends in {path.suffix}; got {path}, {kind}")
    try:
        values = _read(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    arguments = values.get("recipe_args")
    if isinstance(arguments, dict) and isinstance(arguments.get("path"), str):
        arguments["path"] = str(path.parent / arguments["path"])
    return values


def _read(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    value = _read_yaml(text) if path.suffix.lower() != ".json" else json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"must hold the fields of a scenario, it holds {value!r}")
    return value


def _read_yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ValueError('YAML files need PyYAML: pip install pyyaml, or the extra "train"') from None

    class Loader(yaml.SafeLoader):
        """Takes 1e-9 for a number, as YAML 1.2 does; PyYAML wants 1.0e-9."""

    numbers = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", numbers, list("-+0123456789"))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"no YAML: {error}") from error
