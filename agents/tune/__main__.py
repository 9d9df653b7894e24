"""Searches a rule's constants: on training seeds, within a budget of simulated decisions.

    python -m agents.tune lpwl                                    about two minutes on two cores
    python -m agents.tune llmd --agent-args '{"kv": 0}' --scenario gsp-stable chat --budget 100000
    python -m agents.tune lpwl --evictor lru slru rlt --out runs/lpwl     the same again goes on after an interrupt

What may be searched is what the agent's class declares in `tunable`, but for arguments given with --agent-args, and the
evictors, where several are given. The measure is the geometric mean of J over the scenarios, relative to the agent as
it is. The best form is then played on validation seeds, which had no part in the choice. Needs the extra "tune".
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

import kvgym
from kvgym import _atomic, _check, _command
from kvgym.evaluation import files
from kvgym.evaluation.runs import machine
from kvgym.evaluation.stage import ROUTE, environment_of
from kvgym.evaluation.statistics import interval
from kvgym.scenarios import command_line, get_scenario, refuse_held_out
from kvgym.sim import EVICTORS

from .. import make_agent
from ..leaderboard.options import cores
from ..leaderboard.plan import code_sha256
from ..leaderboard.run import progress
from .search import EVICTOR, Plan, Player, Setting, by_scenario, gain, processes, search
from .space import ranges_of

SCENARIOS = (
    *("multi-node-agents", "chat", "documents", "mixed-fleet", "mixed-chat"),
    *("mixture", "gsp-stable", "reasoning", "templates"),
)
"""One of each family that may be trained on, but for the checks."""
BUDGET, REQUESTS, SEEDS, VALIDATION_SEEDS = 500_000, 512, 2, 4


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("agents.tune", __doc__)
    add = parser.add_argument
    add("agent", metavar="NAME|path.py:Class", help="whose constants")
    add("--agent-args", default="{}", metavar="JSON", help="arguments that all forms have; not searched")
    add("--scenario", nargs="+", default=list(SCENARIOS), metavar="NAME|FILE|module:name", help=" ".join(SCENARIOS))
    command_line.add_fleet(parser)
    add("--evictor", nargs="+", choices=EVICTORS, metavar="NAME", help=f"searched, too: {', '.join(EVICTORS)}")
    add("--budget", type=int, default=BUDGET, metavar="N", help=f"decisions on training seeds, in all ({BUDGET})")
    add("--requests", type=int, default=REQUESTS, metavar="N", help=f"of an episode of the search ({REQUESTS})")
    add("--seeds", type=int, default=SEEDS, metavar="N", help=f"training seeds of each scenario ({SEEDS})")
    add("--validation-seeds", type=int, default=VALIDATION_SEEDS, metavar="N", help=f"({VALIDATION_SEEDS})")
    add("--seed", type=int, default=0, help="of the search (0)")
    add("--workers", type=int, metavar="N", help="processes (default: one per core)")
    add("--out", type=Path, metavar="DIR", help="write best.json and all trials here; goes on with what is here")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code. Raises SystemExit(2) if an option is not allowed."""
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        _tune(options)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        kept = "run again with the same --out to go on" if options.out else "nothing is kept without --out"
        print(f"\ninterrupted: {kept}", file=sys.stderr)
        return _command.INTERRUPTED
    return 0


