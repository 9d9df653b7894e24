"""Models by layers: sizes of KV and weights by hand for every model of the catalogue, formats, and what is refused."""

from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest

from kvgym.cluster import Gpu, Model, kv_tokens, load_catalogue, published_cost, worker_spec
from kvgym.cluster.catalogue import catalogue_data
from kvgym.cluster.roofline import Efficiency
from kvgym.scenarios import Scenario

GIB = 2**30


def dense(vocabulary, hidden, layers, heads, kv_heads, width, inner, embeddings=2):
    """Parameters of embedding and head, of the layers, and 0 experts."""
    layer = 2 * hidden * heads * width + 2 * hidden * kv_heads * width + 3 * hidden * inner
    return embeddings * vocabulary * hidden, layers * layer, 0


def mixture(vocabulary, hidden, attention, mixtures, experts, inner, shared=0, dense_part=0):
    """The same of a mixture: attention parameters of all layers, layers with experts, shared and dense ones."""
    one = 3 * hidden * inner
    rest = attention + mixtures * (hidden * experts + shared * one) + dense_part
    return 2 * vocabulary * hidden, rest, mixtures * experts * one


def gqa(layers, hidden, heads, kv_heads, width):
    return layers * 2 * hidden * width * (heads + kv_heads)


def mla(heads):
    """DeepSeek-V3's: q_a, q_b, kv_a with the rotary key, kv_b, o; 61 layers, hidden 7,168."""
    return 61 * (7168 * 1536 + 1536 * heads * 192 + 7168 * 576 + 512 * heads * (128 + 128) + heads * 128 * 7168)


DEEPSEEK = mixture(129280, 7168, mla(128), 58, 256, 2048, 1, 3 * 3 * 7168 * 18432)
# in_proj of queries, keys (16 x 128 each), values and gate (32 x 128 each), beta and alpha; convolution; out_proj.
DELTA = 2048 * (2 * 2048 + 2 * 4096 + 2 * 32) + 4 * (2 * 2048 + 4096) + 4096 * 2048
DELTA_STATE = 36 * 2 * (32 * 128 * 128 + 3 * (2 * 2048 + 4096))
SCOUT = gqa(48, 5120, 40, 8, 128)
LLAMA_70B = dense(128256, 8192, 80, 64, 8, 128, 28672)
LLAMA_8B = dense(128256, 4096, 32, 32, 8, 128, 14336)

