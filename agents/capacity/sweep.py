"""Routers over rates, numbers of workers, KV sizes, page sizes or any other field of a scenario.

kvgym sweep --trace requests.jsonl.gz --fleet fleet.yml --over rate=2:8:7 --plot rate.png
kvgym sweep --scenario gsp-stable --over count=2,4,8 kv_tokens=50000,100000,200000 --agent llmd lmetric
kvgym sweep --scenario gsp-stable --over engine.page_size=1,16,64 --records requests.csv
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

import kvgym
from kvgym import _atomic, _command
from kvgym.envs.metrics import NAMES
from kvgym.evaluation import Episode, columns, files, interval
from kvgym.evaluation.episode import record
from kvgym.evaluation.report import number
from kvgym.evaluation.standings import Failure
from kvgym.scenarios import command_line

from ..leaderboard.entries import Entry
from ..leaderboard.plan import Task
from ..leaderboard.seats import seated
from . import common
from .common import Setting
from .drive import Search
from .search import FEWEST_FOR_INTERVAL, means

FAILED, INTERRUPTED = 1, 130
RATE = "rate"
"""The field that is none of a scenario's: requests per second."""
METRICS = ("J", "ttft_p95", "tpot_p95", "slo_attainment", "hit_rate")
Point = tuple[Any, ...]


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("agents.capacity.sweep", __doc__)
    common.add_options(parser)
    add = parser.add_argument
    add("--over", nargs="+", action="extend", metavar="FIELD=V,V,..", default=[], help=_OVER)
    add("--metric", nargs="+", choices=NAMES, metavar="NAME", default=METRICS, help=f"columns ({' '.join(METRICS)})")
    add("--plot", type=Path, metavar="FILE", help="the first metric over the first field (extra plot)")
    add("--records", type=Path, metavar="FILE", help="what became of each request, as .csv or .parquet (extra parquet)")
    add("--log", type=Path, metavar="FILE", help="the event log likewise, a row per iteration of a worker")
    return parser


_OVER = """values of a field, or low:high:n for n numbers from low to high; rate is requests per second, all else are
fields as --set has them; several fields: each value of one with each of the others; without it one point is played"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code. Raises SystemExit(2) if an option is not allowed."""
    parser = make_parser()
    options = parser.parse_args(argv)
    try:
        setting = common.make_setting(options)
        axes = make_axes(options.over)
        tasks = make_tasks(setting, axes)
        for name in ("records", "log"):
            if getattr(options, name) is not None:
                columns.check_file(f"--{name}", getattr(options, name))
        store = common.open_store(options)
        found = common.play(options, {key: _one(task) for key, task in tasks.items()}, store)
        value = as_dict(setting, axes, options.metric, found)
        for name in ("records", "log"):
            if getattr(options, name) is not None:
                good = {key: task for key, task in tasks.items() if not isinstance(found[key], Failure)}
                n = columns.write(getattr(options, name), _tables(axes, good, name))
                print(f"{getattr(options, name)}: {n:,} rows", file=sys.stderr)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        kept = "run again with the same --out to go on" if options.out else "nothing is kept without --out"
        print(f"\ninterrupted: {kept}", file=sys.stderr)
        return INTERRUPTED
    print(text(value, options.metric))
    if options.plot:
        plot(value, options.metric[0], options.plot)
        print(f"\nplot: {options.plot}")
    if options.out:
        file = options.out / "sweep.json"
        _atomic.write(file, files.to_text(value))
        print(f"\nall numbers: {file}; episodes: {options.out / 'runs'}")
    return FAILED if any(isinstance(one, Failure) for one in found.values()) else 0


