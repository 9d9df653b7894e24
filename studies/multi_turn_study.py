"""Why a learned router jumps between 4, 6.7 and 38 s on multi-turn: what becomes of first turns, on validation seeds.

python -m studies.multi_turn_study                          # how first turns are spread, in seconds
python -m studies.multi_turn_study runs/smdp-ppo/policy.pt  # and a trained file, by where it draws (needs torch)

All 128 conversations begin at 0, on four workers that look alike, and conversation i has 2, 4, 6 or 8 turns by i
modulo 4: whoever goes round the workers in turn gives one of them all the long ones.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from tabulate import tabulate

from agents.base import Agent, Info, Observation
from agents.learned.router import ShippedRouter
from kvgym import _command
from kvgym.evaluation.episode import play

SEEDS = range(1000, 1008)
SPREADS = ("in turn", "in turn, each round shuffled", "drawn", "all on one")
"""Of first turns over workers."""


class Noted(Agent):
    """An agent that counts where it sends requests."""

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.sent = np.zeros(self.n_workers)
        self._draws = np.random.default_rng(seed)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        worker = self.chosen(observation, info)
        self.sent[worker] += 1
        return worker

    def chosen(self, observation: Observation, info: Info) -> int:
        """The worker."""
        raise NotImplementedError


class Sticky(Noted):
    """A conversation stays where it began.

    Args:
        spread: One of `SPREADS`.
    """

    def __init__(self, spread: str) -> None:
        """Keeps it."""
        self._spread = spread

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._round: list[int] = []

    def chosen(self, observation: Observation, info: Info) -> int:
        """See `Noted.chosen`."""
        before = observation[self.at["is_prev"]]
        if before.any():
            return int(before.argmax())
        if self._spread in ("drawn", "all on one"):
            return int(self._draws.integers(self.n_workers)) if self._spread == "drawn" else 0
        if not self._round:
            self._round = list(range(self.n_workers))
            if self._spread != "in turn":
                self._draws.shuffle(self._round)
        return self._round.pop(0)


class Drawing(Noted):
    """A trained router that draws as in training, in first or later turns, and takes the best score elsewhere.

    Args:
        network: Of it.
        first: It draws in first turns.
        later: It draws in later ones.
    """

    observation = "scaled"

    def __init__(self, network: Any, first: bool, later: bool) -> None:
        """Keeps them."""
        self._best, self._drawing = ShippedRouter(network), ShippedRouter(network, 1.0)
        self.env_kwargs, self._draws_in = self._best.env_kwargs, (first, later)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._best.reset(env, seed)
        self._drawing.reset(env, seed)

    def chosen(self, observation: Observation, info: Info) -> int:
        """See `Noted.chosen`."""
        is_later = bool(observation[self.at["turn"]] > 0)
        return (self._drawing if self._draws_in[is_later] else self._best).act(observation, info)


def row(title: str, agent: Noted) -> list[str]:
    """A row of the table: mean J and the busiest worker's share of all requests."""
    found = []
    for seed in SEEDS:
        J = play(agent, "multi-turn", seed, split="validation").J
        found.append((J, agent.sent.max() / agent.sent.sum()))
    J, share = np.mean(found, axis=0)
    return [title, f"{J:.2f}", f"{share:.0%}"]


def main(argv: list[str] | None = None) -> None:
    """Prints the table."""
    parser = _command.parser("studies.multi_turn_study", __doc__)
    parser.add_argument("file", type=Path, nargs="?", help="a trained file")
    given: argparse.Namespace = parser.parse_args(argv)
    rows = [row(f"conversations stay, first turns {spread}", Sticky(spread)) for spread in SPREADS]
    if given.file:
        from agents.learned import ship

        try:
            network = ship.read(given.file)
        except (ValueError, OSError) as error:
            sys.exit(f"studies.multi_turn_study: {error}")
        names = {(False, False): "nowhere", (True, False): "in first turns", (False, True): "in later turns"}
        for where, text in {**names, (True, True): "everywhere"}.items():
            rows.append(row(f"the network, which draws {text}", Drawing(network, *where)))
    print(tabulate(rows, ["", "J (s)", "busiest worker"], tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