# Billions of parameters as published; format on 8 x H200, what of it; parameters by hand; bytes of KV per token that
# grow, and at 8,192 tokens a request on one of 8 GPUs.
TABLE = {
    "llama-3.1-8b": (8.03, "bf16", LLAMA_8B, 2 * 32 * 8 * 128 * 2, 131072 / 8),
    "llama-3-8b": (8.03, "bf16", LLAMA_8B, 131072, 131072 / 8),
    "llama-3.1-70b": (70.55, "bf16", LLAMA_70B, 2 * 80 * 8 * 128 * 2, 327680 / 8),
    "llama-3-70b": (70.55, "fp8", LLAMA_70B, 327680, 327680 / 8),
    "llama-3.3-70b": (70.55, "fp4", LLAMA_70B, 327680, 327680 / 8),
    "llama-2-70b": (68.98, "fp16", dense(32000, 8192, 80, 64, 8, 128, 28672), 327680, 327680 / 8),
    "llama-3.2-3b": (3.21, "bf16", dense(128256, 3072, 28, 24, 8, 128, 8192, 1), 114688, 114688 / 8),
    "llama-3.1-405b": (405.9, "fp8", dense(128256, 16384, 126, 128, 8, 128, 53248), 516096, 516096 / 8),
    "mistral-7b": (7.25, "bf16", dense(32768, 4096, 32, 32, 8, 128, 14336), 131072, 131072 / 8),
    "qwen2.5-7b": (7.62, "bf16", dense(152064, 3584, 28, 28, 4, 128, 18944), 57344, 57344 / 4),
    "qwen3-8b": (8.19, "bf16", dense(151936, 4096, 36, 32, 8, 128, 12288), 147456, 147456 / 8),
    "qwen3-14b": (14.77, "bf16", dense(151936, 5120, 40, 40, 8, 128, 17408), 163840, 163840 / 8),
    "qwen3-32b": (32.76, "bf16", dense(151936, 5120, 64, 64, 8, 128, 25600), 262144, 262144 / 8),
    "qwen3-30b-a3b": (
        30.53, "bf16", mixture(151936, 2048, gqa(48, 2048, 32, 4, 128), 48, 128, 768), 98304, 98304 / 4,
    ),
    "qwen3-235b-a22b": (
        235.09, "bf16", mixture(151936, 4096, gqa(94, 4096, 64, 4, 128), 94, 128, 1536), 192512, 192512 / 4,
    ),
    "mixtral-8x7b": (46.7, "bf16", mixture(32000, 4096, gqa(32, 4096, 32, 8, 128), 32, 8, 14336), 131072, 131072 / 8),
    "mixtral-8x22b": (
        140.6, "bf16", mixture(32768, 6144, gqa(56, 6144, 48, 8, 128), 56, 8, 16384), 229376, 229376 / 8,
    ),
    # A latent of 512 and a rotary key of 64, whole on every GPU.
    "deepseek-v3": (671, "fp8", DEEPSEEK, 61 * (512 + 64) * 2, 70272),
    "deepseek-r1": (671, "fp4", DEEPSEEK, 70272, 70272),
    "kimi-k2": (1026, "fp8", mixture(163840, 7168, mla(64), 60, 384, 2048, 1, 3 * 7168 * 18432), 70272, 70272),
    # Half of the layers keep all tokens, the others 128: 128 of 8,192.
    "gpt-oss-20b": (
        20.9, "mxfp4", mixture(201088, 2880, gqa(24, 2880, 64, 8, 64), 24, 32, 2880), 24576, 24576 * (1 + 1 / 64) / 8,
    ),
    "gpt-oss-120b": (
        116.8, "mxfp4", mixture(201088, 2880, gqa(36, 2880, 64, 8, 64), 36, 128, 2880), 36864, 36864 * (1 + 1 / 64) / 8,
    ),
    # 12 of 48 layers have KV, of 2 heads, that 2 of 8 GPUs share; the states of 36 are spread over 8 and 8,192 tokens.
    "qwen3-next-80b-a3b": (
        79.7,
        "bf16",
        mixture(151936, 2048, gqa(12, 2048, 16, 2, 256) + 12 * 2048 * 4096 + 36 * DELTA, 48, 512, 512, 1),
        12 * 2 * 2 * 256 * 2,
        24576 / 2 + DELTA_STATE / 8 / 8192,
    ),
    # 12 of 48 layers keep all tokens; chunks of 8,192 are all of a request of that length.
    "llama-4-scout": (107.8, "bf16", mixture(202048, 5120, SCOUT, 48, 16, 8192, 1), 49152, 4 * 49152 / 8),
    "llama-4-maverick": (
        400.7, "fp8", mixture(202048, 5120, SCOUT, 24, 128, 8192, 1, 24 * 3 * 5120 * 16384), 49152, 4 * 49152 / 8,
    ),
    "glm-4.5": (
        352.8, "fp8", mixture(151552, 5120, gqa(92, 5120, 96, 8, 128), 89, 160, 1536, 1, 3 * 3 * 5120 * 12288),
        376832, 376832 / 8,
    ),
    "glm-4.5-air": (
        106.9, "bf16", mixture(151552, 4096, gqa(46, 4096, 96, 8, 128), 45, 128, 1408, 1, 3 * 4096 * 10944),
        188416, 188416 / 8,
    ),
}  # fmt: skip
EXPERTS_ALONE = {"deepseek-r1", "gpt-oss-20b", "gpt-oss-120b", "llama-4-maverick"}
BYTES = {"bf16": 2, "fp16": 2, "fp8": 1, "fp4": 4.5 / 8, "mxfp4": 4.25 / 8}


def test_the_table_has_every_model():
    assert set(TABLE) == set(load_catalogue().models)


@pytest.mark.parametrize("name", TABLE)
def test_kv_and_room_on_eight_h200_by_hand(name):
    billions, weights, (outer, layers, experts), grows, at_8192 = TABLE[name]
    model, h200 = load_catalogue().models[name], load_catalogue().gpus["h200"]
    assert (outer + layers + experts) / 1e9 == pytest.approx(billions, rel=2e-3)
    assert model.weight_bytes == 2 * (outer + layers + experts)
    assert model.kv_bytes_per_token == grows
    size = 2 * outer + experts * BYTES[weights] + layers * (2 if name in EXPERTS_ALONE else BYTES[weights])
    room = (0.9 * 141 - 2) * GIB - size / 8
    assert kv_tokens(model, h200, 8, weights=weights) == pytest.approx(room / at_8192, rel=1e-6, abs=1)


