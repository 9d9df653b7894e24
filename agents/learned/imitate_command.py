"""Trains an evictor that imitates `belady`, on one scenario or several, by `agents.learned.imitation`.

python -m agents.train imitate --scenario gsp-stable completion documents chat
python -m agents.leaderboard --track evict --agent learned:evictor --agent-args '{"path": "runs/imitate/evictor.npz"}'

Each round plays an episode of every scenario (split "train") with what the rounds before have learned, and learns anew
from all of them. What is kept is the last network. Writes `evictor.npz` and, with J (s) of the episodes, `curve.jsonl`
into --out. Needs torch.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from kvgym import _check, _command
from kvgym.evaluation import play
from kvgym.scenarios import Scenario, command_line, get_scenario, refuse_held_out

from . import imitation
from .imitation import Lessons, Teacher
from .leaf_scorer import LeafScorer
from .run import note

DECISIONS, FIRST_SHARE = 1500, 0.1
"""Of an episode that are learned from, more or less; share of them while it is not known how many there are."""


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("agents.train imitate", __doc__)
    command_line.add_fleet(parser)
    add = parser.add_argument
    add("--scenario", nargs="+", default=["gsp-stable"], help="names or files, one or more (gsp-stable)")
    add("--router", default="agents:lbgr_code", help="who routes, as in KVGym/Evict-v0 (agents:lbgr_code)")
    add("--candidates", type=int, default=64, help="slots, a multiple of 4 (64)")
    add("--rounds", type=int, default=3, help="of playing and learning (3)")
    add("--steps", type=int, default=800, help="batches in each round (800)")
    add("--horizon", type=float, default=200.0, help="requests that count as soon (200)")
    add("--seed", type=int, default=0, help="training seed (0)")
    add("--out", type=Path, default=Path("runs/imitate"), help="folder of the run (runs/imitate)")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Trains as the command line says."""
    given = make_parser().parse_args(argv)
    try:
        for name in ("candidates", "rounds", "steps"):
            _check.whole(f"--{name}", getattr(given, name), 1)
        _check.finite("--horizon", given.horizon, minimum=1.0)
        overrides = command_line.changes(given)
        learn(given, [_scenario(name).with_overrides(overrides) for name in given.scenario], overrides)
    except (ValueError, OSError) as error:
        sys.exit(f"agents.train: {error}")


def _scenario(name: str) -> Scenario:
    scenario = get_scenario(name, argument="--scenario")
    refuse_held_out("--scenario", scenario.name)
    return scenario


def learn(given: argparse.Namespace, played: list[Scenario], overrides: Mapping[str, Any]) -> None:
    """Plays and learns in turn, with a line and a file for each round."""
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    asked = {"action": "leaf", "candidates": given.candidates, "offer": "unhit", "quantum": "leaf"}
    origin = {name: getattr(given, name) for name in ("router", "steps", "horizon", "seed")} | {
        "scenario": " ".join(one.name for one in played),
        "overrides": dict(overrides),
        "algorithm": "imitate",
    }
    scorer: LeafScorer | None = None
    lessons: list[Lessons] = []
    shares = dict.fromkeys((one.name for one in played), FIRST_SHARE)
    began = time.monotonic()
    for turn in range(given.rounds):
        found = {}
        for one in played:
            teacher = Teacher(scorer, asked, shares[one.name])
            episode = play(teacher, one, given.seed * given.rounds + turn, router=given.router, split="train")
            found[one.name] = episode.J
            shares[one.name] = min(1.0, DECISIONS / episode.n_actions)
            lessons.append(teacher.lessons())
        scorer = imitation.fit(lessons, given.horizon, given.steps, given.seed, asked)
        seconds = round(time.monotonic() - began)
        scorer = replace(scorer, origin=origin | {"rounds": turn + 1, "seconds": seconds})
        scorer.save(given.out / "evictor.npz")
        note(given.out, {"round": turn, "seconds": seconds, "J": found})
        print(f"round {turn} {seconds:6d} s  J of the episodes played: {found}", flush=True)
    print(f"trained file: {given.out / 'evictor.npz'}")
