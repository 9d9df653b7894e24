"""The KV router of NVIDIA Dynamo."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kvgym import _check

from ..base import Agent, Info, Observation, check_weights, lowest_at_random


@dataclass(kw_only=True, eq=False, repr=False)
class Dynamo(Agent):
    """The cost of NVIDIA Dynamo's KV router; the lowest is chosen, equals are drawn from uniformly.

        cost_i = scale x max(0, (prefill_i + prompt) / b - credit x decay_i x match_i / b)   prefill, in blocks
               + active_i / b                                                                 blocks in use
               + active_request x inflight_i
        decay_i = 1 / (1 + credit_decay x (prefill_i - min prefill) / prompt rounded up to blocks)

    with b tokens a block; prefill_i the estimated misses of the requests without a first token; active_i the distinct
    prompt tokens in flight if the request joins. With a temperature t > 0 the worker is drawn with probabilities
    proportional to exp(-(cost_i - min) / ((max - min) t)).

    Source: ai-dynamo/dynamo, lib/kv-router/src/scheduling/selector.rs. Minima over workers are over those that may be
    chosen, as there.

    Args:
        scale: `prefill_load_scale` (default 1).
        credit: `overlap_score_credit`, blocks credited for a matched block (default 1).
        credit_decay: `overlap_score_credit_decay`, how fast the credit falls with the backlog (default 0: never).
        active_request: `decode_active_request_weight` (default 0).
        temperature: `router_temperature` (default 0: the best worker).
        block_tokens: Tokens a block (default 16). It changes nothing but the weight of active requests.

    Raises:
        ValueError: If `block_tokens` is not an integer >= 1, or another argument is not a finite number >= 0.
    """

    scale: float = 1.0
    credit: float = 1.0
    credit_decay: float = 0.0
    active_request: float = 0.0
    temperature: float = 0.0
    block_tokens: int = 16

    def __post_init__(self) -> None:
        """Checks the arguments."""
        check_weights(self, "scale", "credit", "credit_decay", "active_request", "temperature")
        self.block_tokens = _check.whole("block_tokens", self.block_tokens, 1)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        workers = self.legal_workers(info)
        costs = self.costs(observation, workers)
        self.scores = [-cost for cost in costs]
        if self.temperature == 0.0:
            return lowest_at_random(costs, workers, self.random)
        low = min(costs[worker] for worker in workers)
        high = max(costs[worker] for worker in workers)
        width = (high - low) * self.temperature
        shares = [math.exp(-(costs[worker] - low) / width) if width else 1.0 for worker in workers]
        rest = self.random.random() * sum(shares)
        for worker, share in zip(workers, shares, strict=True):
            rest -= share
            if rest < 0.0:
                return worker
        return workers[-1]

    def costs(self, observation: Observation, workers: list[int]) -> list[float]:
        """Cost of every worker; 0 for those not in `workers`."""
        prompt = float(observation[self.at["prompt"]])
        match = observation[self.at["match"]].tolist()
        prefill = observation[self.at["prefill"]].tolist()
        active = observation[self.at["active_with"]].tolist()
        inflight = observation[self.at["inflight"]].tolist()
        least = min(prefill[worker] for worker in workers)
        size = self.block_tokens
        prompt_blocks = math.ceil(prompt / size)
        costs = [0.0] * self.n_workers
        for worker in workers:
            decay = 1.0 / (1.0 + self.credit_decay * (prefill[worker] - least) / size / prompt_blocks)
            credit = self.credit * decay * match[worker] / size
            blocks = max((prefill[worker] + prompt) / size - credit, 0.0)
            costs[worker] = self.scale * blocks + active[worker] / size + self.active_request * inflight[worker]
        return costs