def test_windows_chunks_and_states_at_other_contexts():
    models = load_catalogue().models
    oss, scout, hybrid = (models[name] for name in ("gpt-oss-120b", "llama-4-scout", "qwen3-next-80b-a3b"))
    assert [oss.kv_bytes(tokens) for tokens in (1, 128, 256, 16_384)] == [73728, 73728, 36864 * 1.5, 36864 + 288]
    assert [scout.kv_bytes(tokens) for tokens in (100, 8192, 16_384)] == [196608, 196608, 49152 * 2.5]
    assert hybrid.kv_bytes(1000) == 24576 + Fraction(DELTA_STATE, 1000)
    assert hybrid.kv_bytes(1000, "fp8") == 12288 + Fraction(DELTA_STATE, 1000)  # states stay in 16 bits
    assert (oss.kv_bytes_per_request, hybrid.kv_bytes_per_request) == (18 * 128 * 2048, DELTA_STATE)
    assert models["deepseek-v3"].kv_bytes_per_request == 0
    assert models["deepseek-v3"].kv_bytes(5) == models["deepseek-v3"].kv_bytes(50_000) == 70272


def test_gpt_oss_120b_fits_one_h100_with_what_is_published():
    """60.8 GiB is the size of the release."""
    model, h100 = load_catalogue().models["gpt-oss-120b"], load_catalogue().gpus["h100"]
    assert model.bytes_as("mxfp4") / GIB == pytest.approx(60.8, rel=0.005)
    assert 200_000 < kv_tokens(model, h100, weights="mxfp4") < 300_000
    with pytest.raises(ValueError, match=r"gpt-oss-120b does not fit on 1 x h100: per GPU, 217\.\d+ GiB of weights"):
        kv_tokens(model, h100)


def test_kv_in_eight_bits_halves_room_decodes_and_transfers():
    for form in (None, "published"):
        wide = worker_spec("llama-3.1-8b", "h100", form=form, page_size=1)
        narrow = worker_spec("llama-3.1-8b", "h100", form=form, page_size=1, kv_dtype="fp8")
        assert narrow.kv_pages == 2 * wide.kv_pages
        assert narrow.cost.a_kv == pytest.approx(wide.cost.a_kv / 2)
        assert (narrow.kv_bytes_per_token, wide.kv_bytes_per_token) == (65536, 131072)
        assert replace(narrow.cost, a_kv=wide.cost.a_kv) == wide.cost
    with pytest.raises(ValueError, match=r"kv_dtype must be 'bf16' for llama-3.1-8b on 1 x l40, whose 194000 KV"):
        worker_spec("llama-3.1-8b", "l40", kv_dtype="fp8")
    assert worker_spec("llama-3.1-8b", "l40", kv_dtype="fp8", mem_fraction=0.9).kv_pages == 2 * 214_982 // 16


def test_attention_by_data_has_a_latent_once():
    """Eight GPUs hold eight times the tokens of one, less copies of the attention's weights."""
    model, gpu = load_catalogue().models["deepseek-v3"], load_catalogue().gpus["h200"]
    outer, layers, experts = DEEPSEEK
    per_gpu = (0.9 * 141 - 2) * GIB - (2 * outer + layers + experts) / 8 - mla(128) * 7 / 8
    assert kv_tokens(model, gpu, 8, weights="fp8", data_attention=True) == floor(8 * per_gpu / 70272)
    split, apart = (published_cost(model, gpu, 8, "fp8", data_attention=apart) for apart in (False, True))
    assert apart.a_kv < split.a_kv / 3
    assert apart.g_ps(1)[1] > split.g_ps(1)[1] * 0.9
    with pytest.raises(ValueError, match=r"data_attention must be false for llama-3.1-8b on 1 x h100"):
        worker_spec("llama-3.1-8b", "h100", data_attention=True)