def make_axes(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Field -> its values.

    Raises:
        ValueError: If a text is no field with values.
    """
    axes: dict[str, list[Any]] = {}
    for one in texts:
        name, has, values = one.partition("=")
        parts = values.split(":")
        if not has or not name or not values or len(parts) not in (1, 3):
            raise ValueError(f"--over must be FIELD=V,V,.. or FIELD=LOW:HIGH:N, got {one!r}")
        if name in axes:
            raise ValueError(f"--over: {name} is given twice")
        if len(parts) == 1:
            axes[name] = [command_line.plain_value(value) for value in values.split(",")]
            continue
        low, high, n = (command_line.plain_value(part) for part in parts)
        if not isinstance(n, int) or n < 2 or not all(isinstance(end, (int, float)) for end in (low, high)):
            raise ValueError(f"--over: LOW:HIGH:N are two numbers and how many, at least 2; got {one!r}")
        axes[name] = [float(f"{value:.6g}") for value in np.linspace(low, high, n)]
    return axes


def make_tasks(setting: Setting, axes: dict[str, list[Any]]) -> dict[tuple[Entry, Point], Task]:
    """What is played for each router at each point."""
    offered: dict[str, float] = {}  # by what decides it
    tasks = {}
    for point in product(*axes.values()):
        changes: dict[str, Any] = {}
        for name, value in zip(axes, point, strict=True):
            if name != RATE:
                changes = command_line.merged(changes, command_line.nested(name, value))
        case = setting.case_with(changes)
        if RATE in axes:
            rate = point[list(axes).index(RATE)]
            if not isinstance(rate, (int, float)) or not rate > 0:
                raise ValueError(f"--over: {RATE} must be numbers > 0, got {rate!r}")
            scenario = case.scenario
            fields = ("recipe", "recipe_args", "rate_scale", "warmup_requests", "episode_requests", "workers")
            key = files.digest(
                {**{name: getattr(scenario, name) for name in fields}, "page": scenario.engine.page_size}
            )
            if key not in offered:
                offered[key] = common.offered_rate(scenario, setting.seeds, setting.split)
            changes["rate_scale"] = scenario.rate_scale * rate / offered[key]
        for entry in setting.entries:
            tasks[entry, point] = setting.task(entry, changes)
    return tasks


def _one(task: Task) -> Search[list[Episode]]:
    (episodes,) = yield [task]
    return episodes


def as_dict(
    setting: Setting, axes: dict[str, list[Any]], metrics: Sequence[str], found: dict[tuple[Entry, Point], Any]
) -> dict[str, Any]:
    """All numbers, the same whatever played them."""
    notes = setting.notes()
    n = len(setting.seeds)
    if n < FEWEST_FOR_INTERVAL:
        notes.append(f"{n} seed{'s' * (n > 1)}: no intervals, they need {FEWEST_FOR_INTERVAL}")
    return {
        "schema_version": 1,
        "suite_version": kvgym.__version__,
        "scenario": setting.case.scenario.name,
        "overrides": files.without_folders(setting.case.overrides),
        "split": setting.split,
        "seeds": n,
        "notes": notes,
        "over": axes,
        "rows": [_row(setting, axes, metrics, *key, one) for key, one in found.items()],
    }


def _row(
    setting: Setting, axes: dict[str, list[Any]], metrics: Sequence[str], entry: Entry, point: Point, one: Any
) -> dict[str, Any]:
    who = {"agent": entry.label, "evictor": entry.evictor_on(setting.case.scenario)}
    row: dict[str, Any] = {**who, "at": dict(zip(axes, point, strict=True))}
    if isinstance(one, Failure):
        return {**row, "error": one.reason}
    row["metrics"] = means(one)
    if len(one) >= FEWEST_FOR_INTERVAL:
        row["intervals"] = {
            name: interval(np.array([episode.metrics[name] for episode in one]))._asdict() for name in metrics
        }
    return row


def text(value: dict[str, Any], metrics: Sequence[str]) -> str:
    """The table for a terminal."""
    lines = [
        f"kvgym {value['suite_version']}: {value['scenario']}, split {value['split']}, {value['seeds']} seeds",
        *(f"note: {note}" for note in value["notes"]),
        "",
    ]
    rows = []
    for row in value["rows"]:
        who = [*row["at"].values(), row["agent"], row["evictor"]]
        rows.append([*who, *(_cell(row, name) for name in metrics)])
    table = tabulate(rows, [*value["over"], "agent", "evictor", *metrics], "simple", disable_numparse=True)
    return "\n".join([*lines, table])


def _cell(row: dict[str, Any], name: str) -> str:
    if "error" in row:
        return f"FAILED: {row['error']}"
    shown = number(row["metrics"][name])
    if name not in row.get("intervals", {}):
        return shown
    return f"{shown} [{number(row['intervals'][name]['low'])}, {number(row['intervals'][name]['high'])}]"


def plot(value: dict[str, Any], metric: str, path: Path) -> None:
    """The metric over the first field: a line per router, a panel for each value of the other fields.

    Raises:
        ValueError: If matplotlib is not there, or there is no field.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError('--plot needs matplotlib: pip install "kvgym[plot]"') from None
    first, *others = value["over"]
    panels: dict[str, dict[str, list[Any]]] = {}
    for row in value["rows"]:
        if "error" not in row:
            title = ", ".join(f"{name} = {row['at'][name]}" for name in others)
            panels.setdefault(title, {}).setdefault(f"{row['agent']} + {row['evictor']}", []).append(row)
    figure = Figure(figsize=(5.5 * len(panels) + 2.5, 4.2), layout="constrained")
    places = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for place, (title, lines) in zip(places, panels.items(), strict=True):
        for (label, rows), marker in zip(lines.items(), "os^vD<>ph*xdP8X1234" * len(lines), strict=False):
            x = [row["at"][first] for row in rows]
            (line,) = place.plot(x, [row["metrics"][metric] for row in rows], marker=marker, ms=4, label=label)
            ends = [row.get("intervals", {}).get(metric) for row in rows]
            if all(ends):
                place.fill_between(
                    x, [end["low"] for end in ends], [end["high"] for end in ends], color=line.get_color(), alpha=0.15
                )
        place.set(title=title, xlabel="requests per second" if first == RATE else first)
        place.grid(alpha=0.3)
    is_time = metric.partition("_")[0] in ("J", "e2e", "ttft", "tpot")
    places[0].set_ylabel(f"{metric} (s)" if is_time else metric)
    figure.legend(*places[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    with _atomic.replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix(".") or "png", dpi=150)


def _tables(
    axes: dict[str, list[Any]], tasks: dict[tuple[Entry, Point], Task], name: str
) -> Iterator[tuple[dict[str, Any], Any]]:
    """Rows of each episode, which is played here again: a store keeps no rows."""
    for (entry, point), task in tasks.items():
        for seed in task.seeds:
            with seated(entry, task.options) as (agent, options):
                recording = record(agent(), seed=seed, **options)
            records, log = columns.rows_of(recording, seed=seed, **task.options)
            who = {"agent": entry.label, "evictor": task.options["evictor"] or "", "seed": seed}
            yield {**dict(zip(axes, point, strict=True)), **who}, records if name == "records" else log


if __name__ == "__main__":
    sys.exit(main())
