"""How many tokens of KV cache a worker has room for, from the memory of its GPUs and the weights of its model."""

import math
from fractions import Fraction

from kvgym import _check
from kvgym.cluster.published import CONTEXT_TOKENS, Gpu, Model

GIB = 2**30
# Activations, CUDA context and graphs, per GPU. Source: in LLMServingSim's run on an RTX 4090, vLLM found room for
# 41,408 tokens where the weights alone left 54,400, so 1.6 GiB went elsewhere; 2 is that, rounded up.
RESERVE_GIB = 2


def kv_tokens(
    model: Model,
    gpu: Gpu,
    tp: int = 1,
    mem_fraction: float = 0.9,
    weights: str = "bf16",
    *,
    kv_dtype: str = "bf16",
    context_tokens: int = CONTEXT_TOKENS,
    data_attention: bool = False,
) -> int:
    """Tokens of KV cache of a worker.

    floor((mem_fraction x GPU memory - weights / tp - 2 GiB) / KV bytes per token and GPU), in exact arithmetic.

    Args:
        model: The model.
        gpu: The kind of its GPUs.
        tp: Number of GPUs that the model is split over (tensor parallelism). With fewer KV heads than that, GPUs hold
            copies; a latent (multi-head latent attention) is whole on each.
        mem_fraction: Share of a GPU's memory that the engine may use, above 0, at most 1; 0.9 is vLLM's default.
        weights: Number format of the weights, one of `kvgym.cluster.WEIGHTS` that the model is to be had in.
        kv_dtype: Number format of the KV cache, "bf16" or "fp8".
        context_tokens: Tokens of a request, over which windows, chunks and states are spread (`Model.kv_bytes`);
            without effect on models that have none.
        data_attention: Whether each GPU does the attention of requests of its own, with a copy of its weights; the rest
            is split as ever.

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
    if _check.flag("data_attention", data_attention):
        size += model.widths(weights)[0] * model.shape().attention_params * Fraction(tp - 1, tp)
    per_token = model.kv_bytes_per_gpu(tp, context_tokens, kv_dtype, data_attention=data_attention)
    tokens = math.floor((usable - size - RESERVE_GIB * GIB) / per_token)
    if tokens < 1:
        raise ValueError(
            f"{model.name} does not fit on {tp} x {gpu.name}: per GPU, {float(size / GIB):.2f} GiB of weights and "
            f"{RESERVE_GIB} GiB of reserve leave no room for KV in mem_fraction {mem_fraction} x {gpu.mem_gib} GiB = "
            f"{float(usable / GIB):.2f} GiB"
        )
    return tokens
