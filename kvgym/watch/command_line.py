"""Options of `kvgym watch` and `kvgym trace`: which episode, played by whom."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from kvgym import _check, _homes
from kvgym.scenarios import SPLITS, command_line, get_scenario
from kvgym.watch.film import Film, film

LOOK_AHEAD = 16


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that both commands have."""
    add = parser.add_argument
    add("--scenario", default="gsp-stable", metavar="NAME|FILE|module:name", help="what is played (gsp-stable)")
    add("--evictor", metavar="NAME", help="for agents that route: which pages go (the scenario's)")
    command_line.add_options(parser)
    add("--requests", type=int, metavar="N", help="requests of the episode (the scenario's)")
    add("--seed", type=int, default=0, metavar="N", help="which episode (0)")
    add("--split", choices=SPLITS, default="validation", help="from which split (validation)")
    look = f"arrivals over which each other worker is tried at each decision; 0: not at all ({LOOK_AHEAD})"
    add("--look-ahead", type=int, default=LOOK_AHEAD, metavar="N", help=look)


def films(
    parser: argparse.ArgumentParser, options: argparse.Namespace, names: list[str], out: Path | None
) -> list[Film]:
    """Plays what the options say, once for each agent; an option that is not allowed ends the command."""
    agents = _homes.load("agents")
    try:
        seed = _check.whole("--seed", options.seed, 0)
        look_ahead = _check.whole("--look-ahead", options.look_ahead, 0)
        ((name, overrides),) = command_line.scenarios(options, [] if options.trace else [options.scenario])
        if options.requests is not None:
            overrides["episode_requests"] = _check.whole("--requests", options.requests, 1)
        scenario = get_scenario(name, overrides, argument="--scenario")
        if out is not None and out.is_dir():
            raise ValueError(f"--out must be a file, {out} is a folder")
        made = [(name, agents.make_agent(name)) for name in names]
        game = {"evictor": options.evictor, "split": options.split, "look_ahead": look_ahead}
        found = []
        for name, agent in made:
            # A line now and then where nobody watches.
            each_s = 0.2 if sys.stderr.isatty() else 10.0
            with tqdm(desc=name, total=scenario.episode_requests, unit=" decisions", mininterval=each_s) as bar:
                found.append(film(agent, name, scenario, seed, told=bar.update, **game))
        return found
    except ValueError as error:
        parser.error(str(error))
