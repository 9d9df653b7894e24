"""Evolution strategies on the network of `agents.learned.network`: no gradient, no critic, no discount.

Salimans et al. 2017, arXiv 1703.03864: networks around the one that is learned, in pairs on opposite sides of it, play
the same arrivals from the beginning of an episode on, and the step is the mean of the directions, weighed by the ranks
of what they came to. The ranks are taken in each scenario, so that none drowns the others. All networks play side by
side, by the compiled kernel.

python -m agents.train es --scenario gsp-stable+arc multi-turn --set view=exact --corrects --minutes 3

Writes `policy.pt`, which the agent `learned` plays, and `curve.jsonl` into --out. Needs torch.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kvgym import _check

from . import file, groups
from .command import asked, parser_of
from .groups import Entry, Group
from .kernel import Scorer
from .network import Actor, Shape, start
from .ppo import LOST
from .run import note

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """How it learns.

    Raises:
        ValueError: If a number is not allowed.
    """

    pairs: int = 16  # of networks in a generation
    requests: int = 768  # that each of them routes in each scenario
    skipped: int = 128  # of these, the first ones, whose rewards do not count
    total: int = 3_000_000  # decisions in all
    minutes: float = math.inf  # stop after so many
    sigma: float = 0.03  # deviation of a weight from the network that is learned
    rate: float = 0.01  # step of a weight, of Adam, at first; it falls to 0 in a straight line
    width: int = 64  # units of a hidden layer
    corrects: bool = False  # the network's scores are a correction to a rule's
    seed: int = 0  # of everything

    def __post_init__(self) -> None:
        """Checks the numbers."""
        for name in ("pairs", "requests", "total", "width"):
            _check.whole(f"--{name}", getattr(self, name), 1)
        _check.index("--skipped", self.skipped, self.requests)
        for name in ("minutes", "sigma", "rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"--{name} must be above 0, got {getattr(self, name)}")


class Evolution:
    """The network and how it moves.

    Args:
        settings: How it learns.
        played: The scenarios.
        more: What the trained file says of the run besides, see `agents.learned.command.asked`.
    """

    def __init__(self, settings: Settings, played: list[Entry], more: dict[str, Any]) -> None:
        """Makes network and environments."""
        self.settings, self.played, self.more, self.done, self.seconds = settings, played, more, 0, 0.0
        self.random = np.random.default_rng(settings.seed)
        torch.manual_seed(settings.seed)
        members = 2 * settings.pairs
        n = members * len(played)
        self.groups = groups.make(played, n, members, more["ranges"], settings.seed, horizon="truncate")
        shape = Shape(width=settings.width, fetches=self.groups[0].fetches, corrects=settings.corrects)
        self.actor = Actor(shape)
        start(self.actor)
        self.weights = torch.nn.utils.parameters_to_vector(self.actor.parameters()).detach().requires_grad_()
        self.optimiser = torch.optim.Adam([self.weights], lr=settings.rate)

    def share(self) -> float:
        """How much of the run is done."""
        return min(1.0, max(self.done / self.settings.total, self.seconds / (60 * self.settings.minutes)))

    def scorer(self, weights: torch.Tensor) -> Scorer:
        """A network with these weights, compiled; it becomes `actor`, too."""
        torch.nn.utils.vector_to_parameters(weights.detach(), self.actor.parameters())
        return Scorer({name: weight.numpy().copy() for name, weight in self.actor.state_dict().items()})

    def iterate(self) -> Array:
        """Plays a generation and moves; returns the reward of a request by scenario, a mean over the generation."""
        s, began = self.settings, time.monotonic()
        noise = torch.from_numpy(self.random.standard_normal((s.pairs, len(self.weights)), np.float32))
        noise = torch.cat([noise, -noise])
        scorers = [self.scorer(self.weights + s.sigma * one) for one in noise]
        rewards = np.concatenate([self.play(group, scorers) for group in self.groups], 1)
        ranks = rewards.argsort(0).argsort(0) / (len(scorers) - 1) - 0.5
        self.optimiser.param_groups[0]["lr"] = s.rate * (1 - self.share())
        self.weights.grad = -(torch.from_numpy(ranks.mean(1)).float() @ noise) / (len(scorers) * s.sigma)
        self.optimiser.step()
        self.done += rewards.size * s.requests
        self.seconds += time.monotonic() - began
        return np.asarray(rewards.mean(0))

    def play(self, group: Group, scorers: list[Scorer]) -> Array:
        """Reward of a request of each network in the scenarios of a group: (networks, scenarios)."""
        s, members = self.settings, len(scorers)
        seen = np.zeros((group.size, group.width), np.float32)
        group.reset(s.seed * 10**10 + self.done, seen)
        total, scores = np.zeros(group.size), np.empty((group.size, group.n_workers), np.float32)
        for step in range(s.requests):
            for member, scorer in enumerate(scorers):
                scores[member::members] = scorer(np.ascontiguousarray(seen[member::members]), group.n_workers)
            real, _ = group.step(np.where(group.masks, scores, LOST).argmax(1), seen)
            total += real[0] * (step >= s.skipped)
        return total.reshape(-1, members).T / (s.requests - s.skipped)

    def save(self, out: Path) -> None:
        """Writes the trained file."""
        self.scorer(self.weights)
        file.save_router(out / "policy.pt", self.actor, "es", self.done, self.seconds, self.more)


def main(argv: list[str] | None = None) -> None:
    """Trains as the command line says."""
    given = parser_of("agents.train es", __doc__, Settings, "runs/es").parse_args(argv)
    try:
        evolution = Evolution(*asked(given, Settings))
        if (given.out / "policy.pt").exists():
            raise ValueError(f"--out: there is a run in {given.out}")
        given.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        sys.exit(f"agents.train: {error}")
    while evolution.share() < 1:
        rewards = evolution.iterate()
        evolution.save(given.out)
        names = [entry.name for group in evolution.groups for entry in _of(group, evolution.played)]
        found = dict(zip(names, rewards.tolist(), strict=True))
        note(given.out, {"steps": evolution.done, "seconds": round(evolution.seconds, 1), "reward": found})
        text = " ".join(f"{name} {reward:.3g}" for name, reward in found.items())
        print(f"{evolution.done:>12,} steps {evolution.seconds:6.0f} s  reward of a request: {text}")
    for group in evolution.groups:
        group.close()
    print(f"trained file: {given.out / 'policy.pt'}")


def _of(group: Group, played: list[Entry]) -> list[Entry]:
    """The scenarios of a group, in the order of its environments."""
    return [played[number] for number in dict.fromkeys(group.of.tolist())]
