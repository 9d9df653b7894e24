"""The KV router of NVIDIA Dynamo."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from kvgym import _check

from ..base import EXACT, Agent, Floats, Info, Observation, Range, check_weights, draw

VIEWS = ("events", "scenario")


@dataclass(kw_only=True, eq=False, repr=False)
class Dynamo(Agent):
    """The cost of NVIDIA Dynamo's KV router; the lowest is chosen, equals are drawn from uniformly.

        cost_i = scale x max(0, (prefill_i + prompt) / b - credit x decay_i x match_i)   prefill, in blocks
               + active_i / b                                                             blocks in use
               + active_request x inflight_i
        decay_i = 1 / (1 + credit_decay x (prefill_i - min prefill) / prompt rounded up to blocks)

    with b tokens a block; match_i the whole blocks of the prompt that match; prefill_i the estimated misses of the
    requests without a first token; active_i the distinct prompt tokens in flight if the request joins. With a
    temperature t > 0 the worker is drawn with probabilities proportional to exp(-(cost_i - min) / ((max - min) t)).

    Source: ai-dynamo/dynamo 1.6.1, lib/kv-router/src/scheduling/selector.rs. Minima over workers are over those that
    may be chosen, as there. By default its index is fed by the engines' events, so the rule asks for the exact view;
    events take some milliseconds there, and none here.

    Args:
        scale: `prefill_load_scale` (default 1).
        credit: `overlap_score_credit`, blocks credited for a matched block (default 1).
        credit_decay: `overlap_score_credit_decay`, how fast the credit falls with the backlog (default 0: never).
        active_request: `decode_active_request_weight` (default 0).
        temperature: `router_temperature` (default 0: the best worker).
        block_tokens: Tokens a block (default 16).
        view: "events": the exact view of the caches (default); "scenario": what the scenario shows of them.

    Raises:
        ValueError: If `block_tokens` is not an integer >= 1, there is no such view, or another argument is not a finite
            number >= 0.
    """

    tunable: ClassVar[Mapping[str, Range]] = {
        "scale": (0.1, 10.0, "log"),
        "credit": (0.25, 4.0, "log"),
        "credit_decay": (0.0, 2.0),
        "active_request": (0.0, 64.0),
    }
    scale: float = 1.0
    credit: float = 1.0
    credit_decay: float = 0.0
    active_request: float = 0.0
    temperature: float = 0.0
    block_tokens: int = 16
    view: str = "events"

    def __post_init__(self) -> None:
        """Checks the arguments."""
        check_weights(self, "scale", "credit", "credit_decay", "active_request", "temperature")
        self.block_tokens = _check.whole("block_tokens", self.block_tokens, 1)
        if _check.choice("view", self.view, VIEWS) == "events":
            self.env_kwargs = EXACT

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        costs = self.costs(observation, info)
        best = self.cheapest(costs, info)
        if self.temperature == 0.0:
            return draw(best, self.random)
        workers = self.legal_workers(info)
        low, high = costs[best[0]], costs[workers].max()
        width = (high - low) * self.temperature
        shares = np.exp(-(costs[workers] - low) / width) if width else np.ones(len(workers))
        place = int(np.searchsorted(shares.cumsum(), self.random.random() * shares.sum(), side="right"))
        return workers[min(place, len(workers) - 1)]

    def costs(self, observation: Observation, info: Info) -> Floats:
        """Cost of every worker: float64 (n_workers,)."""
        prompt, size = float(observation[self.at["prompt"]]), self.block_tokens
        prefill = self.column(observation, "prefill")
        backlog = (prefill - prefill[self.up(info)].min()) / size
        decay = 1.0 / (1.0 + self.credit_decay * backlog / math.ceil(prompt / size))
        credit = self.credit * decay * (self.column(observation, "match") // size)
        blocks = self.scale * np.maximum((prefill + prompt) / size - credit, 0.0)
        active, inflight = self.column(observation, "active_with"), self.column(observation, "inflight")
        costs: Floats = blocks + active / size + self.active_request * inflight
        return costs
