"""Presets of engines: their settings, defaults that depend on the GPU, changes, and bad input."""

from dataclasses import fields

import pytest

from kvgym import Scenario, get_scenario
from kvgym.cluster import PRESETS, EngineSpec, find_preset, load_catalogue

WORKERS = [{"model": "llama-3.1-8b", "gpu": "h100"}]


@pytest.mark.parametrize("name", PRESETS)
def test_every_setting_of_a_preset_has_a_source(name):
    preset = find_preset(name)
    assert preset.name == name
    assert set(preset.settings) == {field.name for field in fields(EngineSpec)}
    for figure in (*preset.settings.values(), preset.overhead_ms, preset.queued):
        assert len(figure.source) > 20
    for gpu in (None, *load_catalogue().gpus):
        EngineSpec.preset(name, gpu=gpu)


@pytest.mark.parametrize(
    ("name", "gpu", "chunk_tokens", "max_running"),
    [
        ("vllm-v1", "h100", 8192, 1024),
        ("vllm-v1", "b200", 8192, 1024),
        ("vllm-v1", "a100-80g", 2048, 256),  # large, but slower with more
        ("vllm-v1", "l40s", 2048, 256),
        ("vllm-v1", None, 2048, 256),
        ("sglang-0.4", "l40s", 8192, 2048),
        ("sglang-0.4", "rtx-4090", 2048, 2048),
        ("sglang-0.5", "rtx-4090", 2048, 2048),
        ("sglang-0.5", "l40s", 4096, 2048),
        ("sglang-0.5", "h200", 8192, 2048),
        ("sglang-0.5.6", "b200", 16384, 2048),
        ("sglang-0.5", None, 8192, 2048),
        ("trtllm-1", "l4", 8192, 2048),
    ],
)
def test_defaults_that_depend_on_the_gpu(name, gpu, chunk_tokens, max_running):
    engine = EngineSpec.preset(name, gpu=gpu)
    assert (engine.chunk_tokens, engine.max_running) == (chunk_tokens, max_running)


def test_engines_differ_in_what_they_are_known_for():
    schedules = {name: EngineSpec.preset(name).schedule for name in PRESETS}
    assert schedules == {
        "vllm-v1": "mixed",
        "sglang-0.4": "prefill_first",
        "sglang-0.5": "prefill_first",
        "sglang-0.5.6": "mixed",
        "trtllm-1": "mixed",
    }
    assert [EngineSpec.preset(name).page_size for name in PRESETS] == [16, 1, 1, 1, 32]
    # The suite's scenario of the paper runs on the same engine.
    assert get_scenario("gsp").engine == EngineSpec.preset("sglang-0.4", gpu="l40")


def test_changes():
    engine = EngineSpec.preset("vllm-v1", gpu="h100", max_running=64, page_size=32)
    assert engine == EngineSpec(page_size=32, chunk_tokens=8192, max_running=64)
    # A smaller budget holds fewer decodes, unless somebody asks for more than it can hold.
    assert EngineSpec.preset("sglang-0.5", chunk_tokens=512).max_running == 512
    with pytest.raises(ValueError, match=r"max_running must be at most chunk_tokens \(512\)"):
        EngineSpec.preset("sglang-0.5", chunk_tokens=512, max_running=600)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "vllm-v2"}, "preset must be one of vllm-v1, sglang-0.4, .*; got 'vllm-v2'"),
        ({"name": None}, "preset must be one of vllm-v1"),
        ({"name": "vllm-v1", "gpu": "h300"}, "gpu of the preset must be one of a100-80g, h100, .*; got 'h300'"),
        (
            {"name": "vllm-v1", "chunk": 3},
            r"changes of preset 'vllm-v1': 'chunk' \(given 3\) is not known; allowed are",
        ),
        ({"name": "vllm-v1", "chunk_tokens": 0}, "chunk_tokens must be an integer >= 1, got 0"),
        ({"name": "vllm-v1", "schedule": "fifo"}, "schedule must be one of mixed, prefill_first"),
    ],
)
def test_bad_presets_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        EngineSpec.preset(**arguments)


def test_a_scenario_names_a_preset(tmp_path):
    engine = {"preset": "vllm-v1", "gpu": "h100", "max_running": 64}
    expected = EngineSpec(chunk_tokens=8192, max_running=64)
    scenario = Scenario(name="a", recipe="gsp", workers=WORKERS, engine=engine)
    assert scenario.engine == expected
    assert Scenario(**scenario.to_dict()) == scenario
    (tmp_path / "a.yml").write_text(
        "name: a\nrecipe: gsp\nworkers: [{model: llama-3.1-8b, gpu: h100}]\n"
        "engine: {preset: vllm-v1, gpu: h100, max_running: 64}\n"
    )
    assert get_scenario(tmp_path / "a.yml") == scenario
    mapping = {"base": "gsp-stable", "name": "mine", "engine": engine}
    assert get_scenario(mapping).engine == expected


def test_a_preset_in_overrides_replaces_the_engine():
    base = get_scenario("gsp-stable")
    assert base.with_overrides({"engine": {"preset": "trtllm-1"}}).engine == EngineSpec.preset("trtllm-1")
    assert base.with_overrides({"engine": {"max_running": 8}}).engine.schedule == base.engine.schedule
    for engine, message in (
        ({"preset": "vllm"}, "preset must be one of vllm-v1"),
        ({"preset": "vllm-v1", "chunk": 1}, "engine: 'chunk' .* is not known"),
        ({"gpu": "h100"}, "engine: 'gpu' .* is not known"),
    ):
        with pytest.raises(ValueError, match=message):
            base.with_overrides({"engine": engine})
