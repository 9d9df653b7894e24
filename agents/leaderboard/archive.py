"""A folder of results as one file, with the files of its agents: the same results give the same bytes."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kvgym import _atomic
from kvgym.evaluation import files
from kvgym.evaluation.files import ResultError
from kvgym.evaluation.runs import read_run

from . import folder

FILES = "files"
SUMMARY = "submission.json"
_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that the format knows, for all members."""
_MOST_BYTES = 1 << 30
"""Of an archive that is unpacked."""


def pack(source: Path, out: Path) -> int:
    """Packs a folder of results; returns the number of members.

    Raises:
        ResultError: If it is none, or two of the agents' files have the same name.
    """
    kept = folder.read(source)
    members: dict[str, bytes] = {}

    def take(path: str) -> str:
        name = f"{FILES}/{os.path.basename(path)}"
        content = Path(path).read_bytes()
        if members.setdefault(name, content) != content:
            raise ResultError(f"two files of agents are called {os.path.basename(path)}: give one another name")
        return name

    plan = files.read(source / folder.PLAN)
    plan["entries"] = [_changed(entry, take) for entry in plan["entries"]]
    machines = {}
    for path in sorted((source / folder.RUNS).glob("*.json")):
        machine = read_run(path)[1]  # raises where it was changed
        members[f"{folder.RUNS}/{path.name}"] = path.read_bytes()
        machines[files.digest(machine)] = machine
    members[folder.PLAN] = files.to_text(plan).encode()
    members[SUMMARY] = files.to_text(
        {
            "command": list(kept.command),
            "suite_version": sorted({one.suite_version for one in kept.plan.identities.values()}),
            "code_sha256": sorted({one.code_sha256 for one in kept.plan.identities.values()}),
            "machines": list(machines.values()),
            "rows": [
                {"agent": entry.label, "evictor": entry.evictor, "router": entry.router, "training": entry.training}
                for entry in kept.plan.entries
            ],
            "sha256": {name: files.sha256(content) for name, content in sorted(members.items())},
        }
    ).encode()
    with _atomic.replacing(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(members.items()):
            archive.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)
    return len(members)


def unpack(path: Path, to: Path) -> Path:
    """Unpacks an archive into an empty folder; returns that.

    Raises:
        ResultError: If it is no archive of `pack`, or was changed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
                raise ResultError(f"{path}: more than {_MOST_BYTES} bytes")
            hashes = json.loads(archive.read(SUMMARY))["sha256"]
            for name, expected in hashes.items():
                content = archive.read(name)
                if files.sha256(content) != expected:
                    raise ResultError(f"{path}: {name} was changed after it was packed")
                place = to / name
                if to.resolve() not in place.resolve().parents:
                    raise ResultError(f"{path}: {name} leads out of the archive")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        if isinstance(error, ResultError):
            raise
        raise ResultError(f"{path} is no archive of `leaderboard submit`: {error}") from error
    return to


def located(where: Path) -> Callable[[Any], Any]:
    """Turns an entry whose files are named as in an archive into one that names them where it was unpacked."""
    return lambda entry: _changed(entry, lambda path: str(where / path), f"{FILES}/")


def _changed(entry: dict[str, Any], change: Callable[[str], str], prefix: str = "") -> dict[str, Any]:
    """An entry with the files changed that its agent, router and arguments name."""

    def new(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: new(item) for key, item in value.items()}
        if isinstance(value, list):
            return [new(item) for item in value]
        if not isinstance(value, str):
            return value
        path, colon, name = value, "", ""
        if ".py:" in value:
            path, colon, name = value.rpartition(":")
        is_file = path.startswith(prefix) if prefix else os.path.isfile(path)
        return change(path) + colon + name if is_file else value

    args = json.dumps(new(json.loads(entry["args"])), sort_keys=True)
    return {**entry, "agent": new(entry["agent"]), "router": new(entry["router"]), "args": args}
