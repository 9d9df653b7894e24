"""The runs of the zoo: one per entry and training seed, each a folder as `agents.train` makes it.

    ENTRY/seed-0/run.json    the words for `agents.train`, and whether it came to its end
    ENTRY/seed-0/..          what `agents.train` writes

A run that is done is kept; one that was interrupted goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from kvgym import _atomic

from .. import train
from .table import Row

RUN = "run.json"
QUICK_FIELDS = ("episode_requests=60", "warmup_requests=10")
"""Of scenarios in a quick zoo, in training as in scoring."""
_QUICK_STEPS = 256


class Failed(Exception):
    """A run, or a leaderboard, did not come to its end; the others of the zoo go on."""


@dataclass(frozen=True)
class Budget:
    """How long a training seed learns, where that is not what its entry says.

    Attributes:
        minutes: At most. Given alone it goes with the decisions of the hyper-parameters.
        steps: Decisions in all. Given alone there is no limit of time.
        quick: A few hundred decisions in short episodes, to see that everything works.
    """

    minutes: float | None = None
    steps: int | None = None
    quick: bool = False


def command(row: Row, seed: int, budget: Budget) -> list[str]:
    """The words for `agents.train`, without the folder."""
    own = row.algorithm == train.SMDP
    words = [row.algorithm, "--scenario", *row.scenarios, "--seed", str(seed)]
    words += ["--evictor", row.evictor] if row.evictor else []
    words += [] if own else ["--env", row.environment]
    words += row.options
    if budget.quick:
        words += ["--num-envs", str(max(4, len(row.scenarios))), "--set", *QUICK_FIELDS]
        words += ["--steps", "32"] if own else ["--validation-seeds", "2", "--validations", "2"]
    steps, minutes = limits(row, budget)
    words += [] if steps is None else ["--total" if own else "--total-steps", str(steps)]
    return words + ([] if minutes is None else ["--minutes", f"{minutes:g}"])


def limits(row: Row, budget: Budget) -> tuple[int | None, float | None]:
    """Decisions and minutes of a training seed; None where the hyper-parameters say, and without a limit."""
    if budget.quick:
        return _QUICK_STEPS, None
    if budget.steps is None and budget.minutes is None:
        return row.steps, row.minutes
    return budget.steps, budget.minutes


def trained(row: Row, seed: int, folder: Path) -> Path:
    """The file that a run in a folder comes to."""
    return folder / ("policy.pt" if row.algorithm == train.SMDP else f"{row.algorithm}-{row.names[0]}-{seed}.pt")


def is_done(folder: Path, words: list[str]) -> bool:
    """Whether the run that was asked for with `words` came to its end.

    Raises:
        ValueError: If the run in the folder was asked for with others.
    """
    place = folder / RUN
    if not place.is_file():
        return False
    there = json.loads(place.read_text(encoding="utf-8"))
    if there["command"] != words:
        was, now = " ".join(there["command"]), " ".join(words)
        raise ValueError(f"--out: the run in {folder} was another one, {was!r}; asked for is {now!r}")
    return bool(there["done"])


def train_one(words: list[str], folder: Path) -> None:
    """Trains a run to its end, from its last checkpoint if it has one.

    Raises:
        Failed: If it does not come to its end.
    """
    _note(folder, words, done=False)
    mark = "checkpoint.pt" if words[0] == train.SMDP else "config.json"
    more = ["--resume"] if (folder / mark).exists() else []
    try:
        train.main([*words, "--out", str(folder), *more])
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # which `agents.train` answers with a line of its own
            raise KeyboardInterrupt from None
        raise Failed(str(stop.code)) from None
    except Exception as error:  # whatever an algorithm may raise: it is this run's, and said where it comes from
        traceback.print_exc(file=sys.stderr)
        raise Failed(f"{type(error).__name__}: {error}") from error
    _note(folder, words, done=True)


def _note(folder: Path, words: list[str], done: bool) -> None:
    _atomic.write(folder / RUN, json.dumps({"command": words, "done": done}) + "\n")
