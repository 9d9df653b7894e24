"""Error tables of the catalogue: against a grid of iteration times, the fits, and published measurements.

    python -m kvgym.evaluation.validate [--grid cost_grid.csv] [--pairs] [--csv FILE]
    python -m kvgym.evaluation.validate --points FILE.csv [--csv FILE]

A command, imported by nothing.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau
from tabulate import tabulate
from tqdm import tqdm

from kvgym import _command
from kvgym._atomic import replacing
from kvgym.cluster import EngineSpec
from kvgym.cluster.calibrate import Distance, dense_pairs
from kvgym.cluster.catalogue import Catalogue, load_catalogue
from kvgym.cluster.memory import kv_tokens
from kvgym.cluster.pair import FORMS, Pair
from kvgym.cluster.points import Errors, errors_by_part, make_points, read_grid, times_ms
from kvgym.cluster.roofline import EFFICIENCY
from kvgym.evaluation.engines import (
    COLUMNS,
    METRICS,
    Constants,
    Figure,
    Result,
    candidates,
    errors,
    figures,
    measured,
    read_points,
    results,
    snippet,
)

Row = list[Any]
_WHERE = ("model", "gpu", "tp", "weights")
_NAMES = {"all": "fit", "decode": "fit_decode_only", "prefill": "fit_prefill_only", "mixed": "fit_mixed"}


def fitted(catalogue: Catalogue) -> dict[str, list[Pair]]:
    """Pairs that were fitted to kernel times, by group; those fitted to a paper's results are left out."""
    groups: dict[str, list[Pair]] = {"bf16 dense": [], "fp8 dense": [], "mixture of experts": [], "fp16 (2023-24)": []}
    for pair in catalogue.pairs.values():
        if pair.kv_tokens is None:
            dense = "fp16 (2023-24)" if pair.weights == "fp16" else f"{pair.weights} dense"
            groups["mixture of experts" if catalogue.models[pair.model].shape().experts else dense].append(pair)
    return groups


def form_rows(catalogue: Catalogue, grid: dict[Any, Any] | None) -> list[Row]:
    """A row per group and form: medians over pairs, from the grid's points, or as recorded where there is none."""
    rows: list[Row] = []
    for group, pairs in fitted(catalogue).items():
        for form in FORMS:
            found = [pair_errors(pair, form, grid) for pair in pairs if grid is None or pair.key in grid]
            if not found:
                continue
            mapes = [float(np.median([errors[part].mape for errors in found])) for part in _NAMES]
            advised = "*" if pairs[0].form == form else ""
            r2 = [errors["all"].r2 for errors in found]
            p95 = float(np.median([errors["all"].p95 for errors in found]))
            rows.append([group, form + advised, len(found), float(np.median(r2)), min(r2), *mapes, p95])
    return rows


def pair_rows(catalogue: Catalogue, grid: dict[Any, Any] | None) -> list[Row]:
    """A row per pair in its advised form."""
    pairs = [pair for group in fitted(catalogue).values() for pair in group if grid is None or pair.key in grid]
    rows: list[Row] = []
    for pair in pairs:
        errors = pair_errors(pair, pair.form, grid)
        mapes = [errors[part].mape for part in _NAMES]
        rows.append([pair.name, pair.form, errors["all"].n, *mapes, errors["all"].p95, errors["all"].max])
    return rows


def pair_errors(pair: Pair, form: str, grid: dict[Any, Any] | None) -> dict[str, Errors]:
    """Errors of a form of a pair by part, on the grid's points, or as recorded where there is no grid."""
    if grid is None:
        return {part: Errors(**pair.fit[form][name]) for part, name in _NAMES.items()}
    points, times = grid[pair.key]
    return errors_by_part(times_ms(pair.costs[form], points), times, points)


def published_rows(catalogue: Catalogue) -> list[Row]:
    """A row per group: distance of costs from published figures to the fitted pairs, in per cent."""
    rows: list[Row] = []
    calibrated = {pair.key for pair in dense_pairs(catalogue)}
    for group, pairs in fitted(catalogue).items():
        off = 100 * np.array(Distance(catalogue, pairs).each(EFFICIENCY))
        inside = "yes" if {pair.key for pair in pairs} <= calibrated else ""
        rows.append([group, len(off), inside, float(np.median(off)), float(off.max()), pairs[int(off.argmax())].name])
    return rows