def make_plan(options: argparse.Namespace) -> Plan:
    """What the options ask for.

    Raises:
        ValueError: If one is not allowed.
    """
    try:
        fixed = dict(_check.mapping("--agent-args", json.loads(options.agent_args)))
    except json.JSONDecodeError as error:
        raise ValueError(f"--agent-args must be JSON, got {options.agent_args!r}: {error}") from error
    agent = make_agent(options.agent, **fixed)
    ranges = ranges_of(agent, options.agent, fixed)
    if options.evictor:
        if environment_of(agent) != ROUTE:
            raise ValueError(f"--evictor is for agents that route, {options.agent} plays {environment_of(agent)}")
        ranges[EVICTOR] = list(dict.fromkeys(options.evictor))
    if not ranges:
        raise ValueError(f"agent {options.agent!r} has no constants to search (its class has no `tunable` left)")
    changes = command_line.changes(options)
    for name in options.scenario:
        refuse_held_out("--scenario", get_scenario(name, changes, argument="--scenario").name)
    for name in ("requests", "seeds", "validation_seeds"):
        _check.whole(f"--{name.replace('_', '-')}", getattr(options, name), 1)
    return Plan(
        agent=options.agent,
        fixed=fixed,
        ranges=ranges,
        settings=tuple(Setting(name, changes) for name in dict.fromkeys(options.scenario)),
        requests=options.requests,
        seeds=options.seeds,
        validation_seeds=options.validation_seeds,
        seed=_check.whole("--seed", options.seed, 0),
    )


def _tune(options: argparse.Namespace) -> None:
    try:
        import optuna
    except ImportError as error:
        raise ValueError(
            f'a search needs the extra "tune": pip install "kvgym[tune]", in a checkout -e ".[tune]" ({error})'
        ) from error
    plan = make_plan(options)
    budget = _check.whole("--budget", options.budget, 1)
    workers = cores() if options.workers is None else _check.whole("--workers", options.workers, 1)
    path = options.out / "trials.json" if options.out else None
    with processes(workers) as pool:
        player = Player(plan, pool, path, code_sha256())
        with progress(budget, "decision") as advance:
            best, n_trials, used = search(player, budget, advance)
        untuned, tuned = (player.play(form, "validation") for form in ({}, best.form))
    rows = by_scenario(tuned, untuned, plan.settings)
    over_seeds = [math.exp(end) for end in interval(gain(tuned, untuned))]
    arguments = dict(best.form)
    evictor = arguments.pop(EVICTOR, None)
    result: dict[str, Any] = {
        "agent": plan.agent,
        "agent_args": {**plan.fixed, **arguments},
        **({} if evictor is None else {"evictor": evictor}),
        "budget": budget,
        "decisions": used,
        "trials": n_trials,
        "training": {"ratio": math.exp(float(gain(best, player.play({}, "train")).mean())), "seeds": plan.seeds},
        "validation": {"ratio": dict(zip(("mean", "low", "high"), over_seeds, strict=True)), "scenarios": rows},
        "plan": plan.as_dict(),
        "command": shlex.join(["python", "-m", "agents.tune", *_given(options)]),
        "versions": {"kvgym": kvgym.__version__, "optuna": optuna.__version__, **machine()},
    }
    _show(result, rows)
    if options.out:
        _atomic.write(options.out / "best.json", files.to_text(result))
        print(f"written: {options.out / 'best.json'}")


def _given(options: argparse.Namespace) -> list[str]:
    """The options as they were given, without what does not change the result."""
    default = vars(make_parser().parse_args([options.agent]))
    words = [options.agent]
    for name, value in vars(options).items():
        if value != default[name] and name not in ("agent", "out", "workers"):
            words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, list) else [value])]
    return words


def _show(result: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    ratio, plan = result["validation"]["ratio"], result["plan"]
    print(tabulate(rows, headers="keys", floatfmt=".3f"))
    print(
        f"{result['trials']} trials, {result['decisions']:,} decisions of a budget of {result['budget']:,}: "
        f"J x {result['training']['ratio']:.3f} on training seeds"
    )
    print(
        f"on {plan['validation_seeds']} validation seeds J x {ratio['mean']:.3f} "
        f"[{ratio['low']:.3f}, {ratio['high']:.3f}] (95 %)"
    )
    if result["agent_args"] == plan["fixed"] and EVICTOR not in result:
        print("nothing better than the agent as it is was found")
    evictor = f" --evictor {result[EVICTOR]}" if EVICTOR in result else ""
    print(f"--agent {result['agent']} --agent-args {shlex.quote(json.dumps(result['agent_args']))}{evictor}")


if __name__ == "__main__":
    sys.exit(main())
