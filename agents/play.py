"""A person routes, by keyboard, and is scored beside the rules.

    python -m agents.play --scenario gsp-stable --requests 30

For each request, type the number of the worker that serves it, and Enter. "?" says what LBGR and the best rule would
do here, and asks again; "q" leaves. In the end: your mean latency beside those of all agents on the same requests.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO, cast

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from kvgym import _check, _command
from kvgym.envs.scene import read_scene, render_text
from kvgym.envs.view import View
from kvgym.evaluation import play
from kvgym.scenarios import SPLITS, get_scenario

from . import AGENTS, make_agent
from .base import Agent, Info, Observation

REFERENCE = "lbgr"
LEGEND = "KV memory: # locked, + cached, . free; hit: tokens of the prompt that are cached there"


class Left(Exception):
    """The person has had enough."""


class Person(Agent):
    """Asks a person for each action, and afterwards says what others would have done in the same place.

    An oracle, as it shows the simulator's numbers.

    Args:
        advisers: Routing agents by name; they see the same observations, and learn from the same requests.
        ask: Prompt -> what the person types; default: `input`.
        out: Where the cluster is shown; default: standard output.
        said: What stands above the first request; above the others it is what was chosen before.
    """

    oracle = True

    def __init__(
        self,
        advisers: dict[str, Agent],
        ask: Callable[[str], str] | None = None,
        out: TextIO | None = None,
        said: str = "",
    ) -> None:
        """Nothing is asked yet."""
        self.advisers, self.ask, self.out, self.said = advisers, ask or input, out or sys.stdout, said
        self.asked = 0
        self.agreed = dict.fromkeys(advisers, 0)
        """How often an adviser would have done the same."""

    def reset(self, env: Any, seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        for adviser in self.advisers.values():
            adviser.reset(cast("Any", View(self.env)), seed)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`; raises `Left` on "q" or at the end of the input."""
        advice = {name: int(adviser.act(observation, info)) for name, adviser in self.advisers.items()}
        clear = "\x1b[2J\x1b[H" if self.out.isatty() else ""
        text = render_text(read_scene(self.env.simulator))
        print(f"{clear}{self.said}\n\n{text}\n{LEGEND}\n", file=self.out, flush=True)
        choice = self._choose(np.flatnonzero(info["action_mask"]).tolist(), advice)
        self.asked += 1
        for name, worker in advice.items():
            self.agreed[name] += worker == choice
        return choice

    def _choose(self, workers: list[int], advice: dict[str, int]) -> int:
        said = ", ".join(f"{name} would take {worker}" for name, worker in advice.items())
        while True:
            try:
                typed = self.ask("worker, ? or q > ").strip()
            except EOFError:
                raise Left from None
            if typed == "q":
                raise Left
            if typed.isdecimal() and int(typed) in workers:
                self.said = f"you took {typed}, {said}"
                return int(typed)
            print(said if typed == "?" else f"one of {', '.join(map(str, workers))}, ? or q", file=self.out)


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("agents.play", __doc__)
    add = parser.add_argument
    add("--scenario", default="gsp-stable", metavar="NAME|FILE|module:name", help="what is played (gsp-stable)")
    add("--requests", type=int, default=30, metavar="N", help="how many requests you route (30)")
    add("--seed", type=int, default=0, metavar="N", help="which requests (0)")
    add("--split", choices=SPLITS, default="train", help="from which split (train)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        scenario = get_scenario(options.scenario, argument="--scenario")
        requests, seed = _check.whole("--requests", options.requests, 1), _check.whole("--seed", options.seed, 0)
        game: dict[str, Any] = {"overrides": {"episode_requests": requests}, "split": options.split}
        scenario.with_overrides(game["overrides"])
        others = {
            name: play(make_agent(name), scenario, seed, **game).J
            for name in tqdm(AGENTS, "the others play", file=sys.stderr, disable=None, leave=False)
        }
    except ValueError as error:
        parser.error(str(error))
    best = min((name for name in others if name != REFERENCE), key=others.__getitem__)
    said = f"{scenario.name}: {scenario.text}\n{requests} requests; of all rules {best} is best here."
    person = Person({name: make_agent(name) for name in (REFERENCE, best)}, said=said)
    try:
        mine = play(person, scenario, seed, **game).J
    except Left:
        print(f"\nleft after {person.asked} of {requests} requests: no score")
        return 1
    rows = sorted([("you", mine), *others.items()], key=lambda row: row[1])
    print(f"{person.said}\n\n" + tabulate(rows, ["who", "mean latency (s)"], floatfmt=".3f"))
    random = others["random"]
    agreed = ", ".join(f"{name} in {times} of {person.asked}" for name, times in person.agreed.items())
    print(
        f"\nYou need {mine / random:.2f} of the time of random routing, {mine / others[best]:.2f} of the best rule's."
    )
    print(f"Places where you and another took the same worker: {agreed}.")
    return 0


if __name__ == "__main__":
    _command.run(main)
