"""Who plays, on what: pairs of router and evictor by name, and the settings of the paper's load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..lbgr_study import TRUE_MS_PER_CHARACTER
from .jobs import Job, episode, job

CA_LRU, CA_RLT = "cache-aware + LRU", "cache-aware + RLT"
LBGR_LRU, LBGR_RLT = "LBGR + LRU", "LBGR + RLT"
RANDOM_LRU, RANDOM_RLT = "random + LRU", "random + RLT"
TUNED_RLT = "cache-aware 0.3 + RLT"

PREFILL_TOKENS_S, MEAN_PROMPT = 6270, 3128
"""Of an L40 with Llama-3.1-8B in full chunks, and of the paper's load (the mean of 128 groups): tokens."""


class Pair(NamedTuple):
    """A router, its arguments, and the evictor."""

    agent: str
    args: Mapping[str, Any]
    evictor: str


PAIRS: dict[str, Pair] = {
    RANDOM_LRU: Pair("random", {}, "lru_node"),
    RANDOM_RLT: Pair("random", {}, "rlt_code"),
    CA_LRU: Pair("cache_aware", {}, "lru_node"),
    CA_RLT: Pair("cache_aware", {}, "rlt_code"),
    TUNED_RLT: Pair("cache_aware", {"threshold": 0.3}, "rlt_code"),
    LBGR_LRU: Pair("lbgr_code", {}, "lru_node"),
    LBGR_RLT: Pair("lbgr_code", {}, "rlt_code"),
    "round robin + LRU": Pair("round_robin", {}, "lru_node"),
    "LBGR, loads fade eight times as slowly + RLT": Pair(
        "lbgr_code", {"decay_numerator": 255, "decay_denominator": 256}, "rlt_code"
    ),
    "LBGR, loads do not fade + RLT": Pair("lbgr_code", {"decay_period_ms": 1e9}, "rlt_code"),
    "LBGR, nothing learned + RLT": Pair("lbgr_code", {"p0": 0.0}, "rlt_code"),
    "LBGR, true costs + RLT": Pair("lbgr_code", {"ms_per_character": TRUE_MS_PER_CHARACTER}, "rlt_code"),
    "LBGR, the paper's form + RLT": Pair("lbgr_unbounded", {}, "rlt_code"),
    "LBGR, bounded + RLT": Pair("lbgr", {}, "rlt_code"),
}
"""By name. LRU is SGLang's, which drops whole nodes; RLT, cache-aware and LBGR are those of the authors' code."""


@dataclass(frozen=True)
class Setting:
    """A scenario and what is changed in it.

    Attributes:
        text: In words.
        overrides: Fields of the scenario.
        scenario: Its name.
    """

    text: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    scenario: str = "gsp"


class Run(NamedTuple):
    """A pair on a setting."""

    pair: str
    setting: Setting

    def job(self, seed: int, short: int | None = None) -> Job:
        """The episode of a seed; `short`: with so many requests, where it had more."""
        agent, args, evictor = PAIRS[self.pair]
        overrides = dict(self.setting.overrides)
        if short:
            overrides |= {"episode_requests": short, "warmup_requests": 0}
        scenario = self.setting.scenario
        return job(episode, seed, agent=agent, args=args, evictor=evictor, scenario=scenario, overrides=overrides)


def gsp(
    text: str, *, workers: int = 4, worker: Mapping[str, Any] | None = None, requests: int = 4096, **recipe_args: Any
) -> Setting:
    """The paper's load with changes.

    Args:
        text: In words.
        workers: How many.
        worker: Keys of each that differ from Llama-3.1-8B on an L40.
        requests: How many.
        **recipe_args: Of the recipe "gsp".
    """
    each = {"model": "llama-3.1-8b", "gpu": "l40", "count": workers} | dict(worker or {})
    return Setting(text, {"workers": [each], "recipe_args": recipe_args, "episode_requests": requests})


GSP = Setting("4 L40, 12 requests/s, prefix ratio 0.5, random order")
"""The defaults of the authors' drivers, which Table 1 fits best; the paper does not state its setting."""
