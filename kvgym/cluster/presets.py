"""Engines that people run, by name and version: the settings they start with and their overheads, each with a source.

A default that depends on the GPU is a function of it. What `EngineSpec` has no field for (`overhead_ms`, `queued`) is
used by `kvgym.evaluation.engines` alone: a worker's overhead is its own, `overhead_ms` of `worker_spec`. A request's
overhead outside the engine is `Catalogue.request_overhead`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from kvgym import _check

DEFAULT_GPU = "a100-80g"
"""Where nobody names the GPU, the figures are those for this one."""


@dataclass(frozen=True)
class Figure:
    """A setting of an engine.

    Attributes:
        value: The setting, or a function of the GPU (its name, its memory in GiB) that gives it.
        source: Where it comes from.
    """

    value: Any
    source: str


@dataclass(frozen=True)
class Preset:
    """An engine in one version.

    Attributes:
        name: Its name.
        settings: A figure for each field of `EngineSpec`.
        overhead_ms: CPU time per iteration, in ms.
        queued: Of the clients of a closed loop, how many always wait for a place in the batch.
    """

    name: str
    settings: Mapping[str, Figure]
    overhead_ms: Figure
    queued: Figure

    def engine(self, gpu: str | None = None) -> dict[str, Any]:
        """The fields of `EngineSpec` on a GPU.

        Args:
            gpu: Its name in `published.json`; None: `DEFAULT_GPU`.

        Raises:
            ValueError: If there is no such GPU; the message lists those that there are.
        """
        memories = _memories_gib()
        name = _check.choice("gpu of the preset", DEFAULT_GPU if gpu is None else gpu, memories)
        values = {key: figure.value for key, figure in self.settings.items()}
        return {key: value(name, memories[name]) if callable(value) else value for key, value in values.items()}


@cache
def _memories_gib() -> dict[str, float]:
    """Memory of each GPU of the package."""
    text = resources.files("kvgym.cluster").joinpath("published.json").read_text(encoding="utf-8")
    return {name: float(entry["mem_gib"]) for name, entry in json.loads(text)["gpus"].items()}


def _large(gpu: str, gib: float) -> bool:
    """Whether vLLM gives this GPU its large defaults."""
    return gib >= 70 and "a100" not in gpu


def _sglang_04_chunk(gpu: str, gib: float) -> int:
    return 2048 if gib < 25 else 8192


def _sglang_05_chunk(gpu: str, gib: float) -> int:
    return next(chunk for limit, chunk in ((35, 2048), (60, 4096), (160, 8192), (float("inf"), 16384)) if gib < limit)


_ON_DEMAND = Figure(1.0, "Not used: with mixed iterations pages are taken as they are filled.")
_FCFS = Figure("fcfs", "vLLM, SchedulerConfig.policy; priority scheduling is off by default in all of these.")
_SHORTFALL = Figure(False, "Block pools evict one block for each that is taken (block_pool.py).")
_NONE_QUEUED = Figure(0, "Nothing else is known.")
_VLLM = "vLLM since pull request 17885, EngineArgs.get_batch_defaults for its API server: "
_SGLANG = {
    "page_size": Figure(1, "SGLang, ServerArgs.page_size: tokens; a radix tree over tokens shares any common prefix."),
    "max_running": Figure(2048, "SGLang, init_memory_pool: tokens / context x 512, from 2,048 to 4,096; the least."),
    "evict_full_request": Figure(True, "SGLang, schedule_batch.py: the tree evicts what is asked for, not what lacks."),
    "reserve_output": Figure(1.0, "SGLang, PrefillAdder: the whole output where its length is known (ignore_eos)."),
    "queue": _FCFS,
}
_PREFILL_FIRST = Figure("prefill_first", "SGLang, Scheduler.get_next_batch_to_run; enable_mixed_chunk is off.")
_SGLANG_05_CHUNK = Figure(
    _sglang_05_chunk, "SGLang 0.5, ServerArgs: 2,048 below 35 GiB, 4,096 below 60, 8,192 below 160, else 16,384."
)
_CATALOGUE_OVERHEAD = Figure(0.5, "No measured rows in the package: iteration_overhead_ms of catalogue.json.")

_TABLE = (
    Preset(
        "vllm-v1",
        {
            "page_size": Figure(16, "vLLM, CacheConfig.block_size on CUDA; a hash chain over full blocks."),
            "schedule": Figure("mixed", "vLLM V1, Scheduler.schedule: one token budget for prefills and decodes."),
            "chunk_tokens": Figure(
                lambda gpu, gib: 8192 if _large(gpu, gib) else 2048,
                _VLLM + "max_num_batched_tokens 8,192 with 70 GiB or more unless an A100, else 2,048.",
            ),
            "max_running": Figure(
                lambda gpu, gib: 1024 if _large(gpu, gib) else 256,
                _VLLM + "max_num_seqs 1,024 with 70 GiB or more unless an A100, else 256.",
            ),
            "evict_full_request": _SHORTFALL,
            "reserve_output": _ON_DEMAND,
            "queue": _FCFS,
        },
        Figure(0.6, "Measured rows chosen on: 0.62 (Llama-3.1-70B in fp8), 0.57 ms (Qwen3-32B). See docs/costs.md."),
        _NONE_QUEUED,
    ),
    Preset(
        "sglang-0.4",
        {
            **_SGLANG,
            "schedule": _PREFILL_FIRST,
            "chunk_tokens": Figure(_sglang_04_chunk, "SGLang 0.4, ServerArgs: 8,192, below 25 GiB 2,048."),
        },
        _CATALOGUE_OVERHEAD,
        _NONE_QUEUED,
    ),
    Preset(
        "sglang-0.5",
        {**_SGLANG, "schedule": _PREFILL_FIRST, "chunk_tokens": _SGLANG_05_CHUNK},
        _CATALOGUE_OVERHEAD,
        _NONE_QUEUED,
    ),
    Preset(
        "sglang-0.5.6",
        {
            **_SGLANG,
            "schedule": Figure(
                "mixed",
                "Fits measured rows of 0.5.6 that are not in the package, where 0.5.1 needs prefill_first; its code "
                "has enable_mixed_chunk off as before. Not confirmed on rows of the package.",
            ),
            "chunk_tokens": _SGLANG_05_CHUNK,
        },
        _CATALOGUE_OVERHEAD,
        _NONE_QUEUED,
    ),
    Preset(
        "trtllm-1",
        {
            "page_size": Figure(32, "TensorRT-LLM 1.0, KvCacheConfig.tokens_per_block; hashes of full blocks."),
            "schedule": Figure("mixed", "TensorRT-LLM, in-flight batching: context and generation in one iteration."),
            "chunk_tokens": Figure(8192, "TensorRT-LLM 1.0, BuildConfig.max_num_tokens."),
            "max_running": Figure(2048, "TensorRT-LLM 1.0, BuildConfig.max_batch_size."),
            "evict_full_request": _SHORTFALL,
            "reserve_output": Figure(
                1.0, "GUARANTEED_NO_EVICT admits with the whole output; the mixed schedule here takes pages as needed."
            ),
            "queue": _FCFS,
        },
        Figure(0.5, "Measured rows chosen on: 0.47 ms (Llama-3.1-8B). See docs/costs.md."),
        Figure(1, "Measured TTFT of Llama-3.1-8B: 8 clients wait 550 ms, as when 7 are served. See docs/costs.md."),
    ),
)
PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _TABLE}
"""The engines by name."""


def find_preset(name: Any) -> Preset:
    """The preset of a name.

    Raises:
        ValueError: If there is none; the message lists those that there are.
    """
    return PRESETS[_check.choice("preset", name, PRESETS)]
