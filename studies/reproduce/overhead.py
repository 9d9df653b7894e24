"""Left open (b): what the learner's overhead costs, by hardware and size of model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kvgym.scenarios import get_scenario

from .claims import NONE, Claim, Part
from .measures import times
from .paper_table import ROUTING_S
from .settings import LBGR_RLT, PREFILL_TOKENS_S, Run, Setting, gsp

CHUNK = 8192
LOAD = 9.0 / 4 / PREFILL_TOKENS_S
"""Requests per second over prompt tokens per second of a worker: the load of 9 requests/s on four L40."""

WORKERS: Mapping[str, tuple[Mapping[str, Any], int]] = {
    "Llama-3.1-8B on 4 L40": ({"gpu": "l40"}, 4),
    "Llama-3.1-8B on 4 H100": ({"gpu": "h100"}, 4),
    "Llama-3.1-8B on 4 B200": ({"gpu": "b200"}, 4),
    "Llama-3.1-8B on 16 B200": ({"gpu": "b200"}, 16),
    "Llama-3.1-70B on 4 x 4 H100": ({"model": "llama-3.1-70b", "gpu": "h100", "tp": 4}, 4),
    "Llama-3.1-405B in 8 bits on 4 x 8 H200": (
        {"model": "llama-3.1-405b", "gpu": "h200", "tp": 8, "weights": "fp8", "form": "published"},
        4,
    ),
}


def speed(setting: Setting) -> float:
    """Prompt tokens per second that a worker computes in full chunks."""
    cost = get_scenario(setting.scenario, setting.overrides).cluster.workers[0].cost
    return CHUNK / cost.seconds(CHUNK, 1, CHUNK * (CHUNK + 1) / 2, 0, 0)


def _at_load(name: str) -> tuple[Setting, float]:
    """A setting at the load of all, and its rate."""
    worker, n = WORKERS[name]
    rate = round(LOAD * n * speed(gsp(name, workers=n, worker=worker)), 1)
    return gsp(f"{name}, {rate:g} requests/s", workers=n, worker=worker, rate=rate), rate


def _claims() -> tuple[Claim, ...]:
    claims = []
    for name in WORKERS:
        free, rate = _at_load(name)
        for seconds in (ROUTING_S, 2e-3):
            text = f"{name}, {1e3 * seconds:g} ms a decision: mean latency over that without"
            charged = replace(free, overrides={**free.overrides, "decision_s": seconds})
            ours = times(Run(LBGR_RLT, charged), Run(LBGR_RLT, free), "e2e_mean")
            note = f"the router is busy {100 * rate * seconds:.1f} % of the time"
            claims.append(Claim(text, "", NONE, free.text, ours, "x", note))
    return tuple(claims)


PART = Part("Left open: the learner's overhead", _claims())
