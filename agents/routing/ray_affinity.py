"""The prefix router of Ray Serve."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym

from kvgym import _check

from ..base import Agent, Info, Observation, Range, draw, least, lowest, most
from .prompt_index import PromptIndex


@dataclass(kw_only=True, eq=False, repr=False)
class RayAffinity(Agent):
    """Ray Serve's PrefixCacheAffinityRouter: the shortest queue among those that were sent most of the prompt.

    1. If max - min of the requests in flight > imbalanced: of two workers drawn at random the one with fewer.
    2. Else, if a worker was sent at least `match_rate` of the prompt: those that were sent most of it; else those whose
       part of the tree is smallest. Of these the fewest in flight, then the lowest index.

    Source: ray-project/ray, python/ray/llm/_internal/serve/routing_policies/prefix_aware. The tree forgets nothing, as
    there by default, but workers that are gone; shares are those of tokens, there of characters.

    Args:
        imbalanced: See 1; None: never (default, as Ray 2.5x; 10 before).
        match_rate: See 2 (default 0.1).
    """

    tunable: ClassVar[Mapping[str, Range]] = {"imbalanced": (1.0, 64.0, "log"), "match_rate": (0.01, 0.95)}
    imbalanced: float | None = None
    match_rate: float = 0.1

    def __post_init__(self) -> None:
        """Checks the arguments."""
        self._limit = math.inf if self.imbalanced is None else _check.finite("imbalanced", self.imbalanced)
        self.match_rate = _check.finite("match_rate", self.match_rate, 0.0, 1.0)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.index = PromptIndex(self.env, 1)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        tokens = self.index.look_up(self.fallen(info))
        inflight = observation[self.at["inflight"]]
        loads = inflight if self.all_up(info) else inflight[self.up(info)]
        if most(loads) - least(loads) > self._limit:
            up = self.legal_workers(info)
            among = [up.pop(up.index(draw(up, self.random))) for _ in range(min(2, len(up)))]
        elif most(tokens) >= self.match_rate * float(observation[self.at["prompt"]]):
            among = self.cheapest(-tokens, info)
        else:
            among = self.cheapest(self.index.sizes, info)
        worker = lowest(inflight, among)
        self.index.add(worker)
        return worker
