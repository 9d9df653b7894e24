"""Error tables of the catalogue: against a grid of iteration times, the fits, and published measurements.

    python -m kvgym.evaluation.validate [--grid cost_grid.csv] [--pairs]

A command, imported by nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from kvgym import _command
from kvgym.cluster.calibrate import Distance, dense_pairs
from kvgym.cluster.catalogue import Catalogue, load_catalogue
from kvgym.cluster.memory import kv_tokens
from kvgym.cluster.pair import FORMS, Pair
from kvgym.cluster.points import Errors, errors_by_part, make_points, read_grid, times_ms
from kvgym.cluster.roofline import EFFICIENCY
from kvgym.evaluation.closed_loop import closed_loop

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


def loop_rows(catalogue: Catalogue, entries: list[dict[str, Any]]) -> Iterator[Row]:
    """A row per measured closed loop: class, what, and errors in per cent of TPOT and TTFT under two kinds of start."""
    for entry in entries:
        where = [entry[name] for name in _WHERE]
        worker = catalogue.worker_spec(*where[:3], weights=where[3])
        prompt, output = entry["prompt_tokens"], entry["output_tokens"]
        firsts = entry.get("ttft_ms", [float("nan")] * len(entry["tpot_ms"]))
        for clients, tpot, ttft in zip(entry["concurrency"], entry["tpot_ms"], firsts, strict=True):
            row = [entry["class"], f"{where[0]}, {entry['engine']}", f"{prompt}/{output}", clients, tpot]
            starts = [closed_loop(worker, clients, prompt, output, spread_s=s) for s in (0.0, tpot * output / 1e3)]
            row += [100 * (start.tpot_ms / tpot - 1) for start in starts]
            yield [*row, ttft, *(100 * (start.ttft_ms / ttft - 1) for start in starts)]


def loop_means(rows: list[Row]) -> list[Row]:
    """A row per class: n, mean absolute error of TPOT and of TTFT under both kinds of start."""
    result: list[Row] = []
    for name in dict.fromkeys(row[0] for row in rows):
        errors = np.abs(np.array([[row[5], row[6], row[8], row[9]] for row in rows if row[0] == name]))
        result.append([name, len(errors), *np.nanmean(errors, axis=0).tolist()])
    return result


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


def measured() -> dict[str, Any]:
    """The published measurements that come with the package."""
    file = resources.files("kvgym.cluster").joinpath("measured.json")
    return dict(json.loads(file.read_text(encoding="utf-8")))


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("kvgym.evaluation.validate", str(__doc__).split("\n")[0])
    parser.add_argument("--grid", help="CSV file with iteration times; without it the fits' recorded errors are shown")
    parser.add_argument("--pairs", action="store_true", help="also a table with each pair")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    catalogue, data = load_catalogue(), measured()
    try:
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
    loops = data["closed_loop"]
    total = sum(len(entry["concurrency"]) for entry in loops)
    rows = list(tqdm(loop_rows(catalogue, loops), "closed loops", total, file=sys.stderr, disable=None))
    heads = "class,what,in/out,clients,TPOT ms,err,err spread,TTFT ms,err,err spread"
    _show("Closed loops, errors in %: all clients start at once, or spread over one request's time", rows, heads)
    _show("Mean absolute errors in %", loop_means(rows), "class,rows,TPOT,TPOT spread,TTFT,TTFT spread")
    heads = "pair,prompt,TTFT ms,found,err %,with frontend %"
    _show("A prompt alone (arrival known)", alone_rows(catalogue, data["alone"]), heads)
    _show("KV room", room_rows(catalogue, data["kv_room"]), "worker,known by,tokens,found,err %")
    return 0


def _show(title: str, rows: list[Row], columns: str) -> None:
    """Prints a table; `columns` are its heads, separated by commas."""
    heads = columns.split(",")
    formats = [".4f" if head.startswith("R2") else ".2f" if head == "TPOT ms" else ".1f" for head in heads]
    print(title + "\n\n" + tabulate(rows, heads, "github", floatfmt=formats), "\n")


if __name__ == "__main__":
    _command.run(main)
