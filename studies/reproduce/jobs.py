"""What is played: one episode after the other, in processes, and what has been played before is kept in files."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import as_completed
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from agents import make_agent
from agents.leaderboard.plan import code_sha256
from agents.leaderboard.processes import pool
from agents.leaderboard.run import progress
from kvgym import _atomic
from kvgym.envs.base import load_kernels
from kvgym.evaluation import files, play

SPLIT = "validation"
METRICS = ("hit_rate", "request_throughput", "ttft_p50", "ttft_p95", "e2e_mean", "e2e_p50", "e2e_p95")
Outcome = dict[str, float]
Found = Mapping["Job", Outcome]


class Job(NamedTuple):
    """One episode, and who plays it.

    Attributes:
        probe: A function (seed, **arguments) of a module that gives numbers by name.
        arguments: Of the function, as JSON.
        seed: Of the episode.
    """

    probe: Callable[..., Outcome]
    arguments: str
    seed: int


def job(probe: Callable[..., Outcome], seed: int, **arguments: Any) -> Job:
    """A job: equal arguments make equal jobs."""
    return Job(probe, json.dumps(arguments, sort_keys=True), seed)


def episode(
    seed: int,
    *,
    agent: str,
    args: Mapping[str, Any],
    evictor: str,
    scenario: str,
    overrides: Mapping[str, Any],
) -> Outcome:
    """`METRICS` of an episode."""
    played = play(make_agent(agent, **args), scenario, seed, overrides=overrides, evictor=evictor, split=SPLIT)
    return {name: played.metrics[name] for name in METRICS}


def run(one: Job) -> Outcome:
    """Plays a job."""
    return one.probe(one.seed, **json.loads(one.arguments))


@cache
def _code(probe: Callable[..., Outcome]) -> str:
    """What decides the outcome beside arguments and seed: the simulator, the agents, the probe's own file."""
    return code_sha256() + files.sha256(Path(inspect.getfile(probe)).read_bytes())


class Kept:
    """Outcomes of jobs, in a file for each probe and its arguments."""

    def __init__(self, folder: Path | None) -> None:
        """Keeps them in `folder`; None: in memory alone."""
        self._folder = folder
        self._seeds: dict[str, dict[int, Outcome]] = {}

    def get(self, one: Job) -> Outcome | None:
        """What came of a job, if it was played."""
        return self._of(one).get(one.seed)

    def add(self, one: Job, outcome: Outcome) -> None:
        """Takes in what came of a job, and writes it."""
        seeds = self._of(one)
        seeds[one.seed] = outcome
        if self._folder:
            played = {str(seed): seeds[seed] for seed in sorted(seeds)}
            named = {"probe": one.probe.__qualname__, "arguments": json.loads(one.arguments), "seeds": played}
            _atomic.write(self._path(one), files.to_text(named))

    def _of(self, one: Job) -> dict[int, Outcome]:
        key = self._key(one)
        if key not in self._seeds:
            path = self._path(one) if self._folder else None
            there = files.read(path)["seeds"] if path and path.is_file() else {}
            self._seeds[key] = {int(seed): outcome for seed, outcome in there.items()}
        return self._seeds[key]

    def _key(self, one: Job) -> str:
        return files.digest([_code(one.probe), one.probe.__qualname__, one.arguments])

    def _path(self, one: Job) -> Path:
        assert self._folder is not None
        return self._folder / f"{one.probe.__name__}-{self._key(one)[:16]}.json"


def play_jobs(jobs: Iterable[Job], kept: Kept, workers: int = 1) -> dict[Job, Outcome]:
    """What came of each job; those that are not kept are played, in so many processes (1: in this one)."""
    wanted = list(dict.fromkeys(jobs))
    open_ones = [one for one in wanted if kept.get(one) is None]
    with progress(len(open_ones), "episode") as advance:
        if workers == 1 or not open_ones:
            for one in open_ones:
                kept.add(one, run(one))
                advance(1)
        else:
            load_kernels()
            with pool(workers) as processes:
                playing = {processes.submit(run, one): one for one in open_ones}
                for future in as_completed(playing):
                    kept.add(playing[future], future.result())
                    advance(1)
    return {one: outcome for one in wanted if (outcome := kept.get(one)) is not None}
