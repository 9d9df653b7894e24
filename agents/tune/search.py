"""The search: forms of an agent on training seeds within a budget of decisions, the best one on validation seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kvgym import _atomic
from kvgym.evaluation import files, play
from kvgym.evaluation.statistics import Floats

from .. import make_agent
from ..leaderboard.processes import Pool, pool
from .space import as_json, draw

EVICTOR = "evictor"
"""The choice of an evictor, among the constants of a trial."""
Form = Mapping[str, Any]
"""Arguments of the agent, and perhaps `EVICTOR`."""


class Setting(NamedTuple):
    """A scenario and the fields of it that are changed."""

    scenario: str
    overrides: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """All that decides a search but its length.

    Attributes:
        agent: A name that `make_agent` knows, or path.py:Class.
        fixed: Arguments that all forms have.
        ranges: What is searched, see `agents.base.Agent.tunable`; evictors under `EVICTOR`.
        settings: The scenarios.
        requests: Counted requests of an episode of the search; episodes of the validation are as the scenario has them.
        seeds: Episodes of a scenario, of the split "train".
        validation_seeds: The same of the split "validation".
        seed: Of the sampler.
    """

    agent: str
    fixed: Mapping[str, Any]
    ranges: Mapping[str, Any]
    settings: tuple[Setting, ...]
    requests: int
    seeds: int
    validation_seeds: int
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            **vars(self),
            "ranges": as_json(self.ranges),
            "settings": [{"scenario": one.scenario, "overrides": one.overrides} for one in self.settings],
        }


class Episode(NamedTuple):
    """What is played, and by whom."""

    agent: str
    form: Form
    setting: Setting
    seed: int
    split: str


def play_episode(episode: Episode) -> tuple[float, int]:
    """J (s), and how many decisions were made."""
    arguments = dict(episode.form)
    evictor = arguments.pop(EVICTOR, None)
    agent = make_agent(episode.agent, **arguments)
    scenario, overrides = episode.setting
    played = play(agent, scenario, episode.seed, overrides=overrides, evictor=evictor, split=episode.split)
    return played.J, played.n_actions


@dataclass(frozen=True)
class Trial:
    """A form and what it came to.

    Attributes:
        form: The constants; {}: the agent as it is.
        costs: J of each scenario and seed (s): float64 (scenarios, seeds).
        decisions: Made for it.
    """

    form: Form
    costs: Floats
    decisions: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"form": dict(self.form), "J": self.costs.tolist(), "decisions": self.decisions}


class Player:
    """Plays forms of a plan's agent; what was played before is not played again.

    Args:
        plan: The plan.
        processes: To play in; None: this one.
        path: File of what was played; None: nothing is kept.

    Raises:
        ValueError: If the file is of another plan, or of other code.
    """

    def __init__(self, plan: Plan, processes: Pool | None, path: Path | None, code: str) -> None:
        """Reads the file."""
        self.plan, self._processes, self._path = plan, processes, path
        self._head = {"plan": plan.as_dict(), "code_sha256": code}
        self._trials: dict[str, Trial] = {}
        if path is not None and path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        value = files.read(path)
        if files.to_text({name: value.get(name) for name in self._head}) != files.to_text(self._head):
            raise ValueError(f"--out: {path} holds another search, or one by other code: give another folder")
        for split, found in value["trials"].items():
            for one in found:
                trial = Trial(one["form"], np.array(one["J"], float), one["decisions"])
                self._trials[self._key(split, trial.form)] = trial

    def _key(self, split: str, form: Form) -> str:
        return f"{split} {files.to_text(form)}"

    def play(self, form: Form, split: str) -> Trial:
        """Plays a form on all scenarios and seeds of a split."""
        key = self._key(split, form)
        if key not in self._trials:
            self._trials[key] = self._play(form, split)
            self._write()
        return self._trials[key]

    def _play(self, form: Form, split: str) -> Trial:
        plan = self.plan
        is_search = split == "train"
        shorter = {"episode_requests": plan.requests} if is_search else {}
        settings = [Setting(one.scenario, {**one.overrides, **shorter}) for one in plan.settings]
        seeds = range(plan.seeds if is_search else plan.validation_seeds)
        whole = {**plan.fixed, **form}
        episodes = [Episode(plan.agent, whole, setting, seed, split) for setting in settings for seed in seeds]
        if self._processes is None:
            played = list(map(play_episode, episodes))
        else:
            played = [one.result() for one in [self._processes.submit(play_episode, each) for each in episodes]]
        costs = np.array([cost for cost, _ in played]).reshape(len(settings), len(seeds))
        return Trial(form, costs, sum(n for _, n in played))

    def _write(self) -> None:
        if self._path is None:
            return
        trials: dict[str, list[Any]] = {"train": [], "validation": []}
        for key, trial in self._trials.items():
            trials[key.partition(" ")[0]].append(trial.as_dict())
        _atomic.write(self._path, files.to_text({**self._head, "trials": trials}))


@contextmanager
def processes(workers: int) -> Iterator[Pool | None]:
    """A pool, where there is more than one worker."""
    if workers == 1:
        yield None
        return
    with pool(workers) as found:
        yield found


def gain(trial: Trial, base: Trial) -> Floats:
    """log(J / J of the agent as it is), mean over the scenarios: float64 (seeds,); below 0 is better."""
    logs: Floats = np.log(trial.costs / base.costs).mean(axis=0)
    return logs


def search(player: Player, budget: int, advance: Callable[[int], object]) -> tuple[Trial, int, int]:
    """Plays forms that optuna's TPE sampler suggests, as many as the budget has decisions for.

    The agent as it is plays first. Drawn with the plan's seed, and told the same costs, the sampler suggests the same
    forms: a search that was interrupted goes on as if it had not been.

    Args:
        player: Plays them.
        budget: Decisions on training seeds, those of the agent as it is included.
        advance: Told of decisions as they are made.

    Returns:
        The trial with the lowest geometric mean of J over scenarios and seeds, relative to the agent as it is; how many
        trials there were beside that; the decisions made.

    Raises:
        ValueError: If the budget is not enough for one trial.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=player.plan.seed))
    base = best = player.play({}, "train")
    advance(base.decisions)
    used, n, lowest = base.decisions, 0, 0.0
    while used + base.decisions <= budget:
        suggested = study.ask()
        trial = player.play(draw(suggested, player.plan.ranges), "train")
        value = float(gain(trial, base).mean())
        study.tell(suggested, value)
        advance(trial.decisions)
        used, n = used + trial.decisions, n + 1
        if value < lowest:
            best, lowest = trial, value
    if n == 0:
        raise ValueError(f"--budget must be at least {2 * base.decisions} decisions, of two forms; got {budget}")
    return best, n, used


def by_scenario(trial: Trial, base: Trial, settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """A row per scenario: mean J (s) of either, and the geometric mean of their ratio over the seeds."""
    ratios = np.exp(np.log(trial.costs / base.costs).mean(axis=1))
    columns = zip(settings, base.costs.mean(axis=1).tolist(), trial.costs.mean(axis=1).tolist(), ratios, strict=True)
    return [
        {"scenario": one.scenario, "J untuned": before, "J tuned": after, "ratio": float(ratio)}
        for one, before, after, ratio in columns
    ]