SIZES = {"vocabulary": 10, "hidden": 8, "layers": 4, "heads": 4, "kv_heads": 2, "head_dim": 2, "feed_forward": 16}
MIXED = {"experts": 4, "experts_per_token": 1}
LATENT = {"kv_heads": 1, "kv_latent": 6, "kv_rope": 2, "value_dim": 3}
LINEAR = {
    "linear_layers": 2, "linear_key_heads": 1, "linear_value_heads": 2, "linear_head_dim": 2, "linear_conv": 3
}  # fmt: skip
PERFECT = Efficiency(1, 1, 1, 1, 1, 0, 0, 0, 1)
# A millisecond moves 1,000 bytes and multiplies 10,000 times in 16 bits.
GPU = Gpu("toy", 1, "made up", tflops=1e-5, mem_gbps=1e-3)


def toy(**changes):
    return Model.from_data("toy", {**SIZES, "source": "made up", **changes})


def test_costs_of_windows_chunks_and_states_by_hand():
    full = published_cost(toy(), GPU, efficiency=PERFECT)
    per_layer = 2 * 2 * 2 * 2 / 1000  # ms per token: keys and values, 2 heads of 2, 2 bytes
    assert full.a_kv == pytest.approx(4 * per_layer)
    sliding = published_cost(toy(local_layers=3, window=10), GPU, efficiency=PERFECT, context_tokens=20)
    assert (sliding.a_kv, sliding.c_b) == (pytest.approx(per_layer), pytest.approx(3 * 10 * per_layer))
    assert sliding.a_s == pytest.approx(full.a_s / 4)
    # Of 20 tokens the first 10 see 5 on average, the others 10.
    assert sliding.k - full.k == pytest.approx(3 * 7.5 * full.a_s / 4)
    chunked = published_cost(toy(local_layers=3, chunk=10), GPU, efficiency=PERFECT, context_tokens=20)
    assert (chunked.c_b, chunked.k - full.k) == (pytest.approx(3 * 5 * per_layer), pytest.approx(3 * 5 * full.a_s / 4))
    assert published_cost(toy(local_layers=3, window=20), GPU, efficiency=PERFECT, context_tokens=20) == full
    states = published_cost(toy(**LINEAR), GPU, efficiency=PERFECT)
    # Two layers keep 2 x 2 x 2 elements, and 2 tokens of 2 + 2 + 4 for the convolution; read and written.
    assert states.c_b == pytest.approx(2 * 2 * 2 * (8 + 2 * 8) / 1000)
    assert states.a_kv == pytest.approx(full.a_kv / 2)


def test_cost_of_a_latent_by_hand():
    shape = toy(**LATENT).shape()
    assert shape.attention_params == 4 * (8 * 4 * 4 + 8 * 8 + 4 * (6 * 5 + 3 * 8))
    assert toy(q_latent=5, **LATENT).shape().attention_params == shape.attention_params + 4 * (5 * 24 - 8 * 16)
    slow = published_cost(toy(**LATENT), GPU, efficiency=PERFECT)
    # Four heads multiply 8 for scores and 6 for sums, twice: 112 operations for the 16 bytes of a token and layer.
    assert slow.a_kv == pytest.approx(4 * max(16 / 1000, 112 / 10_000))
    assert slow.a_s == pytest.approx(4 * 2 * 4 * (2 + 2 + 3) / 10_000)
    bound = published_cost(toy(**LATENT), replace(GPU, tflops=1e-6), efficiency=PERFECT)
    assert bound.a_kv == pytest.approx(4 * 112 / 1000)


