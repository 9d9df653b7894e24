"""How many tokens of KV cache a worker has room for, from the memory of its GPUs and the weights of its model."""

import math
from fractions import Fraction

from kvgym import _check
from kvgym.cluster.published import Gpu, Model

GIB = 2**30
# Activations, CUDA context and graphs, per GPU. Source: in LLMServingSim's run on an RTX 4090, vLLM found room for
# 41,408 tokens where the weights alone left 54,400, so 1.6 GiB went elsewhere; 2 is that, rounded up.
RESERVE_GIB = 2


def kv_tokens(model: Model, gpu: Gpu, tp: int = 1, mem_fraction: float = 0.9, weights: str = "bf16") -> int:
    """Tokens of KV cache of a worker.

    floor((mem_fraction x GPU memory - weights / tp - 2 GiB) / KV bytes per token and GPU), in exact arithmetic.

    Args:
        model: The model.
        gpu: The kind of its GPUs.
        tp: Number of GPUs that the model is split over (tensor parallelism).
        mem_fraction: Share of a GPU's memory that the engine may use, above 0, at most 1; 0.9 is vLLM's default.
        weights: Number format of the weights, one of `kvgym.cluster.WEIGHTS`; the KV cache stays in 16 bits.

    Returns:
        Tokens, >= 1.

    Raises:
        ValueError: If an argument is outside its range, or the model leaves no room on these GPUs.
    """
    _check.whole("tp", tp, 1)
    _check.finite("mem_fraction", mem_fraction, 0.0, 1.0)
    # The decimal that was written: 0.9 of 80 GiB is 72 GiB, and 8B weights leave a whole number of tokens there.
    usable = Fraction(str(float(mem_fraction))) * Fraction(str(gpu.mem_gib)) * GIB
    size = Fraction(model.bytes_as(weights), tp)
    per_token = Fraction(model.kv_bytes_per_token, min(tp, model.kv_heads))
    tokens = math.floor((usable - size - RESERVE_GIB * GIB) / per_token)
    if tokens < 1:
        raise ValueError(
            f"{model.name} does not fit on {tp} x {gpu.name}: per GPU, {float(size / GIB):.2f} GiB of weights and "
            f"{RESERVE_GIB} GiB of reserve leave no room for KV in mem_fraction {mem_fraction} x {gpu.mem_gib} GiB = "
            f"{float(usable / GIB):.2f} GiB"
        )
    return tokens
