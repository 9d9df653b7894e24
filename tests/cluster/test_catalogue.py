"""The catalogue: its data, its loader, and its costs against the fits and the grid that they were taken from."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kvgym.cluster import Catalogue, IterationCost, kv_tokens, load_catalogue, worker_spec
from kvgym.cluster.catalogue import catalogue_data
from kvgym.cluster.points import errors_by_part, read_grid, times_ms

FITTED = [key for key, pair in load_catalogue().pairs.items() if pair.kv_tokens is None]
NAMES = ["-".join(map(str, key)) for key in FITTED]


@pytest.fixture
def data() -> dict[str, Any]:
    """A fresh copy of the packaged data."""
    return catalogue_data()


@pytest.fixture(scope="module")
def grid(reference: Path):
    """Points and times of cost_grid.csv by pair."""
    return read_grid(reference / "cost_grid.csv")


@pytest.fixture(scope="module")
def fits(reference: Path) -> dict[tuple[str, str, int, str], dict[str, Any]]:
    """Entries of cost_fits.json by the catalogue's keys."""
    entries = json.loads((reference / "cost_fits.json").read_text())["pairs"]
    result = {}
    for name, entry in entries.items():
        _, model, gpu, tp, weights = name.split(":")
        key = (model.removesuffix("-realattn"), {"a100": "a100-80g"}.get(gpu, gpu), int(tp[2:]), weights)
        result[key] = entry
    return result


@pytest.mark.parametrize("key", FITTED, ids=NAMES)
def test_costs_against_the_grid(key, grid):
    """On the grid's points the catalogue's costs are as good as their fit figures say."""
    pair = load_catalogue().pairs[key]
    points, times = grid[key]
    assert len(times) > 300
    for form, cost in pair.costs.items():
        errors = errors_by_part(times_ms(cost, points), times, points)
        # The grid file is a sample of the points that were fitted, with more decodes alone among them, so a mean over a
        # part may differ a little; the maximum may not.
        for part in ("decode", "prefill", "mixed"):
            figure = "fit_mixed" if part == "mixed" else f"fit_{part}_only"
            assert errors[part].mape <= pair.fit[form][figure]["mape"] * 1.25 + 0.1, part
        assert errors["all"].max <= pair.fit[form]["fit"]["max"] + 0.1


@pytest.mark.parametrize("key", FITTED, ids=NAMES)
def test_coefficients_are_those_of_the_fits(key, fits, data):
    entry = next(e for e in data["pairs"] if (e["model"], e["gpu"], e["tp"], e.get("weights", "bf16")) == key)
    fit = fits[key]
    assert entry["roofline"] == fit["roofline"]
    assert entry["table"] == fit["table"]
    assert list(entry["linear"]["coef"].values()) == list(fit["linear"]["coef"].values())
    assert entry["linear"]["fit"] == fit["linear"]["fit"]
    if "kv_capacity_tokens" in fit:
        model, gpu, tp, weights = key
        assert worker_spec(model, gpu, tp, weights=weights, page_size=1).kv_pages == fit["kv_capacity_tokens"]


def test_the_catalogue_has_every_pair_that_is_fitted_well(fits):
    """The rule of the data's "about", applied again."""
    pairs = load_catalogue().pairs
    for key, fit in fits.items():
        form = "table" if "a3b" in key[0] else "linear" if key[3] == "fp8" else "roofline"
        well = fit[form]["fit"]["mape"] <= 13 and fit[form]["fit_decode_only"]["mape"] <= 8
        assert (key in pairs) == well, key
        if well:
            assert pairs[key].form == form
    assert len(fits) - sum(key in pairs for key in fits) == 3


def test_default_pairs_are_within_five_per_cent_of_the_grid_in_the_median(grid):
    """The advised form of each pair, all of its points."""
    found = []
    for key in FITTED:
        pair, (points, times) = load_catalogue().pairs[key], grid[key]
        found.append(errors_by_part(times_ms(pair.costs[pair.form], points), times, points)["all"].mape)
    assert np.median(found) <= 5


