"""KV tokens of a worker: published figures, tensor parallelism, and models that do not fit."""

import math

import pytest

from kvgym.cluster import Gpu, Model, kv_tokens, load_catalogue

GPU = Gpu("small", 10, "made up")
MODEL = Model("toy", weight_bytes=4 * 2**30, kv_bytes_per_token=2**20, kv_heads=2, source="made up")


def test_by_hand():
    assert kv_tokens(MODEL, GPU, 1, 1.0) == (10 - 4 - 2) * 1024
    assert kv_tokens(MODEL, GPU, 1, 0.7) == 1024
    assert kv_tokens(MODEL, GPU, 2, 1.0) == (10 - 2 - 2) * 2048


def test_more_gpus_than_kv_heads_hold_copies():
    assert kv_tokens(MODEL, GPU, 4, 1.0) == (10 - 1 - 2) * 2048


@pytest.mark.parametrize(
    ("model", "gpu", "tp", "tokens"),
    [
        ("llama-3.1-8b", "a100-80g", 1, 450_912),
        ("llama-3.1-8b", "h100", 1, 450_912),
        ("llama-3.1-8b", "l40s", 1, 214_982),
        ("llama-3.1-8b", "l40s", 4, 1_227_513),
        ("llama-3.1-70b", "h100", 4, 486_886),
        ("llama-3.1-70b", "h100", 8, 1_404_390),
    ],
)
def test_figures_of_the_fits(model, gpu, tp, tokens):
    catalogue = load_catalogue()
    assert kv_tokens(catalogue.models[model], catalogue.gpus[gpu], tp) == tokens


def test_weights_and_kv_bytes_follow_from_the_architecture():
    for name, hidden, layers, feed_forward in (("llama-3.1-8b", 4096, 32, 14336), ("llama-3.1-70b", 8192, 80, 28672)):
        kv_width = 8 * 128
        layer = 2 * hidden * hidden + 2 * hidden * kv_width + 3 * hidden * feed_forward
        model = load_catalogue().models[name]
        assert model.weight_bytes == 2 * (2 * 128_256 * hidden + layers * layer)
        assert model.kv_bytes_per_token == 2 * 2 * layers * kv_width


def test_a_model_that_does_not_fit_is_refused_with_the_figures():
    catalogue = load_catalogue()
    with pytest.raises(
        ValueError, match=r"llama-3.1-70b does not fit on 1 x h100: .* 131.41 GiB of weights .* 72.00 GiB"
    ):
        kv_tokens(catalogue.models["llama-3.1-70b"], catalogue.gpus["h100"])


@pytest.mark.parametrize(
    ("tp", "mem_fraction", "message"),
    [
        (0, 0.9, "tp must be an integer >= 1, got 0"),
        (1, 1.1, "mem_fraction must be a finite number from 0 to 1, got 1.1"),
        (1, math.nan, "mem_fraction must be a finite number from 0 to 1, got nan"),
        (1, 0.0, "toy does not fit"),
    ],
)
def test_bad_arguments_are_named(tp, mem_fraction, message):
    with pytest.raises(ValueError, match=message):
        kv_tokens(MODEL, GPU, tp, mem_fraction)