def loop_rows(found: list[Result]) -> list[Row]:
    """A row per measured closed loop: its errors with the preset's overhead, and with the fitted constants."""
    rows: list[Row] = []
    for one in found:
        figure = one.figure
        row: Row = [figure.group, "unseen" if one.unseen else "", f"{figure.prompt_tokens}/{figure.output_tokens}"]
        row += [figure.clients, figure.tpot_ms, one.preset["tpot"], one.fitted["tpot"]]
        row += [figure.ttft_ms, one.preset["ttft"], one.fitted["ttft"], one.preset["e2e"], one.fitted["e2e"]]
        rows.append(row)
    return rows


def group_rows(found: list[Result]) -> list[Row]:
    """A row per group, and one for all: preset, fitted constants, and errors on the unseen half, before and after."""
    rows: list[Row] = []
    for group in [*dict.fromkeys(one.figure.group for one in found), "all"]:
        own = [one for one in found if group in (one.figure.group, "all")]
        unseen = [one for one in own if one.unseen]
        constants = own[0].constants
        row: Row = [group, own[0].figure.settings["preset"], len(unseen)]
        row += [constants.overhead_ms, 1000 * constants.sequence_ms, constants.before_ms]
        rows.append([*(row if group != "all" else ["all", "", len(unseen), "", "", ""]), *_errors(unseen)])
    return rows


def _errors(found: list[Result]) -> Row:
    """Mean of TPOT with the preset alone; of the fitted constants mean and median of TPOT, TTFT and E2E."""
    sizes = [np.abs([one.preset["tpot"] for one in found])]
    sizes += [np.abs([one.fitted[name] for one in found]) for name in METRICS]
    kept = [size[~np.isnan(size)] for size in sizes]
    row = [float(of(size)) if len(size) else float("nan") for size in kept for of in (np.mean, np.median)]
    return row[:1] + row[2:]


def part_rows(found: list[Result]) -> list[Row]:
    """A row per engine, model, GPU, batch and context: errors on the unseen half, and Kendall's tau over its TPOT."""
    unseen = [one for one in found if one.unseen]
    parts: dict[str, Callable[[Figure], str]] = {
        "engine": lambda figure: str(figure.settings["preset"]),
        "model": lambda figure: figure.model,
        "GPU": lambda figure: f"{figure.tp} x {figure.gpu}",
        "clients": lambda figure: _bucket(figure.clients, (16, 64)),
        "context": lambda figure: _bucket(figure.prompt_tokens + figure.output_tokens, (2048, 8192)),
    }
    rows: list[Row] = []
    for part, of in parts.items():
        for value in sorted({of(one.figure) for one in unseen}):
            own = [one for one in unseen if of(one.figure) == value]
            rows.append([part, value, len(own), *_errors(own), tau(own, "tpot")])
    return rows


def _bucket(value: int, limits: tuple[int, int]) -> str:
    low, high = limits
    return f"up to {low:,}" if value <= low else f"up to {high:,}" if value <= high else f"over {high:,}"


def tau(found: list[Result], name: str) -> float:
    """Kendall's tau between measured times and those found with the fitted constants; NaN for less than two."""
    pairs = [(one.figure.times_ms[name], 1 + one.fitted[name] / 100) for one in found]
    true, ratio = np.array([pair for pair in pairs if not np.isnan(pair[0])]).reshape(-1, 2).T
    return float(kendalltau(true, true * ratio).statistic) if len(true) > 1 else float("nan")


def engine_floor(rows: Iterable[Figure]) -> tuple[int, float]:
    """How far two engines are apart under the same load on the same worker.

    Returns:
        Number of such pairs, and the median of the ratio of their times per token, less one, in per cent (NaN for
        none). Nothing that does not know the engine can be nearer than half of it to both.
    """
    loads: dict[Any, list[Figure]] = defaultdict(list)
    for row in rows:
        loads[*row.worker, row.prompt_tokens, row.output_tokens, row.clients].append(row)
    pairs = [pair for same in loads.values() for pair in combinations(same, 2) if pair[0].engine != pair[1].engine]
    ratios = [max(a.tpot_ms, b.tpot_ms) / min(a.tpot_ms, b.tpot_ms) for a, b in pairs]
    return len(ratios), 100 * (float(np.median(ratios)) - 1) if ratios else float("nan")


