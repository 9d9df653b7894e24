"""Writes episodes of agents as a Minari dataset, for those who learn from logs.

    python -m agents.record --recipe mixed                      ten episodes of gsp-stable
    python -m agents.record --recipe best --scenario multi-turn --seeds 100
    python -m agents.record --agent lbgr_code --epsilon 0.1     a tenth of the decisions is drawn
    python -m agents.record --agent rlt --scenario multi-turn   evictions: actions are leaves

Observations, actions, masks, rewards, ends, and the probability of each action where it is known. Load them with
`minari.load_dataset(id)`. Needs the extra "datasets". docs/datasets.md
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import kvgym
from kvgym import _command, _progress
from kvgym.evaluation import files
from kvgym.evaluation.stage import make_env
from kvgym.scenarios import (
    SUITE_SCENARIOS,
    Scenario,
    check_training_split,
    command_line,
    get_scenario,
    refuse_held_out,
)

from .. import make_agent
from ..leaderboard.options import add_agents
from ..leaderboard.plan import code_sha256, seeds_of
from . import storage
from .episode import Log, play
from .mixture import Mixture
from .recipes import RECIPES, Recipe, recipe_for

_RECIPE = "; ".join(f"{name}: {recipe.text}" for name, recipe in RECIPES.items())


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("agents.record", __doc__)
    add = parser.add_argument
    add("--recipe", choices=RECIPES, help=_RECIPE)
    add_agents(parser, "instead: agents of your choice; of several one is drawn at every decision")
    add("--weights", nargs="+", type=float, metavar="W", help="how often each of the agents decides (all alike)")
    add("--epsilon", type=float, metavar="E", help="share of the decisions that are drawn uniformly (0)")
    add("--evictor", metavar="NAME", help="for agents that route: which pages go (the scenario's own)")
    add("--router", metavar="NAME", help="for agents that evict: who routes, as in KVGym/Evict-v0")
    add("--scenario", metavar="NAME|FILE|module:name", help="what is played (gsp-stable)")
    command_line.add_options(parser)
    add("--split", default="train", help="train (default) or validation; test is what agents are scored on")
    add("--seeds", default="10", metavar="N|A-B", help="how many episodes, or which (10)")
    add("--id", metavar="ID", help="id of the dataset (kvgym/SCENARIO/RECIPE or AGENT-v0)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        _record(options, sys.argv[1:] if argv is None else argv)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return 0


def _record(options: argparse.Namespace, words: Sequence[str]) -> None:
    check_training_split("agents.record", options.split)
    source, overrides, scenario = _scenario(options)
    refuse_held_out("--scenario", scenario.name)
    seeds = seeds_of(options.seeds)
    behaviour = _behaviour(options, scenario)
    agent = Mixture(
        [make_agent(name, **kwargs) for name, kwargs in behaviour.agents], behaviour.weights, behaviour.epsilon
    )
    env = make_env(
        agent,
        source,
        overrides=overrides or None,
        evictor=behaviour.evictor or None,
        router=options.router,
        split=options.split,
    )
    dataset_id = options.id or f"kvgym/{scenario.name}/{options.recipe or _slug(behaviour)}-v0"
    facts = {
        "suite_version": kvgym.__version__,
        "code_sha256": code_sha256(),
        "command": f"python -m agents.record {shlex.join(words)}".rstrip(),
        "scenario": scenario.name,
        "scenario_version": scenario.version,
        "scenario_fields": {} if scenario.name in SUITE_SCENARIOS else files.without_folders(scenario.to_dict()),
        "overrides": files.without_folders(overrides),
        "split": options.split,
        "seeds": list(seeds),
        "recipe": options.recipe or "",
        "agents": files.without_folders([list(one) for one in behaviour.agents]),
        "weights": agent.weights,
        "epsilon": agent.epsilon,
        "evictor": behaviour.evictor,
        "router": options.router or "",
        "features": list(env.layout.names),
        "files": files.file_hashes([behaviour.agents, overrides, scenario.to_dict()]),
    }
    metadata = {
        "algorithm_name": options.recipe or _slug(behaviour),
        "description": f"{behaviour.text}; {env.spec.id}, scenario {scenario.name}, split {options.split}",
        "requirements": [f"kvgym=={kvgym.__version__}"],
        "kvgym": facts,
    }
    _write(dataset_id, env, agent, seeds, metadata)


def _scenario(options: argparse.Namespace) -> tuple[Any, dict[str, Any], Scenario]:
    """What is played: its name or file, the changed fields, and both as one."""
    if options.scenario and options.trace and options.scenario != "trace":
        raise ValueError(f"--trace is a scenario of its own: leave --scenario {options.scenario} away")
    name = options.scenario or ("trace" if options.trace else "gsp-stable")
    ((source, overrides),) = command_line.scenarios(options, [name])
    return source, overrides, get_scenario(source, overrides, argument="--scenario")


def _behaviour(options: argparse.Namespace, scenario: Scenario) -> Recipe:
    """Who plays: the recipe, or what --agent and its like say."""
    if (options.recipe is None) == (options.agent is None):
        raise ValueError(f"give either --recipe ({', '.join(RECIPES)}) or --agent")
    if options.recipe:
        for name in ("weights", "epsilon", "evictor", "router"):
            if getattr(options, name) is not None:
                raise ValueError(f"--{name} is for --agent; recipe {options.recipe} says it itself")
        return recipe_for(options.recipe, scenario)
    agents = tuple((name, json.loads(kwargs)) for name, kwargs in options.agent)
    weights = options.weights or [1.0] * len(agents)
    own = Recipe("", agents, tuple(weights), options.epsilon or 0.0, options.evictor or "")
    shares = ", ".join(f"{name} {weight:g}" for (name, _), weight in zip(agents, weights, strict=False))
    return replace(own, text=f"agents and weights: {shares}; epsilon {own.epsilon:g}")


def _slug(behaviour: Recipe) -> str:
    """A name for a dataset, made of those of the agents: Minari takes letters, digits, - and _."""
    names = [name.rpartition(":")[2] for name, _ in behaviour.agents]
    return "-".join(names) + (f"-eps{100 * behaviour.epsilon:.0f}" if behaviour.epsilon else "")


def _write(dataset_id: str, env: Any, agent: Mixture, seeds: Sequence[int], metadata: dict[str, Any]) -> None:
    done: list[tuple[int, float, float]] = []

    def episodes() -> Iterator[Log]:
        for seed in seeds:
            log = play(env, agent, seed)
            known = np.isfinite(log.infos["propensity"][:-1]).mean()
            done.append((len(log.actions), log.facts["J"], float(known)))
            yield log

    def line(seconds: float) -> str:
        return f"{dataset_id}: {len(done)} of {len(seeds)} episodes, {sum(one[0] for one in done):,} steps"

    storage.place_of(dataset_id)  # what is wrong with it is said before anything is played
    with _progress.progress(line):
        folder = storage.write(dataset_id, env, episodes(), metadata)
    steps, costs, known = (np.array(column) for column in zip(*done, strict=True))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{dataset_id} in {folder}")
    print(
        f"{len(done)} episodes, {steps.sum():,} steps, mean J {costs.mean():.4g} s, {size / len(done) / 1e6:.2f} MB an "
        f"episode; propensities are known of {100 * float((known * steps).sum() / steps.sum()):.4g} % of the actions"
    )
    print(f"load it with minari.load_dataset({dataset_id!r})")


if __name__ == "__main__":
    _command.run(main)
