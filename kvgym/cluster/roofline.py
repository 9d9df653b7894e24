"""The cost of an iteration from published figures alone: what must be read and computed, over what the GPUs can do.

With W bytes of weights to read in an iteration, F operations per token, L layers, tp GPUs:

    w = W / (tp x bandwidth x e)            the output head is read too, the embedding is not
    k = F / (tp x peak x e) + all-reduces   two per layer, 2 (tp - 1) / tp x hidden x 2 bytes per token over the link
    c0 = L x (a constant per layer, and two all-reduce latencies where tp > 1)
    aKV = KV bytes / (GPUs that share them x bandwidth x e)
    aS = 4 L heads head_dim / (tp x 16-bit peak x e)      scores and weighted sums
    cN = L x a constant

A token of a mixture of experts goes through k of E; T tokens are expected to touch a share of 1 - (1 - k / E)^T, so W
grows with T and G is tabulated.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym import _check
from kvgym.cluster.cost import IterationCost
from kvgym.cluster.published import WEIGHTS, Architecture, Gpu, Model

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
    model: Model, gpu: Gpu, tp: int = 1, weights: str = "bf16", efficiency: Efficiency = EFFICIENCY
) -> IterationCost:
    """Iteration cost of a model on GPUs from their published figures, without overhead.

    Args:
        model: A model whose architecture is known.
        gpu: A GPU whose rates are known.
        tp: Number of GPUs that the model is split over.
        weights: Number format of the weights, one of `WEIGHTS`.
        efficiency: Shares of the peaks that are reached.

    Returns:
        A roofline; a table for a mixture of experts.

    Raises:
        ValueError: If the model has no architecture, the GPU lacks a rate that is needed, `tp` is not an integer >= 1
            or does not divide the query heads, or the format of the weights is not known.
    """
    shape = model.shape()
    _check.whole("tp", tp, 1)
    if shape.heads % tp:
        raise ValueError(f"tp must divide the {shape.heads} query heads of {model.name}, got {tp}")
    width = WEIGHTS[_check.choice("weights", weights, WEIGHTS)]
    peak = _rate(gpu, "tflops" if width == 2 else "fp8_tflops")
    memory = _rate(gpu, "mem_gbps") * 1e6  # bytes per ms
    attention = _rate(gpu, "tflops") * 1e9 * efficiency.attention  # operations per ms
    all_reduced = 8 * shape.layers * (tp - 1) / tp * shape.hidden  # bytes per token
    k = 2 * shape.active_params / (tp * peak * 1e9 * efficiency.compute)
    if tp > 1:
        k += all_reduced / (_rate(gpu, "link_gbps") * 1e6 * efficiency.link)
    c0 = shape.layers * (efficiency.layer_ms + (2 * efficiency.sync_ms if tp > 1 else 0.0))
    rest: dict[str, Any] = {
        "a_s": 4 * shape.layers * shape.heads * shape.head_dim / (tp * attention),
        "a_kv": model.kv_bytes_per_token / (min(tp, model.kv_heads) * memory * efficiency.kv),
        "c_n": shape.layers * efficiency.chunk_ms,
    }
    p = efficiency.sharpness
    per_byte = 1 / (tp * memory * efficiency.weights)
    if not shape.experts:
        return IterationCost(c0=c0, w=_bytes_read(shape, width, np.ones(1))[0] * per_byte, k=k, p=p, **rest)
    tokens = np.array(_KNOTS, np.float64)
    w = _bytes_read(shape, width, tokens) * per_byte
    return IterationCost.from_table(_KNOTS, (c0 + (w**p + (k * tokens) ** p) ** (1 / p)).tolist(), **rest)


def _bytes_read(shape: Architecture, width: int, tokens: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected bytes of weights that an iteration of `tokens` tokens reads."""
    always = 2.0 * shape.head_params + width * shape.dense_params
    touched = 1 - (1 - shape.experts_per_token / max(shape.experts, 1)) ** tokens
    result: NDArray[np.float64] = always + width * shape.expert_params * touched
    return result


def _rate(gpu: Gpu, name: str) -> float:
    """A rate of a GPU; raises a ValueError if it has none."""
    rate = float(getattr(gpu, name))
    if not rate > 0:
        raise ValueError(f"{name} of gpu {gpu.name} must be known and > 0 for this, got {rate}")
    return rate
