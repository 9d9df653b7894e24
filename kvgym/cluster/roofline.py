"""The cost of an iteration from published figures alone: what must be read and computed, over what the GPUs can do.

With W bytes of weights to read in an iteration, F operations per token, L layers, tp GPUs:

    w = W / (tp x bandwidth x e)            the output head is read too, the embedding is not
    k = F / (tp x peak x e) + all-reduces   two per layer, 2 (tp - 1) / tp x hidden x 2 bytes per token over the link
    c0 = L x (a constant per layer, and two all-reduce latencies where tp > 1)
    aKV = KV bytes / (GPUs that share them x bandwidth x e)
    aS = 4 L heads head_dim / (tp x 16-bit peak x e)      scores and weighted sums
    cN = L x a constant

Layers with a window or chunk shorter than the context, and layers with a state, cost a decode a constant (cB: what they
keep, read; a state is written too) and a prefill token another (in k). Decodes with
multi-head latent attention, which has up to 240 operations a byte, take at least those over the 16-bit rate; its
prefills are priced with keys and values unfolded for every head, where unfolding those of earlier chunks is left out.

A token of a mixture of experts goes through k of E; T tokens are expected to touch a share of 1 - (1 - k / E)^T, so W
grows with T and G is tabulated.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym import _check
from kvgym.cluster.cost import IterationCost
from kvgym.cluster.published import CONTEXT_TOKENS, KV_DTYPES, RATES, Architecture, Gpu, Model

# Tokens at which G of a mixture of experts is tabulated; between them it is linear, beyond them its slope goes on.
_KNOTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192, 16384)


@dataclass(frozen=True)
class Efficiency:
    """How far a roofline of published peaks is from what runs.

    Attributes:
        weights: Share of the memory bandwidth that reading weights gets.
        kv: Share of it that the attention of decodes gets.
        compute: Share of the peak rate that the layers get.
        attention: Share of the 16-bit peak rate that the attention of prefills gets.
        link: Share of the link's bandwidth that all-reduces get.
        layer_ms: Constant time per layer, in ms.
        sync_ms: Latency of an all-reduce, in ms.
        chunk_ms: Time per prefill chunk and layer, in ms.
        sharpness: The exponent p of the smooth maximum, >= 1.
    """

    weights: float
    kv: float
    compute: float
    attention: float
    link: float
    layer_ms: float
    sync_ms: float
    chunk_ms: float
    sharpness: float


EFFICIENCY = Efficiency(
    weights=0.8,
    kv=0.834,
    compute=0.753,
    attention=0.586,
    link=0.424,
    layer_ms=0.0351,
    sync_ms=0.0073,
    chunk_ms=0.00635,
    sharpness=1.46,
)
"""Nearest to the dense bf16 pairs of the catalogue; `python -m kvgym.cluster.calibrate` finds them again."""


def published_cost(
    model: Model,
    gpu: Gpu,
    tp: int = 1,
    weights: str = "bf16",
    efficiency: Efficiency = EFFICIENCY,
    *,
    kv_dtype: str = "bf16",
    context_tokens: int = CONTEXT_TOKENS,
    data_attention: bool = False,
) -> IterationCost:
    """Iteration cost of a model on GPUs from their published figures, without overhead.

    Args:
        model: A model whose architecture is known.
        gpu: A GPU whose rates are known.
        tp: Number of GPUs that the model is split over.
        weights: Number format of the weights, one of `WEIGHTS`.
        efficiency: Shares of the peaks that are reached.
        kv_dtype: Number format of the KV cache, "bf16" or "fp8"; products of attention stay in 16 bits.
        context_tokens: Tokens of a request, as for `kvgym.cluster.kv_tokens`.
        data_attention: Whether each GPU does the attention of requests of its own, which are taken to be equally many.

    Returns:
        A roofline; a table for a mixture of experts.

    Raises:
        ValueError: If the model has no architecture or no release in this format, the GPU lacks a rate that is needed,
            `tp` is not an integer >= 1 or does not divide the query heads, or a format is not known.
    """
    shape = model.shape()
    _check.whole("tp", tp, 1)
    if shape.heads % tp and not data_attention:
        raise ValueError(f"tp must divide the {shape.heads} query heads of {model.name}, got {tp}")
    widths = model.widths(weights)
    k = _computed(shape, gpu, weights, widths[0], tp, efficiency.compute)
    exchanges = (
        1 if data_attention else 2
    )  # per layer; with attention apart, tokens meet for the feed-forward part alone
    if tp > 1:
        all_reduced = 4 * exchanges * shape.layers * (tp - 1) / tp * shape.hidden  # bytes per token
        k += all_reduced / (_rate(gpu, "link_gbps") * 1e6 * efficiency.link)
    c0 = shape.layers * (efficiency.layer_ms + (exchanges * efficiency.sync_ms if tp > 1 else 0.0))
    bounded, rest = _attention(model, gpu, tp, efficiency, kv_dtype, context_tokens, data_attention)
    k += bounded
    p = efficiency.sharpness
    per_byte = 1 / (tp * _rate(gpu, "mem_gbps") * 1e6 * efficiency.weights)
    copies = (tp - 1) * float(widths[0]) * shape.attention_params if data_attention else 0.0
    if not shape.experts:
        w = (_bytes_read(shape, widths, np.ones(1))[0] + copies) * per_byte
        return IterationCost(c0=c0, w=w, k=k, p=p, **rest)
    tokens = np.array(_KNOTS, np.float64)
    w = (_bytes_read(shape, widths, tokens) + copies) * per_byte
    return IterationCost.from_table(_KNOTS, (c0 + (w**p + (k * tokens) ** p) ** (1 / p)).tolist(), **rest)


def _attention(
    model: Model, gpu: Gpu, tp: int, efficiency: Efficiency, kv_dtype: str, context_tokens: int, data_attention: bool
) -> tuple[float, dict[str, Any]]:
    """Attention: time per token of what is bounded (windows, chunks, states), in ms, and a_s, a_kv, c_b and c_n."""
    shape = model.shape()
    growing = shape.growing_layers(_check.whole("context_tokens", context_tokens, 1))
    local = shape.layers - shape.linear_layers - growing
    rate = tp * (_rate(gpu, "tflops") * 1e9 * efficiency.attention)  # operations per ms
    per_pair = 2 * shape.heads * (shape.head_dim + shape.kv_rope + (shape.value_dim or shape.head_dim))
    mean_seen = shape.chunk / 2 or shape.window * (1 - shape.window / (2 * context_tokens))
    # Decay, read, write and output of each element of a state.
    stepped = 6 * shape.linear_layers * shape.linear_value_heads * shape.linear_head_dim**2
    memory = _rate(gpu, "mem_gbps") * 1e6  # bytes per ms
    kv_sharers, state_sharers = model.sharers(tp, data_attention)
    kept = KV_DTYPES[_check.choice("kv_dtype", kv_dtype, KV_DTYPES)] * shape.kv_elements  # bytes per layer and token
    moved = kv_sharers * memory * efficiency.kv
    latent = 2 * shape.heads * (2 * shape.kv_latent + shape.kv_rope) if shape.kv_latent else 0  # operations likewise
    bounded = local * max(kept / moved, latent / rate) * (shape.chunk / 2 or shape.window)
    return (local * per_pair * mean_seen + stepped) / rate, {
        "a_s": growing * per_pair / rate,
        "a_kv": max(growing * kept / moved, growing * latent / rate),
        "c_b": bounded + 2 * shape.state_bytes / (state_sharers * memory * efficiency.kv),
        "c_n": shape.layers * efficiency.chunk_ms,
    }


def _computed(shape: Architecture, gpu: Gpu, weights: str, dense: int | Fraction, tp: int, efficiency: float) -> float:
    """Time of a token's products in the layers, in ms; `dense` is the width of what every token goes through."""
    own, dense_rate = RATES[weights], "tflops" if dense == 2 else RATES[weights]
    if own == dense_rate:
        return 2 * shape.active_params / (tp * _rate(gpu, own) * 1e9 * efficiency)
    k = 2 * shape.active_expert_params / (tp * _rate(gpu, own) * 1e9 * efficiency)
    return k + 2 * shape.dense_params / (tp * _rate(gpu, dense_rate) * 1e9 * efficiency)


def _bytes_read(
    shape: Architecture, widths: tuple[int | Fraction, int | Fraction], tokens: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Expected bytes of weights that an iteration of `tokens` tokens reads."""
    dense, expert = map(float, widths)
    always = 2.0 * shape.head_params + dense * shape.dense_params
    touched = 1 - (1 - shape.experts_per_token / max(shape.experts, 1)) ** tokens
    result: NDArray[np.float64] = always + expert * shape.expert_params * touched
    return result


def _rate(gpu: Gpu, name: str) -> float:
    """A rate of a GPU; raises a ValueError if it has none."""
    rate = float(getattr(gpu, name))
    if not rate > 0:
        formats = f"; weights that it multiplies: {', '.join(gpu.formats)}" if gpu.formats else ""
        raise ValueError(f"{name} of gpu {gpu.name} must be known and > 0 for this, got {rate}{formats}")
    return rate