def test_experts_in_four_bits_by_hand():
    model = toy(**MIXED, weights={"mxfp4": "experts", "fp4": "experts", "bf16": "layers"})
    gpu = replace(GPU, fp4_tflops=4e-5)
    outer, rest, experts = 2 * 80, 4 * (2 * 8 * 2 * 6 + 8 * 4), 4 * 4 * 3 * 8 * 16
    assert model.bytes_as("mxfp4") == 2 * outer + 2 * rest + experts * 17 // 32
    assert model.bytes_as("fp4") == 2 * outer + 2 * rest + experts * 9 // 16
    first = np.array([published_cost(model, gpu, 1, name, PERFECT).g_ps(1)[1] / 1e9 for name in ("mxfp4", "fp4")])
    read = np.array([(2 * 80 + 2 * rest + experts / 4 * width) / 1000 for width in (17 / 32, 9 / 16)])
    computed = np.array([2 * (rest + experts / 4) / 10_000, 2 * rest / 10_000 + 2 * experts / 4 / 40_000])
    assert first == pytest.approx(read + computed)


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("deepseek-v3", "h200", 8), {"weights": "mxfp4"}, "weights of deepseek-v3 must be one of fp8, bf16, fp4, got"),
        (("llama-3.1-8b", "b200"), {"weights": "fp4"}, "weights of llama-3.1-8b must be one of bf16, fp16, fp8, got"),
        (("deepseek-v3", "h200", 8), {"weights": "fp4"}, "fp4_tflops of gpu h200 .*multiplies: bf16, fp16, fp8, mxfp4"),
        (("llama-3.3-70b", "a100-80g", 4), {"weights": "fp8"}, "fp8_tflops of gpu a100-80g .*: bf16, fp16, mxfp4"),
        (("gpt-oss-20b", "h100"), {"weights": "mxfp4", "kv_dtype": "int8"}, "kv_dtype must be one of bf16, fp8; got"),
        (("gpt-oss-20b", "h100"), {"weights": "mxfp4", "context_tokens": 0}, "context_tokens must be an integer >= 1"),
        (("deepseek-v3.2", "h200", 8), {}, "model deepseek-v3.2 is refused: its sparse attention"),
        (("kimi-k2", "h100", 8), {"weights": "fp8"}, "kimi-k2 does not fit on 8 x h100"),
    ],
)
def test_what_is_not_to_be_had_is_named_with_what_is(arguments, settings, message):
    with pytest.raises(ValueError, match=message):
        worker_spec(*arguments, form="published", **settings)
    with pytest.raises(
        ValueError, match="refused" if "refused" in message else "no fitted cost|must be one of|there is"
    ):
        worker_spec(*arguments, **settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kv_heads": 3}, "kv_heads of model toy must divide its 4 heads, got 3"),
        ({"kv_latent": 6, "kv_heads": 1}, "must have all of kv_latent, kv_rope, value_dim above 0 or none"),
        ({**LATENT, "kv_heads": 2}, "kv_heads must be 1"),
        ({"q_latent": 4}, "q_latent of model toy must be 0 where it has no kv_latent, got 4"),
        ({"local_layers": 2}, "local_layers with one of window and chunk"),
        ({"window": 10}, "local_layers with one of window and chunk"),
        ({"local_layers": 2, "window": 10, "chunk": 10}, "local_layers with one of window and chunk"),
        ({"local_layers": 5, "window": 10}, "must be at most its 4 layers; got 5, 0 and 0"),
        ({**LINEAR, "local_layers": 3, "window": 10}, "must be at most its 4 layers; got 3, 2 and 0"),
        ({"linear_layers": 2}, "must have all of linear_layers, .* above 0 or none; it has .'linear_layers'."),
        ({"shared_feed_forward": 4}, "shared_feed_forward of model toy must be 0 where it has no experts, got 4"),
        ({**MIXED, "dense_layers": 1}, "must have all of dense_layers, dense_feed_forward above 0 or none"),
        ({"window": -1}, "window of model toy must be an integer >= 0, got -1"),
        ({"index_topk": 2048}, r"\['index_topk'\] are not known"),
        ({"weights": {"int4": "layers"}}, "weights of model toy must be one of bf16, .*; got 'int4'"),
        ({"weights": {"fp8": "experts"}}, "fp8 of the weights of model toy must be one of layers; got 'experts'"),
        ({"weights": ["fp8"]}, "weights of model toy must be"),
    ],
)
def test_sizes_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        toy(**changes)


def test_workers_of_a_scenario_take_formats():
    worker = {"model": "gpt-oss-120b", "gpu": "h100", "form": "published", "weights": "mxfp4", "kv_dtype": "fp8"}
    given = Scenario(name="oss", recipe="gsp", workers=[{**worker, "context_tokens": 2048}])
    made = given.cluster.workers[0]
    assert made == worker_spec(**worker, context_tokens=2048)
    assert made.kv_bytes_per_token == (36864 + 36864 // 16) // 2
    with pytest.raises(ValueError, match="worker 0: weights of gpt-oss-120b must be one of mxfp4, bf16, got 'fp8'"):
        Scenario(name="oss", recipe="gsp", workers=[{**worker, "weights": "fp8"}])


def test_a_refused_model_is_in_no_list():
    data = catalogue_data()
    assert not set(data["refused"]) & set(data["models"])
