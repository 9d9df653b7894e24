"""Trains an agent.

python -m agents.train ppo --scenario gsp-stable            about five minutes on two cores
python -m agents.train ppo --scenario sanity --minutes 2
python -m agents.train ppo --scenario gsp-stable --resume   goes on after a kill
python -m agents.train smdp --help                          a PPO of our own, on many scenarios at once
python -m agents.train es --help                            evolution strategies on the same network
python -m agents.train imitate --help                       an evictor that imitates belady

Writes a folder with checkpoints, the curve on validation seeds, TensorBoard files and the trained file, which plays on
any number of workers: `python -m agents.leaderboard --agent learned --agent-args '{"path": ".."}'`.
Hyper-parameters come from `agents/learned/hyperparams/ALGO.yml`, in the format of rl-zoo3. Needs the extra "train".
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from envs_registry import ENVIRONMENTS
from kvgym import _check, _command
from kvgym.scenarios import SUITE_SCENARIOS, check_training_split, command_line, get_scenario, refuse_held_out

from .learned import ALGORITHMS

_SCENARIO = f"""one of {", ".join(SUITE_SCENARIOS)} (gsp-stable), or your own: a .json or .yml file, or module:name"""
SMDP = "smdp"
OWN = {SMDP: "command", "es": "es", "imitate": "imitate_command"}
"""Algorithms that have options of their own -> modules of `agents.learned` with their command lines."""
_ALIASES = {"maskableppo": "ppo_mask", "maskable_ppo": "ppo_mask"}


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("agents.train", __doc__)
    parser.add_argument(
        "algorithm",
        type=lambda name: _ALIASES.get(name.lower(), name.lower()),
        choices=ALGORITHMS,
        help="ppo_mask is MaskablePPO, which is understood, too",
    )
    parser.add_argument("--env", default="KVGym/Route-v0", help="id of the environment (KVGym/Route-v0)")
    parser.add_argument("--scenario", default="gsp-stable", help=_SCENARIO)
    command_line.add_fleet(parser)
    parser.add_argument("--overrides", default="{}", metavar="JSON", help="the same as --set, as JSON; goes before it")
    parser.add_argument(
        "--env-kwargs", default="{}", metavar="JSON", help='arguments of the environment: {"action": "rule"}'
    )
    parser.add_argument("--total-steps", type=int, help="decisions in all (what the hyper-parameters say)")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="stop after so long, validation included (no limit)"
    )
    parser.add_argument("--num-envs", type=int, help="environments in the batch (what the hyper-parameters say)")
    parser.add_argument("--seed", type=int, default=0, help="training seed (0)")
    parser.add_argument("--hyperparams", type=Path, metavar="FILE", help="another file of hyper-parameters")
    parser.add_argument("--validation-seeds", type=int, default=8, help="episodes of each validation (8)")
    parser.add_argument("--validations", type=int, default=20, help="how often to validate, in all (20)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1); the second core makes episodes")
    parser.add_argument("--out", type=Path, help="folder of the run (runs/ALGO-ENV-SCENARIO-SEED)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in that folder")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Trains as the command line says."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in OWN:
        _train_own(argv[0], argv[1:])
        return
    given = make_parser().parse_args(argv)
    try:
        _train(given)
    except (ValueError, OSError) as error:
        sys.exit(f"agents.train: {error}")
    except KeyboardInterrupt:
        sys.exit("agents.train: interrupted; the same command with --resume goes on from the last checkpoint")


def _train_own(algorithm: str, argv: list[str]) -> None:
    try:
        command = import_module(f".learned.{OWN[algorithm]}", __package__)
    except ImportError as error:
        sys.exit(f'agents.train: {algorithm} needs torch, which the extra "train" brings ({error})')
    command.main(argv)


def _train(given: argparse.Namespace) -> None:
    env_id = given.env.removeprefix("kvgym:")
    _check.choice("--env", env_id, ENVIRONMENTS)
    scenario = get_scenario(given.scenario, argument="--scenario")
    refuse_held_out("--scenario", scenario.name)
    overrides = command_line.merged(command_line.changes(given), _mapping("--overrides", given.overrides))
    env_kwargs = _mapping("--env-kwargs", given.env_kwargs)
    scenario.with_overrides(overrides)
    for name in ("validation_seeds", "validations", "threads"):
        _check.whole(f"--{name.replace('_', '-')}", getattr(given, name), 1)
    _check.whole("--seed", given.seed, 0)
    if not given.minutes > 0:
        raise ValueError(f"--minutes must be above 0, got {given.minutes}")
    try:
        from .learned import hyperparams, learner
        from .learned.run import Run
    except ImportError as error:
        raise ValueError(
            f'training needs the extra "train": pip install "kvgym[train]", in a checkout -e ".[train]" ({error})'
        ) from error
    found = hyperparams.load(given.algorithm, env_id, given.hyperparams)
    total = found.n_timesteps if given.total_steps is None else _check.whole("--total-steps", given.total_steps, 1)
    found = replace(found, env_kwargs={**found.env_kwargs, **env_kwargs})
    check_training_split("agents.train", found.env_kwargs.get("split", "train"))
    if given.num_envs is not None:
        found = found.with_envs(_check.whole("--num-envs", given.num_envs, 1))
    plan = learner.Plan(
        algorithm=given.algorithm,
        env_id=env_id,
        # The fields of one's own, so that a run goes on only with the scenario that it began with.
        scenario=given.scenario if given.scenario in SUITE_SCENARIOS else scenario.to_dict(),
        overrides=overrides,
        seed=given.seed,
        total_steps=total,
        minutes=given.minutes,
        hyperparams=found,
        validation_seeds=range(given.validation_seeds),
        n_validations=given.validations,
        threads=given.threads,
    )
    name = "-".join((given.algorithm, env_id.partition("/")[2], scenario.name, str(given.seed)))
    run = Run(given.out or Path("runs") / name, learner.config(plan), given.resume)
    print(f"{given.algorithm} on {env_id}, scenario {scenario.name}, {total:,} steps, in {run.folder}")
    try:
        learner.train(plan, run, resume=given.resume, progress=sys.stderr.isatty())
    finally:
        run.close()
    print(f"trained file: {run.trained}")


def _mapping(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{name} must be JSON, got {text!r}: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a JSON object, got {text!r}")
    return value


if __name__ == "__main__":
    main()
