"""The catalogue: its data, its loader, and its costs against the grid of iteration times that they were fitted to."""

import copy
import csv
import json
from collections import defaultdict
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kvgym.cluster import Catalogue, IterationCost, load_catalogue, worker_spec

GRID_NAMES = {
    ("llama-3.1-8b", "a100-80g", 1): "aic:llama-3.1-8b:a100:tp1:bf16",
    ("llama-3.1-8b", "h100", 1): "aic:llama-3.1-8b:h100:tp1:bf16",
    ("llama-3.1-8b", "l40s", 1): "aic:llama-3.1-8b:l40s:tp1:bf16",
    ("llama-3.1-70b", "h100", 4): "aic:llama-3.1-70b:h100:tp4:bf16",
}


@pytest.fixture
def data() -> dict[str, Any]:
    """A fresh copy of the packaged data."""
    return json.loads(resources.files("kvgym.cluster").joinpath("catalogue.json").read_text(encoding="utf-8"))


def grid_errors(cost: IterationCost, rows: list[dict[str, str]]) -> np.ndarray:
    """Relative errors of `cost` (without overhead) on rows of the grid."""
    errors = []
    for row in rows:
        prefill, chunks, history = int(row["prefill_tokens"]), int(row["n_chunks"]), int(row["hist"])
        decodes, kv = int(row["decode_batch"]), int(row["decode_batch"]) * int(row["decode_ctx"])
        chunk = prefill / chunks if chunks else 0
        s = chunks * chunk * (history + (chunk + 1) / 2)
        ms = cost.duration_ps(prefill, chunks, s, decodes, kv) / 1e9
        errors.append(ms / float(row["t_ms"]) - 1)
    return np.array(errors)