def test_every_constant_has_a_source(data):
    catalogue = load_catalogue()
    entries = [*data["gpus"].values(), *data["models"].values(), *data["pairs"], data["iteration_overhead_ms"]]
    entries += [
        value for pair in data["pairs"] for value in pair.values() if isinstance(value, dict) and "value" in value
    ]
    entries.append(data["request_overhead"])
    assert len(entries) >= 11 + 14 + 65 + 1 + 1 + 2
    assert all(len(entry["source"]) > 20 for entry in entries)
    assert len(catalogue.pairs) == len(data["pairs"])
    assert all(pair.fit[pair.form]["fit"]["mape"] <= 13 for pair in catalogue.pairs.values() if pair.fit[pair.form])


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
        (("gpt-9", "h100"), r"model must be one of llama-3.1-8b, llama-3.1-70b, .*; got 'gpt-9'"),
        (("llama-3.1-8b", "tpu"), r"gpu must be one of a100-80g, h100, l40s, l40, .*; got 'tpu'"),
        (
            ("llama-3.1-70b", "h100"),
            r"no fitted cost of llama-3.1-70b on 1 x h100; there is .*llama-3.1-70b on 4 x h100",
        ),
        (("mistral-7b", "h100"), r"no fitted cost of mistral-7b on 1 x h100; there is none of it.*form 'published'"),
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
        ({"form": "x"}, "form of llama-3.1-8b on 1 x h100 must be one of linear, roofline, table; got 'x'"),
        ({"weights": "int4"}, "weights must be one of bf16, fp16, fp8, fp4, mxfp4; got 'int4'"),
        ({"weights": "fp16"}, r"no fitted cost of llama-3.1-8b on 1 x h100 \(fp16\); there is .*1 x h100 \(fp8\)"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        worker_spec("llama-3.1-8b", "h100", **settings)


def test_the_form_is_the_advised_one_unless_another_is_asked_for():
    fp8 = worker_spec("llama-3.1-70b", "h100", 4, weights="fp8")
    assert (fp8.cost.p, fp8.cost.w) == (1.0, 0.0)
    assert fp8.kv_pages == 695_782 // 16
    assert len(worker_spec("qwen3-30b-a3b", "h100").cost.knots) == 20
    assert worker_spec("qwen3-30b-a3b", "h100", form="roofline").cost.knots == ()
    assert worker_spec("qwen3-32b", "h100", 2).cost.knots == ()


def test_published_figures_need_no_pair_and_may_be_given():
    assert worker_spec("mistral-7b", "l4", form="published").cost.overhead_ms == 0.5
    entry = catalogue_data()["models"]["mistral-7b"] | {"name": "mine"}
    gpu = {"name": "new", "mem_gib": 24, "tflops": 121, "fp8_tflops": 242, "mem_gbps": 300, "link_gbps": 32}
    assert worker_spec(entry, gpu, form="published") == worker_spec("mistral-7b", "l4", form="published")
    catalogue = load_catalogue()
    room = kv_tokens(catalogue.models["mistral-7b"], catalogue.gpus["l4"], 2, weights="fp8")
    assert worker_spec("mistral-7b", "l4", 2, weights="fp8", form="published", page_size=1).kv_pages == room


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("llama-3.1-405b", "h100", 8), {}, r"llama-3.1-405b does not fit on 8 x h100: per GPU, 94.49 GiB of weights"),
        (("gpt-9", "h100"), {}, "model must be one of llama-3.1-8b, .*; got 'gpt-9'"),
        (("mistral-7b", "tpu"), {}, "gpu must be one of a100-80g, .*; got 'tpu'"),
        (("mistral-7b", "h100", 3), {}, "tp must divide the 32 query heads of mistral-7b, got 3"),
        (("mistral-7b", "a100-80g"), {"weights": "fp8"}, "fp8_tflops of gpu a100-80g must be known"),
        (("mistral-7b", "h100"), {"weights": "int4"}, "weights must be one of bf16, fp16, fp8, fp4, mxfp4; got 'int4'"),
        (({"hidden": 1}, "h100"), {}, "name of the model must be a string beside its figures, got None"),
        (({"name": "x"}, "h100"), {}, "model x must have the fields .*'feed_forward'"),
        (({"name": "x"}, "h100"), {"form": None}, "model must be a name unless the form is 'published'"),
        (("mistral-7b", {"name": "g", "mem_gib": 80}), {}, "tflops of gpu g must be known and > 0"),
    ],
)
def test_bad_published_arguments_are_named(arguments, settings, message):
    with pytest.raises(ValueError, match=message):
        worker_spec(*arguments, **{"form": "published", **settings})


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
        (("pairs", 4, "roofline"), None, r"pairs\[4\] must have at least one of the forms linear, roofline, table"),
        (("pairs", 4, "form"), "table", r"form of pairs\[4\] must be one of roofline; got 'table'"),
        (("pairs", 4, "weights"), "int4", r"weights of pairs\[4\] must be one of bf16, fp16, fp8, fp4, mxfp4"),
        (("request_overhead", "source"), None, r"request_overhead must have the fields"),
        (("pairs", 4, "kv_tokens"), 194_000, r"kv_tokens of pairs\[4\] must be an object, got 194000"),
    ],
)
def test_bad_data_is_refused(path, value, message, data):
    with pytest.raises(ValueError, match=message):
        Catalogue.from_data(broken(data, path, value))
