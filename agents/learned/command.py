"""Trains one router on one scenario or many at once, by `agents.learned.ppo`.

python -m agents.train smdp --scenario gsp-stable --minutes 3
python -m agents.train smdp --scenario chat gsp-stable+arc documents --evictor frontier --randomise ranges.toml
python -m agents.train smdp --scenario gsp-stable --resume       goes on after a kill

Writes `policy.pt`, which the agent `learned` plays, `checkpoint.pt` and `curve.jsonl` (mean J of training episodes by
scenario) into --out. Needs torch.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from kvgym import _check, _command
from kvgym.scenarios import command_line

from . import clone, groups
from .ppo import Learner, Settings
from .run import note

EVERY_S = 15.0
"""Seconds between two checkpoints."""


def parser_of(name: str, text: str | None, settings: type[Any], out: str) -> argparse.ArgumentParser:
    """A command line: what is played, and an option for each field of the settings.

    Args:
        name: Of the command.
        text: What it does.
        settings: A dataclass.
        out: Folder of the run, where none is named.
    """
    parser = _command.parser(name, text)
    parser.add_argument("--scenario", nargs="+", default=["gsp-stable"], help="NAME or NAME+EVICTOR, one or more")
    parser.add_argument("--evictor", help='of those without one: a name, or "frontier" (the scenario\'s own)')
    parser.add_argument("--randomise", type=Path, metavar="FILE", help="fields to draw for each environment, in TOML")
    command_line.add_fleet(parser)
    parser.add_argument("--out", type=Path, default=Path(out), help=f"folder of the run ({out})")
    for one in fields(settings):
        option, kind = f"--{one.name.replace('_', '-')}", type(one.default)
        more: dict[str, Any] = {"action": "store_true"} if kind is bool else {"type": kind, "default": one.default}
        parser.add_argument(option, help=f"({one.default})", **more)
    return parser


def asked(given: argparse.Namespace, kind: type[Any]) -> tuple[Any, list[groups.Entry], dict[str, Any]]:
    """What a command line of `parser_of` asks for.

    Args:
        given: The options.
        kind: Of the settings, as `parser_of` was given it.

    Returns:
        The settings, the scenarios, and what a trained file says of such a run.

    Raises:
        ValueError: If something is not allowed.
        OSError: If a file can't be read.
    """
    settings = kind(**{one.name: getattr(given, one.name) for one in fields(kind)})
    overrides = command_line.changes(given)
    played = groups.entries(given.scenario, given.evictor, overrides)
    free = {"minutes", "threads", "seed"}  # these may change when a run goes on, or stand elsewhere
    about = {
        "ranges": groups.read_ranges(given.randomise) if given.randomise else {},
        "overrides": overrides,
        "scenario": " ".join(entry.name for entry in played),
        "seed": settings.seed,
        "settings": {name: value for name, value in asdict(settings).items() if name not in free},
    }
    return settings, played, about


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = parser_of("agents.train smdp", __doc__, Settings, "runs/smdp-ppo")
    parser.add_argument("--loads", nargs="+", type=float, default=[1.0], help="times the load, one after the other (1)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in that folder")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Trains as the command line says."""
    given = make_parser().parse_args(argv)
    try:
        settings, played, about = asked(given, Settings)
        for load in given.loads:
            _check.finite("--loads", load, 0.01)
        if given.loads != [1.0] and "rate_scale" in about["ranges"]:
            raise ValueError("--loads can't be changed where --randomise draws rate_scale")

        def make(load: float) -> list[groups.Group]:
            s, at = settings, groups.at_load(played, load)
            return groups.make(at, s.num_envs, s.repeats, about["ranges"], s.seed, horizon="truncate")

        learner = Learner(settings, played, make(given.loads[0]))
        if (given.out / "checkpoint.pt").exists() != given.resume:
            raise ValueError(f"--out: there is {'no' if given.resume else 'a'} run in {given.out}, see --resume")
        if given.loads != [1.0]:
            about["loads"] = given.loads
        learn(learner, given, about, make)
    except (ValueError, OSError) as error:
        sys.exit(f"agents.train: {error}")


def learn(
    learner: Learner, given: argparse.Namespace, more: dict[str, Any], make: Callable[[float], list[groups.Group]]
) -> None:
    """Iterates to the end, load by load, with a line and a checkpoint every `EVERY_S`."""
    s, out = learner.settings, given.out
    if given.resume:
        learner.load(out, more)
    elif s.imitate:
        print(f"{s.imitate} imitated in {clone.imitate(learner, s.imitate, s.imitate_decisions):.0%} of its decisions")
    learner.begin()
    said, stage = learner.seconds, 0
    while learner.share() < 1:
        due = int(learner.share() * len(given.loads))
        if due != stage:
            stage = due
            learner.enter(make(given.loads[stage]))
        moved = learner.iterate()
        if learner.seconds - said > EVERY_S or learner.share() >= 1:
            said, found = learner.seconds, groups.latencies(learner.groups, learner.played)
            learner.save(out, more)
            note(out, {"steps": learner.done, "seconds": round(said, 1), "kl": moved, "J": found})
            text = " ".join(f"{name} {J:.3g}" for name, J in found.items())
            print(f"{learner.done:>12,} steps {said:6.0f} s {learner.done / said:8,.0f}/s  kl {moved:.4f}  J: {text}")
    for group in learner.groups:
        group.close()
    print(f"trained file: {out / 'policy.pt'}")