def write_csv(path: Path, found: list[Result]) -> None:
    """Writes a line per measured time: where, what, its value, and its errors in per cent."""
    heads = ["engine", "preset", "model", "gpu", "tp", "weights", "prompt_tokens", "output_tokens", "concurrency"]
    heads += ["half", "metric", "measured_ms", "preset_ms", "preset_error", "fitted_ms", "fitted_error"]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(heads)
        for one in found:
            figure = one.figure
            where = [figure.engine, figure.settings["preset"], *figure.worker]
            where += [figure.prompt_tokens, figure.output_tokens, figure.clients, "unseen" if one.unseen else "chosen"]
            for name, true in figure.times_ms.items():
                if not np.isnan(true):
                    errors = [one.preset[name], one.fitted[name]]
                    got = [value for error in errors for value in (f"{true * (1 + error / 100):.4f}", f"{error:.3f}")]
                    writer.writerow([*where, name, f"{true:.4f}", *got])


def _check_output(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"--csv must be a file, {path} is a folder")
    try:
        with replacing(path.with_name(f"{path.name}.try")) as temporary:
            temporary.touch()
        path.with_name(f"{path.name}.try").unlink()
    except OSError as error:
        raise ValueError(f"--csv {path} can't be written: {error}") from None


def show_points(rows: list[Figure]) -> list[Figure]:
    """Prints what fits each group of somebody's figures best; returns them with the settings that were found."""
    known: list[Figure] = []
    for group in dict.fromkeys(row.group for row in rows):
        own = [row for row in rows if row.group == group]
        found = candidates(own)
        table: list[Row] = []
        for one in found:
            constants = one.constants
            numbers = [constants.overhead_ms, 1000 * constants.sequence_ms, constants.before_ms]
            table.append([", ".join(map(str, one.settings.values())), one.score, *numbers, *_mean_sizes(one.errors)])
        usual = errors(own, EngineSpec(), 0, Constants(load_catalogue().overhead_ms))
        table.append(["kvgym's defaults", "", load_catalogue().overhead_ms, 0.0, 0.0, *_mean_sizes(usual)])
        heads = "preset,score,ms/iteration,us/sequence,ms/request,TPOT,TTFT,E2E"
        _show(f"{group}: {len(own)} figures under each preset, best first; mean absolute errors in %", table, heads)
        print(f"For a scenario:\n\n{snippet(own[0], found[0])}\n")
        if before := found[0].constants.before_ms:
            print(f"Time to the first token without the frontend's {before:.1f} ms, which no scenario has.\n")
        known += [replace(row, settings=found[0].settings) for row in own]
    return known


def _mean_sizes(found: Mapping[str, NDArray[np.float64]]) -> list[float]:
    """Mean absolute error by name in METRICS."""
    kept = [np.abs(found[name][~np.isnan(found[name])]) for name in METRICS]
    return [float(size.mean()) if len(size) else float("nan") for size in kept]


def show_loops(rows: list[Figure], path: Path | None) -> None:
    """Prints the tables of closed loops, and writes them to a file if one is named."""
    found = list(tqdm(results(rows), "closed loops", len(rows), file=sys.stderr, disable=None))
    heads = "group,half,in/out,clients,TPOT ms,preset,fitted,TTFT ms,preset,fitted,E2E preset,fitted"
    _show("Closed loops, errors in %: with the preset alone, with constants chosen on half", loop_rows(found), heads)
    heads = "TPOT preset,TPOT,median,TTFT,median,E2E,median"
    groups = f"group,preset,unseen,ms/iteration,us/sequence,ms/request,{heads}"
    _show("The unseen halves: chosen constants, mean and median absolute errors in %", group_rows(found), groups)
    _show("The unseen halves by part", part_rows(found), f"part,value,rows,{heads},tau")
    unseen = [one for one in found if one.unseen]
    taus = ", ".join(f"{name.upper()} {tau(unseen, name):.2f}" for name in METRICS)
    print(f"Kendall's tau over the unseen halves: {taus}")
    n, floor = engine_floor(rows)
    apart = f"the median distance of their TPOT is {floor:.0f} %" if n else "so there is no floor to compare with"
    print(f"Loads measured on two engines: {n}, {apart}\n")
    if path is not None:
        write_csv(path, found)
        print(f"Written to {path}\n")


