"""The command `kvgym`: each part of it imports what it needs when it is asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kvgym import _command, _compile, _homes

COMMANDS = {
    "leaderboard": ("agents.leaderboard.__main__", "play agents against each other on the same seeds"),
    "capacity": (
        "agents.capacity.__main__",
        "the highest rate that routers sustain, the fewest workers for a rate",
    ),
    "sweep": ("agents.capacity.sweep", "routers over rates, numbers of workers, KV sizes or any other field"),
    "record": ("agents.record.__main__", "write episodes of agents as a Minari dataset (extra datasets)"),
    "train": ("agents.train", "train a network to route or to evict (extra train)"),
    "zoo": ("agents.zoo.__main__", "train and score a table of learned baselines (extra train)"),
    "tune": ("agents.tune.__main__", "search the constants of a rule on training seeds (extra tune)"),
    "play": ("agents.play", "route requests by keyboard, and be scored beside the rules"),
    "watch": ("kvgym.watch.__main__", "an episode in the browser, every decision with what else was possible"),
    "trace": ("kvgym.watch.trace", "an episode as a trace for Chrome or Perfetto"),
    "workload": ("kvgym.workload.__main__", "describe a trace, fit a generator to it, write it for another cluster"),
    "theory": ("theory.__main__", "the theory behind RLT, measured"),
    "validate": ("kvgym.evaluation.validate", "how far the costs are from what was measured"),
    "links": ("kvgym.cluster.links", "is fetching KV from another worker faster than computing it?"),
}
"""Command -> the module whose `main` and `make_parser` it has, and what it does."""
SHELLS = ("bash", "zsh", "tcsh")


def main() -> int | None:
    """Runs the command line; returns the exit status."""
    parser = _parser()
    for name, (_, text) in COMMANDS.items():
        _parts(parser).add_parser(name, help=text, add_help=False)
    options, _ = parser.parse_known_args()
    if options.command in COMMANDS:
        # Everything behind the command is its own, options that this parser knows (-h) too; its usage says who was
        # called.
        place = sys.argv.index(options.command)
        sys.argv = [f"kvgym {options.command}", *sys.argv[place + 1 :]]
        command: Callable[[], int | None] = _homes.load(COMMANDS[options.command][0]).main
        return command()
    options = parser.parse_args()
    if options.command == "list":
        if unknown := [kind for kind in options.kind if kind not in LISTS]:
            parser.error(f"KIND must be one of {', '.join(LISTS)}, got {' '.join(unknown)}")
        show(options.kind or list(LISTS))
    elif options.command == "compile":
        print(f"compiled kernels are in {_compile.load_all()}")
    else:
        print(completion(options.shell))
    return 0


def _parser() -> argparse.ArgumentParser:
    """The command line, without those commands that have a module of their own."""
    parser = argparse.ArgumentParser(prog="kvgym", description="Agents that run a simulated cluster of LLM servers.")
    parts = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listing = parts.add_parser(
        "list", help="scenarios, agents, evictors, GPUs, models, engines and workloads, a line each"
    )
    listing.add_argument("kind", nargs="*", metavar="KIND", help=f"of {', '.join(LISTS)} (default: all)")
    parts.add_parser("compile", help="compile the simulator now, if that is still to be done")
    shell = parts.add_parser("completion", help='completion of a shell: eval "$(kvgym completion bash)"')
    shell.add_argument("shell", choices=SHELLS)
    return parser


def _parts(parser: argparse.ArgumentParser) -> Any:
    """The place of a parser's commands."""
    return parser._subparsers._group_actions[0]  # type: ignore[union-attr]


def completion(shell: str) -> str:
    """A script that completes commands, options, and names of scenarios, agents, evictors, GPUs and models."""
    import shtab

    parser = _parser()
    _parts(parser).choices["list"]._actions[-1].choices = list(LISTS)
    for name, (module, text) in COMMANDS.items():
        own = _homes.load(module).make_parser()
        part = _parts(parser).add_parser(name, help=text, parents=[own], add_help=False)
        for action in part._actions:
            if (kind := f"{action.dest}s") in LISTS and action.choices is None:
                action.choices = [name for name, _ in LISTS[kind]()]
    return str(shtab.complete(parser, shell=shell))


