"""Measured engines: files of figures, halves, constants, and the preset that fits best."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from kvgym import Scenario
from kvgym.cluster import PRESETS, EngineSpec, IterationCost, WorkerSpec, worker_spec
from kvgym.evaluation.engines import (
    Candidate,
    Constants,
    Figure,
    candidates,
    errors,
    figures,
    fit,
    halves,
    play,
    read_points,
    results,
    snippet,
)

HEADS = "model,gpu,tp,weights,prompt_tokens,output_tokens,concurrency,tpot_ms,ttft_ms"
LINE = "llama-3.1-8b,h100,1,bf16,1024,512,8,7.42,550"
DEFAULTS = EngineSpec(), 0, Constants(0.5)


def rows_of(model):
    return [row for row in figures() if row.model == model]


def simulated(settings, constants, gpu, loads):
    """Figures of Llama-3.1-8B as an engine with these settings and constants has them."""
    engine, queued = EngineSpec.preset(**settings), PRESETS[settings["name"]].queued.value
    rows = []
    for prompt, clients in loads:
        row = Figure("llama-3.1-8b", gpu, 1, "bf16", "", {}, prompt, 128, clients, 1.0, 1.0)
        found = play(row, engine, queued, constants)
        rows.append(replace(row, tpot_ms=found["tpot"], ttft_ms=found["ttft"]))
    return rows


def mean(values):
    return float(np.nanmean(np.abs(values)))


def test_every_measured_loop_has_a_preset():
    rows = figures()
    assert len(rows) == 20
    assert {row.settings["preset"] for row in rows} == {"vllm-v1", "trtllm-1"}
    for row in rows:
        worker = dict(zip(("model", "gpu", "tp", "weights"), row.worker, strict=True))
        Scenario(name="a", recipe="gsp", workers=[worker], engine=row.settings)
        assert row.times_ms["e2e"] == pytest.approx(row.ttft_ms + row.tpot_ms * (row.output_tokens - 1), nan_ok=True)


def test_halves_alternate_within_each_group_whatever_the_order():
    rows = figures()
    chosen, unseen = halves(rows)
    assert (len(chosen), len(unseen)) == (11, 9)
    assert sorted(row.clients for row in chosen if row.model == "qwen3-32b") == [8, 32, 128]
    again = halves(rows[::-1])
    assert [{row.tpot_ms for row in half} for half in again] == [{row.tpot_ms for row in half} for half in halves(rows)]


def test_a_figure_measured_twice_is_in_both_halves():
    row = rows_of("qwen3-32b")[0]
    assert [one.unseen for one in results([row, row])] == [False, True]


def test_constants_go_into_the_cost():
    worker = Constants(2.0, 0.01).on(WorkerSpec(10, IterationCost(c0=1.0, overhead_ms=9.0, c_b=0.5)))
    assert worker == WorkerSpec(10, IterationCost(c0=1.0, overhead_ms=2.0, c_b=0.51))


def test_a_client_that_always_waits():
    row = Figure("llama-3.1-8b", "h100", 1, "bf16", "", {}, 64, 100, 4, 1.0, 1.0)
    engine = EngineSpec.preset("trtllm-1")
    free, waiting = (play(row, engine, queued, Constants(0.5)) for queued in (0, 1))
    assert waiting["ttft"] > 10 * free["ttft"]
    assert waiting["tpot"] < free["tpot"]  # three in the batch
    one = replace(row, clients=1)
    assert play(one, engine, 1, Constants(0.5)) == play(one, engine, 0, Constants(0.5))


LOADS = [(256, 2), (256, 12), (4096, 24), (256, 32), (4096, 8), (12_000, 12)]


@pytest.mark.parametrize(
    ("name", "gpu"),
    [
        ("vllm-v1", "l40s"),
        pytest.param("vllm-v1", "h100", marks=pytest.mark.slow),
        pytest.param("sglang-0.4", "l40s", marks=pytest.mark.slow),
        ("sglang-0.5", "l40s"),
        ("trtllm-1", "h100"),
    ],
)
def test_what_a_preset_made_is_found_again(name, gpu):
    true = Constants(1.3, 0.03, 12.0)
    rows = simulated({"name": name, "gpu": gpu}, true, gpu, LOADS)
    best = candidates(rows)[0]
    assert (best.settings["preset"], best.score) == (name, pytest.approx(0, abs=0.01))
    assert best.constants.overhead_ms == pytest.approx(true.overhead_ms, rel=0.02)
    assert best.constants.sequence_ms == pytest.approx(true.sequence_ms, rel=0.02)
    assert best.constants.before_ms == pytest.approx(true.before_ms, rel=0.05)


@pytest.mark.parametrize(("model", "preset"), [("qwen3-32b", "vllm-v1")])
def test_half_of_a_group_finds_the_preset_and_halves_the_error_on_the_other(model, preset):
    chosen, unseen = halves(rows_of(model))
    best = candidates([replace(row, settings={}) for row in chosen])[0]
    assert best.settings["preset"] == preset
    before, after = errors(unseen, *DEFAULTS), best.on(unseen)
    for name in ("tpot", "ttft", "e2e"):
        assert mean(after[name]) <= mean(before[name]) / 2, name


@pytest.mark.slow
@pytest.mark.parametrize(("model", "preset"), [("llama-3.1-70b", "vllm-v1"), ("llama-3.1-8b", "trtllm-1")])
def test_half_of_the_other_groups_finds_the_preset_too(model, preset):
    assert candidates(halves(rows_of(model))[0])[0].settings["preset"] == preset


def test_the_presets_overheads_are_those_of_the_chosen_halves():
    for model, preset, one_decimal in (("llama-3.1-8b", "trtllm-1", 0.5), ("llama-3.1-70b", "vllm-v1", 0.6)):
        chosen = halves(rows_of(model))[0]
        engine = EngineSpec.preset(
            **{{"preset": "name"}.get(key, key): value for key, value in chosen[0].settings.items()}
        )
        found = fit(chosen, engine, PRESETS[preset].queued.value)
        assert round(found.overhead_ms, 1) == PRESETS[preset].overhead_ms.value == one_decimal


def test_no_constant_is_negative_and_no_frontend_takes_a_minute():
    rows = [replace(row, tpot_ms=row.tpot_ms / 2) for row in rows_of("llama-3.1-70b")]
    assert fit(rows, EngineSpec()) == Constants(0.0, 0.0, 0.0)
    slow = [replace(row, ttft_ms=60_000.0) for row in rows]
    assert fit(slow, EngineSpec()).before_ms == 50.0


def test_equal_numbers_of_clients_leave_the_constant_per_sequence_alone():
    rows = [replace(row, clients=32, tpot_ms=2 * row.tpot_ms) for row in rows_of("qwen3-32b")]
    assert fit(rows, EngineSpec()).sequence_ms == 0.0


@pytest.mark.slow
def test_figures_without_a_time_to_the_first_token():
    rows = [replace(row, ttft_ms=math.nan) for row in rows_of("llama-3.1-8b")]
    best = candidates(rows)[0]
    assert math.isfinite(best.score) and best.constants.before_ms == 0.0
    assert np.isnan(best.errors["ttft"]).all() and np.isnan(best.errors["e2e"]).all()


def scenario(text):
    return Scenario(name="mine", recipe="gsp", **json.loads(text))


def test_a_snippet_is_a_scenario_with_that_engine_and_cost():
    (row, *_) = rows_of("qwen3-32b")
    constants = Constants(0.61234, 0.04, 15.0)
    best = Candidate({"preset": "vllm-v1", "gpu": "h100"}, constants, 0.0, {})
    made = scenario(snippet(row, best))
    usual = worker_spec("qwen3-32b", "h100", 2).cost
    (worker,) = made.cluster.workers
    assert made.engine == EngineSpec.preset("vllm-v1", gpu="h100")
    assert worker.cost == replace(usual, overhead_ms=0.6123, c_b=usual.c_b + 0.04)
    assert worker.kv_bytes_per_token == worker_spec("qwen3-32b", "h100", 2).kv_bytes_per_token
    plain = scenario(snippet(row, replace(best, constants=Constants(0.7))))
    assert plain.cluster.workers == (worker_spec("qwen3-32b", "h100", 2, overhead_ms=0.7),)
    unfitted = scenario(snippet(replace(row, model="mistral-7b", tp=1), replace(best, constants=Constants(0.7))))
    assert unfitted.workers[0]["form"] == "published"


def test_a_file_of_figures(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"\ufeff{HEADS},engine\n{LINE},mine\nllama-3.1-8b, h100,,,1024,512,16,8.35,,\n")
    first, second = read_points(path)
    assert (first.engine, first.ttft_ms, first.group) == ("mine", 550.0, "llama-3.1-8b on 1 x h100, mine")
    assert second.worker == ("llama-3.1-8b", "h100", 1, "bf16")
    assert (second.clients, second.tpot_ms, math.isnan(second.ttft_ms)) == (16, 8.35, True)
    path.write_text("output_tokens,model,gpu,prompt_tokens,tpot_ms,concurrency\n512,mistral-7b,l4,1024,60,2\n")
    assert read_points(path)[0].group == "mistral-7b on 1 x l4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks model, gpu, prompt_tokens"),
        (HEADS, "must have at least one line below its heads"),
        (f"{HEADS},speed\n{LINE},1", "column of .* must be one of model, .*; got 'speed'"),
        ("model,gpu,tp\na,b,1", "lacks prompt_tokens, output_tokens, concurrency, tpot_ms"),
        (f"{HEADS}\n{LINE}\n{LINE},9", "line 3 of .* must have a value for each column"),
        (f"{HEADS}\n{LINE}\nllama-3.1-8b,h100", "line 3 of .* must have a value for each column"),
        (f"{HEADS}\n{LINE.replace('7.42', 'fast')}", "line 2 of .*: tpot_ms must be a number > 0, got 'fast'"),
        (f"{HEADS}\n{LINE.replace('7.42', 'inf')}", "line 2 of .*: tpot_ms must be a number > 0, got 'inf'"),
        (f"{HEADS}\n{LINE.replace('7.42', '')}", "line 2 of .*: tpot_ms must be a number > 0, got ''"),
        (f"{HEADS}\n{LINE.replace('550', '-1')}", "line 2 of .*: ttft_ms must be a number > 0, got '-1'"),
        (f"{HEADS}\n{LINE.replace(',8,', ',8.5,')}", "line 2 of .*: concurrency must be an integer > 0, got '8.5'"),
        (f"{HEADS}\n{LINE.replace(',512,', ',1,')}", "line 2 of .*: output_tokens must be at least 2"),
        (f"{HEADS}\n{LINE.replace('1024', '900000')}", "prompt_tokens . output_tokens must be at most 450"),
        (f"{HEADS}\n{LINE.replace('h100', 'h300')}", "line 2 of .*: gpu must be one of a100-80g"),
        (f"{HEADS}\n{LINE.replace('bf16', 'int3')}", "line 2 of .*: weights must be one of"),
        (f"{HEADS}\n{LINE.replace('llama-3.1-8b', 'gpt')}", "line 2 of .*: model must be one of"),
    ],
)
def test_bad_figures_are_named_by_line_and_column(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_points(path)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "mine.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="can't be read"):
        read_points(tmp_path / "mine.csv")
