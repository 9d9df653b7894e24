"""Describes a trace, fits a generator to it, or writes it for another cluster.

kvgym workload describe requests.jsonl.gz --plot requests.png
kvgym workload fit requests.jsonl.gz fitted.json
kvgym workload convert requests.jsonl.gz twice_as_large.jsonl --tile 2
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tabulate import tabulate

from kvgym import _atomic, _command
from kvgym.workload.convert import WRITERS, write_trace
from kvgym.workload.fit import fit
from kvgym.workload.formats import FORMATS, read_trace
from kvgym.workload.measure import CAPACITIES, Figures, Quantiles, figures
from kvgym.workload.plots import need_matplotlib, plot
from kvgym.workload.workload import Workload

USAGE = 2


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("kvgym.workload", __doc__)
    parts = parser.add_subparsers(dest="part", required=True, metavar="describe|fit|convert")
    describe = parts.add_parser("describe", help="lengths, rate, burstiness, reuse, sessions, hits by capacity")
    fitted = parts.add_parser("fit", help="a generator like it, as a scenario with as many seeds as one wants")
    convert = parts.add_parser("convert", help="another format, pace or size of cluster")
    for part in (describe, fitted, convert):
        part.add_argument("file", metavar="FILE", help="the trace: a file, or a folder of files")
        part.add_argument("--format", choices=list(FORMATS), help="its format (default: found out)")
        part.add_argument("--page-size", type=int, default=16, metavar="N", help="tokens per page (default 16)")
        part.add_argument("--block-tokens", type=int, metavar="N", help="tokens per hash id in the trace")
        part.add_argument("--max-model-len", type=int, metavar="N", help="leave out requests of more tokens")
        part.add_argument("--skip-bad", action="store_true", help="skip, and count, lines that are not in the format")
        part.add_argument("--reader-args", default="{}", metavar="JSON", help="more arguments of the format's reader")
    describe.add_argument("--capacity", type=int, nargs="+", default=list(CAPACITIES), metavar="TOKENS")
    describe.add_argument("--json", action="store_true", help="print the figures as JSON")
    describe.add_argument("--plot", type=Path, metavar="FILE.png", help="draw them, too (extra plot)")
    fitted.add_argument("out", type=Path, metavar="OUT.json", help="a scenario, to be played by --scenario OUT.json")
    fitted.add_argument("--base", default="trace", metavar="NAME", help="scenario whose cluster it has (default trace)")
    convert.add_argument("out", type=Path, metavar="OUT")
    convert.add_argument("--to", choices=list(WRITERS), default="mooncake", help="format of OUT (default mooncake)")
    convert.add_argument("--rate-scale", type=float, default=1.0, metavar="X", help="X times as fast")
    convert.add_argument("--tile", type=float, default=1.0, metavar="X", help="X times the sessions in the same time")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = make_parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: print(f"note: {message}", file=sys.stderr)
        try:
            if options.part == "describe" and options.plot:
                need_matplotlib()
            {"describe": _describe, "fit": _fit, "convert": _convert}[options.part](_read(options), options)
        except (ValueError, OSError) as error:
            print(f"kvgym workload {options.part}: {error}", file=sys.stderr)
            return USAGE
    return 0


def _read(options: argparse.Namespace) -> Workload:
    args = json.loads(options.reader_args)
    if not isinstance(args, dict):
        raise ValueError(f"--reader-args must be a JSON object, got {options.reader_args}")
    if options.skip_bad:
        args["skip_bad"] = True
    if options.block_tokens is not None:
        args["block_tokens"] = options.block_tokens
    found = read_trace(
        options.file, options.page_size, format=options.format, max_model_len=options.max_model_len, **args
    )
    if found.n_dropped:
        print(f"note: left out {found.n_dropped:,} requests of more than --max-model-len", file=sys.stderr)
    return found


def _describe(workload: Workload, options: argparse.Namespace) -> None:
    one = figures(workload, capacities=options.capacity)
    if options.json:
        print(json.dumps(_plain(asdict(one)), indent=1))
    else:
        print(_text(one, workload.name))
    if options.plot:
        plot(workload, options.plot)


def _fit(workload: Workload, options: argparse.Namespace) -> None:
    made = fit(workload)
    name = f"fitted-{Path(options.file).name.partition('.')[0]}"
    text = f"like {Path(options.file).name}, {len(workload):,} requests"
    scenario = {"base": options.base, "name": name, "text": text, **made}
    _atomic.write(options.out, json.dumps(scenario, indent=1) + "\n")
    print(f"{options.out}: {len(made['recipe_args']['kinds'])} kinds of sessions; play it by --scenario {options.out}")


def _convert(workload: Workload, options: argparse.Namespace) -> None:
    written = write_trace(workload, options.out, format=options.to, rate_scale=options.rate_scale, tile=options.tile)
    note = f", block_tokens={workload.page_size}" if options.to == "mooncake" else ""
    print(f"{options.out}: {written:,} requests, format {options.to}{note}")


def _plain(value: Any) -> Any:
    """The same for JSON, which has no NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    number = float(value) if not isinstance(value, (bool, int)) else value
    return None if isinstance(number, float) and not math.isfinite(number) else number


def _text(one: Figures, name: str) -> str:
    sessions = one.sessions
    rows = [
        ("prompt (tokens)", one.prompt_tokens),
        ("output (tokens)", one.output_tokens),
        ("hit of a request", one.request_hit),
        ("reuse time (s)", one.reuse_s),
        ("reuse distance (tokens)", one.reuse_tokens),
        ("requests of a session", sessions.turns),
        ("pause in a session (s)", sessions.gap_s),
        ("growth of a prompt (tokens)", sessions.growth_tokens),
    ]
    table = tabulate([[label, *_of(one)] for label, one in rows], ["", "mean", "p10", "p50", "p90", "p99"], "github",
                     floatfmt=",.4g")  # fmt: skip
    hits = tabulate(
        [[f"{size:,}", one.lru[size], one.opt[size]] for size in one.lru],
        ["one cache of (tokens)", "LRU", "optimum"],
        "github",
        floatfmt=".3f",
    )
    scatter = ", ".join(f"{value:.3g} at {window} s" for window, value in one.dispersion.items())
    kind = "recorded" if sessions.recorded else "inferred from what prompts share"
    return f"""{name}: {one.requests:,} requests in {one.span_s:,.0f} s, {one.rate:,.3g} per second
dispersion of arrivals (1 = Poisson): {scatter}
prompt tokens that a cache without a limit hits: {one.infinite_hit:.3f}
different tokens: {one.distinct_tokens:,}, {one.used_once:.0%} of them used once
sessions ({kind}): {sessions.number:,}; {sessions.multi_turn:.0%} of the requests in one of several turns

{table}

{hits}"""


def _of(one: Quantiles) -> list[float]:
    return [one.mean, one.p10, one.p50, one.p90, one.p99]


if __name__ == "__main__":
    _command.run(main)