@pytest.fixture(scope="module")
def grid(reference: Path) -> dict[str, list[dict[str, str]]]:
    """Rows of cost_grid.csv by pair."""
    rows = defaultdict(list)
    with (reference / "cost_grid.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            rows[row["pair"]].append(row)
    return rows


@pytest.mark.parametrize("form", ["roofline", "table"])
@pytest.mark.parametrize("key", GRID_NAMES, ids=GRID_NAMES.values())
def test_costs_against_the_grid(key, form, grid):
    """On the grid's points the catalogue's costs are as good as their fit figures say."""
    pair = load_catalogue().pair(*key)
    errors = np.abs(grid_errors(pair.costs[form], grid[GRID_NAMES[key]])) * 100
    assert len(errors) > 300
    # The grid file is a sample of the points that were fitted, so a mean may differ a little; the maximum may not.
    assert errors.mean() <= pair.fit[form]["fit"]["mape"] * 1.15
    assert errors.max() <= pair.fit[form]["fit"]["max"] + 0.1


@pytest.mark.parametrize("key", GRID_NAMES, ids=GRID_NAMES.values())
def test_coefficients_are_those_of_the_fits(key, reference, data):
    fits = json.loads((reference / "cost_fits.json").read_text())["pairs"][GRID_NAMES[key]]
    entry = next(entry for entry in data["pairs"] if (entry["model"], entry["gpu"], entry["tp"]) == key)
    assert entry["roofline"] == fits["roofline"]
    assert entry["table"] == fits["table"]
    assert worker_spec(*key, page_size=1).kv_pages == fits["kv_capacity_tokens"]


def test_every_published_pair_loads_as_data(reference, data, grid):
    """All pairs of cost_fits.json that give a model's sizes, added as they are, through the loader."""
    fits = json.loads((reference / "cost_fits.json").read_text())
    added = {}
    for name, fit in fits["pairs"].items():
        if "kv_bytes_per_token" not in fit:
            continue  # the older fits give no sizes
        model, gpu = f"{fit['model']} {fit['weights']}", fit["gpu"]
        source = fit["source"]
        data["gpus"][gpu] = {"mem_gib": fit["gpu_mem_GiB"], "source": source}
        data["models"].setdefault(
            model,
            {
                "weight_bytes": round(fit["weight_GiB_per_gpu"] * fit["tp"] * 2**30),
                "kv_bytes_per_token": fit["kv_bytes_per_token"],
                "kv_heads": fit["kv_heads"],
                "source": source,
            },
        )
        forms = {"roofline": fit["roofline"], "table": fit["table"]}
        data["pairs"].append({"model": model, "gpu": gpu, "tp": fit["tp"], "source": source, **forms})
        added[name] = (model, gpu, fit["tp"])
    catalogue = Catalogue.from_data(data)
    assert len(added) > 50
    for name, key in added.items():
        # Weights are published to 0.01 GiB per GPU; their rounding is all that the tokens may differ by.
        pages = catalogue.worker_spec(*key, page_size=1).kv_pages
        rounding = 0.011 * 2**30 / fits["pairs"][name]["kv_bytes_per_token_per_gpu"]
        assert pages == pytest.approx(fits["pairs"][name]["kv_capacity_tokens"], abs=rounding + 1)
        for form in ("roofline", "table"):
            errors = np.abs(grid_errors(catalogue.pair(*key).costs[form], grid[name])) * 100
            assert errors.max() <= fits["pairs"][name][form]["fit"]["max"] + 0.1


def test_every_constant_has_a_source(data):
    catalogue = load_catalogue()
    entries = [*data["gpus"].values(), *data["models"].values(), *data["pairs"], data["iteration_overhead_ms"]]
    entries += [
        value for pair in data["pairs"] for value in pair.values() if isinstance(value, dict) and "value" in value
    ]
    assert len(entries) >= 4 + 2 + 5 + 1 + 2
    assert all(len(entry["source"]) > 20 for entry in entries)
    assert len(catalogue.pairs) == len(data["pairs"])
    assert all(
        pair.fit[form]["fit"]["mape"] < 5 for pair in catalogue.pairs.values() for form in pair.costs if pair.fit[form]
    )


def test_worker_spec_by_default_has_the_recommended_overhead_and_whole_pages():
    worker = worker_spec("llama-3.1-8b", "h100")
    assert worker.kv_pages == 450_912 // 16
    assert (worker.cost.overhead_ms, worker.cost.w, worker.cost.knots) == (0.5, 6.6099, ())
    assert worker_spec("llama-3.1-8b", "h100", overhead_ms=2).cost.overhead_ms == 2.0
    assert worker_spec("llama-3.1-8b", "h100", mem_fraction=0.8).kv_pages == (450_912 - 8 * 8192) // 16
    assert len(worker_spec("llama-3.1-8b", "h100", form="table").cost.knots) == 20


def test_the_papers_worker():
    worker = worker_spec("llama-3.1-8b", "l40", page_size=1)
    assert worker.kv_pages == 194_000
    expected = IterationCost(overhead_ms=0, c0=10, w=15, k=1000 / 6270, p=30, a_kv=1.6e-4)
    assert worker.cost == expected
    assert worker_spec("llama-3.1-8b", "l40", mem_fraction=0.9).kv_pages == 214_982 // 16


def test_the_note_on_the_papers_worker_is_right():
    cost = worker_spec("llama-3.1-8b", "l40").cost
    prefill = {tokens: cost.duration_ps(tokens, 1, tokens * (tokens + 1) // 2, 0, 0) / 1e9 for tokens in range(1, 8193)}
    assert all(abs(prefill[tokens] - (10 + tokens / 6.27)) < 0.01 for tokens in range(110, 8193))
    assert prefill[94] - (10 + 94 / 6.27) == pytest.approx(0.35, abs=0.005)
    assert prefill[1] == pytest.approx(25.0)
    decode = {batch: cost.duration_ps(0, 0, 0, batch, 0) / 1e9 for batch in (1, 80, 256)}
    assert decode[1] == pytest.approx(25.0)
    assert decode[80] == pytest.approx(25.0, abs=0.01)
    assert decode[256] == pytest.approx(50.8, abs=0.05)
    assert cost.duration_ps(0, 0, 0, 1, 100_000) / 1e9 == pytest.approx(25 + 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gpt-9", "h100"), r"model must be one of llama-3.1-8b, llama-3.1-70b; got 'gpt-9'"),
        (("llama-3.1-8b", "tpu"), r"gpu must be one of a100-80g, h100, l40s, l40; got 'tpu'"),
        (
            ("llama-3.1-70b", "h100"),
            r"no fitted cost of llama-3.1-70b on 1 x h100; there is .*llama-3.1-70b on 4 x h100",
        ),
        (("llama-3.1-8b", "h100", 0), "tp must be an integer >= 1, got 0"),
    ],
)
def test_what_is_not_in_the_catalogue_is_named_with_what_is(arguments, message):
    with pytest.raises(ValueError, match=message):
        worker_spec(*arguments)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"page_size": 0}, "page_size must be an integer >= 1, got 0"),
        (
            {"page_size": 500_000},
            "page_size must be at most the 450912 KV tokens of llama-3.1-8b on 1 x h100, got 500000",
        ),
        ({"mem_fraction": 0.1}, "llama-3.1-8b does not fit on 1 x h100"),
        ({"mem_fraction": 2.0}, "mem_fraction must be a finite number from 0 to 1, got 2.0"),
        ({"overhead_ms": -1.0}, "overhead_ms must be a finite number >= 0, got -1.0"),
        ({"form": "linear"}, "form of llama-3.1-8b on 1 x h100 must be one of roofline, table; got 'linear'"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        worker_spec("llama-3.1-8b", "h100", **settings)


def broken(data: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy of `data` with `value` at `path`; None removes what is there."""
    result = copy.deepcopy(data)
    place = result
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return result


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("gpus", "h100", "source"), None, r"gpu h100 must have the fields .* lacks \['source'\]"),
        (
            ("models", "llama-3.1-8b", "source"),
            " ",
            "source of model llama-3.1-8b must say where its figures come from",
        ),
        (("pairs", 0, "source"), "", r"source of pairs\[0\] must say"),
        (("iteration_overhead_ms", "source"), None, r"iteration_overhead_ms of pairs\[0\] must have the fields"),
        (("gpus", "h100", "mem_gb"), 80, r"\['mem_gb'\] are not known"),
        (("gpus", "h100"), 80, "gpu h100 must be an object, got 80"),
        (("models", "llama-3.1-8b", "kv_heads"), 0, "kv_heads of model llama-3.1-8b must be an integer >= 1, got 0"),
        (("pairs", 0, "gpu"), "tpu", r"gpu of pairs\[0\] must be one of"),
        (("pairs", 0, "model"), "gpt-9", r"model of pairs\[0\] must be one of"),
        (("pairs", 1, "gpu"), "a100-80g", r"pairs\[1\] repeats llama-3.1-8b on 1 x a100-80g"),
        (("pairs", 0, "roofline", "coef", "aS"), None, r"coef of roofline of pairs\[0\] must have the fields"),
        (("pairs", 0, "table", "g_ms"), [1.0], "equally long"),
        (("pairs", 4, "roofline"), None, r"pairs\[4\] must have at least one of the forms roofline, table"),
        (("pairs", 4, "kv_tokens"), 194_000, r"kv_tokens of pairs\[4\] must be an object, got 194000"),
    ],
)
def test_bad_data_is_refused(path, value, message, data):
    with pytest.raises(ValueError, match=message):
        Catalogue.from_data(broken(data, path, value))
