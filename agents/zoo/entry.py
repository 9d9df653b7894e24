"""An entry of the zoo: its training seeds trained, then scored, then written down."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import kvgym
from kvgym import _atomic
from kvgym.evaluation import files
from kvgym.evaluation.runs import machine

from ..leaderboard.run import clock
from ..train import SMDP
from . import curves, page, scoring, training
from .table import Row


@dataclass(frozen=True)
class Entry:
    """What is asked of a row of the table.

    Attributes:
        row: The row.
        out: Folder of the entry.
        n_seeds: Training seeds.
        n_tests: Test seeds of each scenario.
        workers: Processes that play them; None: one per core.
        budget: How long each training seed learns.
    """

    row: Row
    out: Path
    n_seeds: int
    n_tests: int
    workers: int | None
    budget: training.Budget

    @property
    def folders(self) -> list[Path]:
        """Of its runs."""
        return [self.out / f"seed-{seed}" for seed in range(self.n_seeds)]

    @property
    def trained(self) -> list[Path]:
        """The trained files."""
        return [training.trained(self.row, seed, folder) for seed, folder in enumerate(self.folders)]

    def words(self, seed: int) -> list[str]:
        """What `agents.train` is asked for."""
        return training.command(self.row, seed, self.budget)

    def n_done(self) -> int:
        """How many runs came to their end; raises a ValueError if one that is there was asked for otherwise."""
        return sum(training.is_done(folder, self.words(seed)) for seed, folder in enumerate(self.folders))

    def make(self) -> None:
        """Trains and plays what is not there yet, and writes the entry's part of the page.

        Raises:
            Failed: If a run or an episode failed.
            ValueError: If another process is at the entry.
        """
        with self._held():
            for seed, folder in enumerate(self.folders):
                if not training.is_done(folder, self.words(seed)):
                    self._say(f"training seed {seed} of {self.n_seeds}")
                    began = time.monotonic()
                    training.train_one(self.words(seed), folder)
                    self._say(f"training seed {seed} is done after {clock(time.monotonic() - began)}")
            self._say(f"test seeds 0 to {self.n_tests - 1}")
            scores = scoring.score(self._leaderboard(self.trained), self.out / "scores")
            self._write(scores)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Makes the folder this process's; the operating system lets go of it however the process ends."""
        self.out.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.out / "lock", timeout=0):
                yield
        except Timeout:
            raise ValueError(f"--out: another process is at {self.out}") from None

    def _leaderboard(self, paths: list[Path]) -> list[str]:
        return scoring.command(self.row, paths, self.n_tests, self.workers, self.budget.quick)

    def _write(self, scores: list[dict[str, Any]]) -> None:
        seen = curves.curves_of(self.row, self.folders)
        seen_in = "training episodes, in which it explores" if self.row.algorithm == SMDP else "validation episodes"
        here = [path.relative_to(self.out) for path in self.trained]
        entry = {
            "row": asdict(self.row),
            "runs": [curves.end(folder) for folder in self.folders],
            "test_seeds": self.n_tests,
            "scores": scores,
            "curves": seen,
            "curves_are": seen_in,
            "train": shlex.join(["agents.train", *files.without_folders(self.words(0))]),
            "leaderboard": shlex.join(["agents.leaderboard", *files.without_folders(self._leaderboard(here))]),
            "versions": {"kvgym": kvgym.__version__, **machine()},
        }
        if curves.can_draw() and seen:
            curves.draw(seen, f"{self.row.name}: J of {seen_in}", self.out / page.CURVE)
        elif seen:
            print('no picture of the curves: pip install "kvgym[plot]"', file=sys.stderr)
        _atomic.write(self.out / page.ENTRY, files.to_text(entry))

    def _say(self, text: str) -> None:
        print(f"{self.row.name}: {text}", flush=True)