def alone_rows(catalogue: Catalogue, entries: list[dict[str, Any]]) -> list[Row]:
    """A row per measured prompt on an idle engine: measured and found TTFT (ms), error, error with the frontend's."""
    rows: list[Row] = []
    before = catalogue.request_overhead.before_ms
    for entry in entries:
        where = tuple(entry[name] for name in _WHERE)
        pair = catalogue.pair(*where)
        for prompt, ttft in zip(entry["prompt_tokens"], entry["ttft_ms"], strict=True):
            point = make_points([(prompt, 1, 0, 0, 0)])
            found = float(times_ms(pair.costs[pair.form], point)[0]) + pair.overhead_ms
            off = [100 * (found / ttft - 1), 100 * ((found + before) / ttft - 1)]
            rows.append([pair.name, prompt, ttft, found, *off])
    return rows


def room_rows(catalogue: Catalogue, entries: list[dict[str, Any]]) -> list[Row]:
    """A row per known KV room: tokens known and found, and the error in per cent."""
    rows: list[Row] = []
    for entry in entries:
        model, gpu = catalogue.models[entry["model"]], catalogue.gpus[entry["gpu"]]
        found = kv_tokens(model, gpu, entry["tp"], weights=entry["weights"])
        source = entry["source"].split(":")[1].split(",")[0].strip(" .")
        where = f"{model.name} on {entry['tp']} x {gpu.name}"
        rows.append([where, source, entry["tokens"], found, 100 * (found / entry["tokens"] - 1)])
    return rows


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("kvgym.evaluation.validate", str(__doc__).split("\n")[0])
    parser.add_argument("--grid", help="CSV file with iteration times; without it the fits' recorded errors are shown")
    parser.add_argument("--pairs", action="store_true", help="also a table with each pair")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the measured closed loops, a line per time")
    parser.add_argument(
        "--points",
        metavar="FILE.csv",
        help=f"only fit presets and constants to figures of your own; columns {', '.join(COLUMNS)}, engine",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    catalogue, data = load_catalogue(), measured()
    try:
        if options.csv is not None:
            _check_output(options.csv)
        if options.points is not None:
            show_loops(show_points(read_points(options.points)), options.csv)
            return 0
        grid = None if options.grid is None else read_grid(options.grid)
        if grid is not None and not set(grid) & set(catalogue.pairs):
            raise ValueError(f"grid {options.grid} has no pair of the catalogue; it has {list(grid)}")
    except ValueError as error:
        parser.error(str(error))
    base = "as recorded by the fits" if grid is None else f"on the points of {options.grid}"
    heads = "group,form,pairs,R2 median,R2 min,all,decode,prefill,mixed,P95"
    _show(f"Forms {base}: medians over pairs, MAPE in % (* advised)", form_rows(catalogue, grid), heads)
    rows = pair_rows(catalogue, grid)
    if options.pairs:
        heads = "pair,form,points,all,decode,prefill,mixed,P95,max"
        _show(f"Advised form of each pair {base}: MAPE in %", rows, heads)
    print(f"Median over the {len(rows)} pairs, advised form, all points: {np.median([row[3] for row in rows]):.1f} %\n")
    heads = "group,pairs,calibrated on,median,largest,which"
    _show("Published figures against the fitted pairs: mean |log ratio| in %", published_rows(catalogue), heads)
    show_loops(figures(), options.csv)
    heads = "pair,prompt,TTFT ms,found,err %,with frontend %"
    _show("A prompt alone (arrival known)", alone_rows(catalogue, data["alone"]), heads)
    _show("KV room", room_rows(catalogue, data["kv_room"]), "worker,known by,tokens,found,err %")
    return 0


def _show(title: str, rows: list[Row], columns: str) -> None:
    """Prints a table; `columns` are its heads, separated by commas."""
    heads = columns.split(",")
    two = ("TPOT ms", "ms/iteration", "tau", "score")
    formats = [".4f" if head.startswith("R2") else ".2f" if head in two else ".1f" for head in heads]
    print(title + "\n\n" + tabulate(rows, heads, "github", floatfmt=formats), "\n")


if __name__ == "__main__":
    _command.run(main)