def show(kinds: list[str]) -> None:
    """Prints lists, a line for each thing; the name comes first."""
    lines = []
    for kind in kinds:
        rows = list(LISTS[kind]())
        width = max(len(name) for name, _ in rows)
        lines += [f"{kind}:", *(f"  {name:{width}}  {text}".rstrip() for name, text in rows)]
    print("\n".join(lines))


def _scenarios() -> Iterator[tuple[str, str]]:
    from kvgym.scenarios import SUITE_SCENARIOS

    for name, scenario in SUITE_SCENARIOS.items():
        yield name, scenario.text


def _agents() -> Iterator[tuple[str, str]]:
    agents = _homes.load("agents")
    for name, made in agents.NAMED.items():
        preset = ", ".join(f"{key}={value}" for key, value in agents.PRESETS.get(name, {}).items())
        tuned = " (tuned)" if name in agents.TUNED else ""
        yield name, str(made.__doc__).partition("\n")[0] + (f" {preset}{tuned}" if preset else "")


def _evictors() -> Iterator[tuple[str, str]]:
    from kvgym.sim.evictors import TABLE

    for name, row in TABLE.items():
        yield name, row.text + (" (not among the rules that an agent may name)" if row.alone else "")


def _gpus() -> Iterator[tuple[str, str]]:
    from kvgym.cluster.catalogue import load_catalogue

    catalogue = load_catalogue()
    for name, gpu in catalogue.gpus.items():
        rates = f"{gpu.tflops:,.0f} TFLOP/s in 16 bits"
        rates += "".join(
            f", {rate:,.0f} in {bits}" for bits, rate in ((8, gpu.fp8_tflops), (4, gpu.fp4_tflops)) if rate
        )
        fitted = dict.fromkeys(pair.model for pair in catalogue.pairs.values() if pair.gpu == name)
        yield name, f"{gpu.mem_gib:g} GiB, {gpu.mem_gbps:,.0f} GB/s, {rates}; {_known(fitted)}"


def _models() -> Iterator[tuple[str, str]]:
    from kvgym.cluster.catalogue import load_catalogue

    catalogue = load_catalogue()
    for name, model in catalogue.models.items():
        size = f"{model.weight_bytes / 1e9:.0f} GB in 16 bits, {model.kv_bytes_per_token:,} bytes of KV per token"
        if model.kv_bytes_per_request:
            size += f" and up to {model.kv_bytes_per_request / 1e6:,.1f} MB a request"
        fitted = dict.fromkeys(pair.gpu for pair in catalogue.pairs.values() if pair.model == name)
        yield name, f"{size}; {'/'.join(model.weights)}; {_known(fitted)}"
    for name, reason in catalogue.refused.items():
        yield name, f"refused: {reason}"


def _known(fitted: Iterable[str]) -> str:
    """Whether costs are fitted, and for what, or come from published figures."""
    return f"fitted: {', '.join(fitted)}" if fitted else "published"


def _engines() -> Iterator[tuple[str, str]]:
    from kvgym.cluster import PRESETS

    for name, preset in PRESETS.items():
        yield name, ", ".join(f"{key}={value}" for key, value in preset.engine().items())


def _workloads() -> Iterator[tuple[str, str]]:
    from kvgym.workload.presets import PRESETS

    for name, preset in PRESETS.items():
        yield name, f"{preset.text} ({preset.source})"


LISTS = {
    "scenarios": _scenarios,
    "agents": _agents,
    "evictors": _evictors,
    "gpus": _gpus,
    "models": _models,
    "engines": _engines,
    "workloads": _workloads,
}
"""Kind -> pairs of a name and what it is."""


def run() -> None:
    """The console script; Ctrl-C ends it with one line."""
    _command.run(main)
