"""The named scenarios."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvgym.cluster import EngineSpec
from kvgym.scenarios.scenario import Scenario

# Four workers with Llama-3.1-8B on an L40: the cluster of arXiv 2601.18999, under the engine that it ran on (SGLang
# 0.4: prefills first, evictions of the full request). The router knows only what it sent where, 2.6 M tokens a worker.
_PAPER_WORKERS = ({"model": "llama-3.1-8b", "gpu": "l40", "count": 4},)
_PAPER_ENGINE = EngineSpec(
    page_size=1, schedule="prefill_first", chunk_tokens=8192, max_running=2048, evict_full_request=True
)
# The same engine with pages of 16 tokens, as production engines have them.
_PAGED_ENGINE = EngineSpec(
    page_size=16, schedule="prefill_first", chunk_tokens=8192, max_running=2048, evict_full_request=True
)
_MODERN_ENGINE = EngineSpec(page_size=16, schedule="mixed", chunk_tokens=8192, max_running=256)

# Llama-3.1-8B on GPUs of today, under an engine of today (vLLM V1), with shared prefixes and answers of 64 tokens.
_H100, _A100, _L40S = ({"model": "llama-3.1-8b", "gpu": gpu} for gpu in ("h100", "a100-80g", "l40s"))
_TODAY: dict[str, Any] = {
    "version": 0,
    "recipe": "gsp",
    "engine": _MODERN_ENGINE,
    "warmup_requests": 512,
    "episode_requests": 4096,
    "reward_scale_s": 1.0,
    "slo_ttft_s": 1.0,
    "slo_tpot_s": 0.05,
}


def _prefixes(rate: float) -> dict[str, Any]:
    return {"rate": rate, "prompts_per_group": 37, "output_tokens": 64}


_SLOT = {"c0": 5000.0}
_TWO_SLOTS = {"c0": 10000.0}

_ALL = (
    Scenario(
        name="gsp",
        version=0,
        text="the paper's main load: shared prefixes at the knife edge of overload (12 requests/s)",
        recipe="gsp",
        recipe_args={"rate": 12.0},
        workers=_PAPER_WORKERS,
        engine=_PAPER_ENGINE,
        evictor="lru_node",
        metrics_period_s=0.0,
        episode_requests=4096,
        reward_scale_s=100.0,
        slo_ttft_s=5.0,
        slo_tpot_s=1.0,
    ),
    Scenario(
        name="gsp-stable",
        version=0,
        text="shared prefixes at 9 requests/s: every sensible policy keeps up, good ones are faster",
        recipe="gsp",
        recipe_args={"rate": 9.0, "prompts_per_group": 37},
        workers=_PAPER_WORKERS,
        engine=_PAGED_ENGINE,
        warmup_requests=512,
        episode_requests=4096,
        reward_scale_s=1.0,
        slo_ttft_s=2.0,
        slo_tpot_s=0.5,
    ),
    Scenario(
        name="gsp-worst",
        version=0,
        text="shared prefixes in cyclic order, in which a cache that goes by recency never hits",
        recipe="gsp",
        recipe_args={"rate": 12.0, "order": "worst"},
        workers=_PAPER_WORKERS,
        engine=_PAPER_ENGINE,
        evictor="lru_node",
        metrics_period_s=0.0,
        episode_requests=4096,
        reward_scale_s=100.0,
        slo_ttft_s=5.0,
        slo_tpot_s=1.0,
    ),
    Scenario(
        name="multi-turn",
        version=0,
        text="128 conversations of 2 to 8 turns in closed loop",
        recipe="multi_turn",
        recipe_args={},
        workers=_PAPER_WORKERS,
        engine=_PAGED_ENGINE,
        episode_requests=640,
        reward_scale_s=10.0,
        slo_ttft_s=10.0,
        slo_tpot_s=1.0,
    ),
    Scenario(
        name="long-doc",
        version=0,
        text="questions on 105 long documents in random order (12 requests/s)",
        recipe="long_documents",
        recipe_args={},
        workers=_PAPER_WORKERS,
        engine=_PAGED_ENGINE,
        episode_requests=1995,
        reward_scale_s=1.0,
        slo_ttft_s=1.0,
        slo_tpot_s=0.5,
    ),
    Scenario(
        name="mixed-fleet",
        text="shared prefixes on two H100, two A100 and two L40S: fast and slow, large and small ones (24 requests/s)",
        recipe_args=_prefixes(24.0),
        workers=({**_H100, "count": 2}, {**_A100, "count": 2}, {**_L40S, "count": 2}),
        **_TODAY,
    ),
    Scenario(
        name="straggler",
        text="shared prefixes on four H100, each four times as slow for 15 s about once in 75 s (28 requests/s)",
        recipe_args=_prefixes(28.0),
        workers=({**_H100, "count": 4},),
        faults={"slow_every_s": 60.0, "slow_s": 15.0, "slow_factor": 4.0, "until_s": 300.0},
        **_TODAY,
    ),
    Scenario(
        name="failover",
        text="shared prefixes on four H100, each fails about once in 120 s and is away for 20 s (50 requests/s)",
        recipe_args=_prefixes(50.0),
        workers=({**_H100, "count": 4},),
        faults={"crash_every_s": 100.0, "down_s": 20.0, "until_s": 300.0},
        **_TODAY,
    ),
    Scenario(
        name="multi-node-agents",
        text="coding agents in closed loop on two nodes of four H100 that fetch pages from each other",
        objective="ttft",
        recipe_args={"session_rate": 2.0, "time_scale": 0.2, "max_context": 48_000},
        workers=({**_H100, "count": 8},),
        network={"per_node": 4, "inside": "nvlink-h100", "between": "rdma-8x-cx7"},
        transfer="auto",
        **{**_TODAY, "recipe": "coding_agents", "episode_requests": 3072},
    ),
    Scenario(
        name="sanity",
        version=0,
        text="two servers, one twice as fast, equal jobs in time slots: the optimum is known (mean sojourn 7.00 slots)",
        recipe="equal",
        recipe_args={"prompt_tokens": 16, "output_tokens": 1, "slot_s": 1.0, "probability": 0.15},
        workers=({"kv_tokens": 16_000, "cost": _SLOT}, {"kv_tokens": 16_000, "cost": _TWO_SLOTS}),
        engine=EngineSpec(page_size=16, schedule="mixed", chunk_tokens=8192, max_running=1),
        view="exact",
        metrics_period_s=0.0,
        warmup_requests=50,
        episode_requests=1000,
        reward_scale_s=10.0,
    ),
    Scenario(
        name="trace",
        version=1,
        text="a trace file (recipe_args: path, format, rate_scale, ..) on four H100 with Llama-3.1-8B",
        recipe="trace",
        recipe_args={},
        workers=({"model": "llama-3.1-8b", "gpu": "h100", "count": 4},),
        engine=_MODERN_ENGINE,
        warmup_requests=200,
        episode_requests=1500,
        reward_scale_s=10.0,
        slo_ttft_s=10.0,
        slo_tpot_s=0.1,
    ),
)

SUITE_SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
"""The scenarios of the package, by name."""
SCENARIOS: dict[str, Scenario] = dict(SUITE_SCENARIOS)
"""Those, and what `register_scenario` has added in this process."""


def register_scenario(scenario: Scenario) -> None:
    """Lets environments of this process name a scenario; "module:name" is found by other processes too.

    Raises:
        ValueError: If it is no Scenario, or there is another one of its name.
    """
    if not isinstance(scenario, Scenario):
        raise ValueError(f"scenario must be a Scenario, got {scenario!r}")
    if not SCENARIOS.setdefault(scenario.name, scenario) == scenario:
        raise ValueError(f"there is another scenario {scenario.name!r} already, this one must have another name")
