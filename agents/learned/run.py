"""The folder of a training run: what is trained, checkpoints, the curve, and the trained file.

    config.json                 what was asked for; a run goes on only with the same
    checkpoints/000001024000/   model.zip and what else it takes to go on; the newest two are kept
    curve.jsonl                 a line per validation: steps, seconds, mean J, J by seed
    tensorboard/                event files
    lock                        held by the process that trains here
    NAME.pt                     the network that was best on the validation seeds, see `agents.learned.file`

Checkpoints are written under another name and renamed: one that has its name is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kvgym import _atomic

CURVE = "curve.jsonl"
KEPT = 2
"""So many checkpoints stay."""


class Run:
    """A run's folder.

    Args:
        folder: Where it is; made if need be.
        config: What is trained, as JSON knows it.
        resume: Go on with what is there.

    Raises:
        ValueError: If there is a run in the folder and `resume` is False, there is none and it is True, the one that
            is there was asked for something else, or another process is at it.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], resume: bool) -> None:
        """Opens the folder."""
        self.folder, self.config = folder, dict(config)
        place = folder / "config.json"
        if place.exists():
            self._take()
        if resume:
            if not place.is_file():
                raise ValueError(f"--resume: there is no run in {folder}")
            there = json.loads(place.read_text(encoding="utf-8"))
            differ = [name for name in config if there.get(name) != json.loads(json.dumps(config[name]))]
            if differ:
                said = ", ".join(f"{name} was {there.get(name)!r}, is {config[name]!r}" for name in differ)
                raise ValueError(f"--resume: the run in {folder} is another one: {said}")
        elif place.exists():
            raise ValueError(f"--out: there is a run in {folder} already: --resume goes on with it")
        else:
            (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
            self._take()
            _atomic.write(place, json.dumps(self.config, indent=1) + "\n")

    def _take(self) -> None:
        """Makes the folder this process's; the operating system lets go of it however the process ends."""
        self._lock = FileLock(self.folder / "lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(f"--out: another process is training in {self.folder}") from None

    def close(self) -> None:
        """Lets other processes go on with the run."""
        self._lock.release()

    @property
    def trained(self) -> Path:
        """Where the trained file is."""
        scenario = self.config["scenario"]  # a name, or the fields of a scenario
        name = scenario if isinstance(scenario, str) else scenario["name"]
        return self.folder / f"{self.config['algorithm']}-{name}-{self.config['seed']}.pt"

    @property
    def checkpoint(self) -> Path | None:
        """The newest checkpoint."""
        found = sorted(path for path in (self.folder / "checkpoints").iterdir() if path.name.isdigit())
        return found[-1] if found else None

    def save(self, model: Any, progress: Mapping[str, Any]) -> None:
        """Writes a checkpoint of an SB3 algorithm, and drops the oldest ones."""
        final = self.folder / "checkpoints" / f"{model.num_timesteps:012d}"
        with _atomic.replacing(final) as temporary:
            temporary.mkdir()
            model.save(temporary / "model.zip")
            if hasattr(model, "replay_buffer"):
                model.save_replay_buffer(temporary / "replay.pkl")
            if model.get_vec_normalize_env() is not None:
                model.get_vec_normalize_env().save(str(temporary / "normalize.pkl"))
            (temporary / "progress.json").write_text(json.dumps(progress), encoding="utf-8")
        whole = sorted(path for path in final.parent.iterdir() if path.name.isdigit())
        for old in [*whole[:-KEPT], *final.parent.glob("*.tmp")]:  # what a kill left behind, too
            shutil.rmtree(old)

    def restore(self, checkpoint: Path, model: Any) -> Any:
        """Puts the replay buffer back, if there is one; returns what `save` was given of the progress."""
        if (checkpoint / "replay.pkl").exists():
            model.load_replay_buffer(checkpoint / "replay.pkl")
        return json.loads((checkpoint / "progress.json").read_text(encoding="utf-8"))

    def note(self, line: Mapping[str, Any]) -> None:
        """Adds a line to the curve."""
        note(self.folder, line)


def note(folder: Path, line: Mapping[str, Any]) -> None:
    """Adds a line to the curve of the run in a folder."""
    with (folder / CURVE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_curve(folder: Path) -> list[dict[str, Any]]:
    """The lines of the curve of the run in a folder."""
    return [json.loads(line) for line in (folder / CURVE).read_text(encoding="utf-8").splitlines()]
