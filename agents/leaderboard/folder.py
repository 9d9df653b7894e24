"""What a folder of results holds beside its episodes: what was asked for, who failed, and the salt of its run."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

from kvgym import _atomic
from kvgym.evaluation import files
from kvgym.evaluation.files import ResultError
from kvgym.evaluation.report import Axes
from kvgym.evaluation.runs import Identity
from kvgym.evaluation.standings import Failure
from kvgym.scenarios import Scenario, get_scenario

from .entries import Entry
from .plan import Case, Plan
from .seats import Terms

SCHEMA_VERSION = 1
PLAN, RUNS = "plan.json", "runs"


@dataclass(frozen=True)
class Kept:
    """A plan as it was played.

    Attributes:
        plan: With the identities that its results are kept under.
        errors: What went wrong, by key of the identity.
        command: The words of the command line, files without their folders.
    """

    plan: Plan
    errors: Mapping[str, Failure]
    command: Sequence[str]


def salt(folder: Path | None) -> str:
    """The salt of a run (`kvgym.evaluation.remote.agent_seed`): one that goes on has that which it began with."""
    if folder and (folder / PLAN).is_file():
        return str(files.read(folder / PLAN)["terms"]["salt"])
    return secrets.token_hex(16)


def write(folder: Path, kept: Kept) -> None:
    """Writes what was asked for."""
    _atomic.write(folder / PLAN, files.to_text(as_dict(kept)))


def as_dict(kept: Kept) -> dict[str, Any]:
    """The same as plain values."""
    plan = kept.plan
    tasks = [(e, c, task) for c, case in enumerate(plan.cases) for e, task in enumerate(plan.tasks(case))]
    return {
        "schema_version": SCHEMA_VERSION,
        "command": list(kept.command),
        "split": plan.split,
        "seeds": plan.seeds,
        "smoke": plan.smoke,
        "track": plan.track,
        "axes": plan.axes and list(plan.axes),
        "terms": asdict(plan.terms),
        "entries": [asdict(entry) for entry in plan.entries],
        "cases": [_case_dict(case) for case in plan.cases],
        "identities": [[e, c, task.identity.as_dict()] for e, c, task in tasks],
        "errors": {key: list(failure) for key, failure in kept.errors.items()},
    }


def _case_dict(case: Case) -> dict[str, Any]:
    fields = {name: getattr(case, name) for name in ("overrides", "parts", "has_sessions", "notes", "load")}
    return {**fields, "source": case.source.to_dict() if isinstance(case.source, Scenario) else case.source}


def read(folder: Path, change: Callable[[Any], Any] = lambda value: value) -> Kept:
    """What `write` wrote.

    Args:
        folder: Of results.
        change: Turns the entries, as JSON, into others: where their files lie now.

    Raises:
        ResultError: If there is no plan, or it is not as `write` writes it.
    """
    path = folder / PLAN
    if not path.is_file():
        raise ResultError(f"{folder} is no folder of results: there is no {PLAN} in it")
    value = files.read(path)
    if value.get("schema_version") != SCHEMA_VERSION:
        raise ResultError(f"{path}: schema_version is {value.get('schema_version')}, not {SCHEMA_VERSION}")
    try:
        entries = tuple(Entry(**change(entry)) for entry in value["entries"])
        cases = tuple(map(_case, value["cases"]))
        known = {(entries[e], cases[c].key): Identity(**identity) for e, c, identity in value["identities"]}
        plan = Plan(
            entries=entries,
            cases=cases,
            seeds=tuple(value["seeds"]),
            split=value["split"],
            smoke=value["smoke"],
            track=value["track"],
            axes=value["axes"] and Axes(*map(tuple, value["axes"])),
            terms=Terms(**value["terms"]),
            identities=known,
        )
        errors = {key: Failure(*failure) for key, failure in value["errors"].items()}
        return Kept(plan, errors, value["command"])
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ResultError(f"{path}: not as plans are written: {error!r}") from error


def _case(value: Mapping[str, Any]) -> Case:
    source = value["source"] if isinstance(value["source"], str) else Scenario(**value["source"])
    scenario = get_scenario(source, value["overrides"])
    return Case(
        scenario,
        value["overrides"],
        source,
        value["parts"],
        value["has_sessions"],
        tuple(value["notes"]),
        value["load"],
    )


def merged(kept: Mapping[Path, Kept]) -> Kept:
    """The rows, scenarios and seeds of several folders in one plan.

    Raises:
        ResultError: If they don't fit together: another split or track, another scenario of the same name, a row that
            was played with other code or files.
    """
    (first, whole), *others = kept.items()
    return reduce(lambda one, other: _both(first, one, *other), others, whole)


def _both(first: Path, one: Kept, folder: Path, other: Kept) -> Kept:
    a, b = one.plan, other.plan
    for name in ("split", "track"):
        if getattr(a, name) != getattr(b, name):
            raise ResultError(f"{folder}: {name} is {getattr(b, name)!r}, that of {first} is {getattr(a, name)!r}")
    cases = {case.key: case for case in a.cases}
    for case in b.cases:
        if cases.setdefault(case.key, case).scenario != case.scenario:
            raise ResultError(f"{folder}: {case.scenario.name!r} is not the scenario of that name in {first}")
    for row in a.identities.keys() & b.identities.keys():
        mine, theirs = a.identities[row].as_dict(), b.identities[row].as_dict()
        if differ := [name for name in mine if mine[name] != theirs[name]]:
            where = " ".join(row[1]).strip()
            raise ResultError(f"{folder}: {row[0].label} on {where} has another {', '.join(differ)} than in {first}")
    axes = None
    if a.axes and b.axes:
        axes = Axes(*(tuple(dict.fromkeys(both)) for both in ((*x, *y) for x, y in zip(a.axes, b.axes, strict=True))))
    plan = replace(
        a,
        entries=tuple(dict.fromkeys((*a.entries, *b.entries))),
        cases=tuple(cases.values()),
        seeds=tuple(sorted({*a.seeds, *b.seeds})),
        smoke=a.smoke or b.smoke,
        axes=axes or a.axes or b.axes,
        identities={**a.identities, **b.identities},
    )
    return Kept(plan, {**one.errors, **other.errors}, one.command)
