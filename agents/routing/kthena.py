"""The router of Kthena."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from kvgym import _check

from ..base import Agent, Info, Observation, Range, draw
from .compiled import compiled
from .prompt_index import PromptIndex

_KERNEL = "kthena_kernel"


@dataclass(kw_only=True, eq=False, repr=False)
class Kthena(Agent):
    """Kthena's router: the highest sum of four scores from 0 to 100, in whole numbers; equals at random.

        requests   100 x (max - load_i) / max, load_i = running_i + 100 x queued_i
        memory     100 x (1 - share of KV memory in use)
        latency    half of it by time to first token, half by time per output token: 100 x (max - t_i) / (max - min);
                   100 without a measurement
        prefix     100 x matched blocks / blocks of the prompt, for the five longest matches

    Workers whose queue has `max_waiting` requests are left out (not if all have: there the request is refused).

    Source: volcano-sh/kthena, pkg/kthena-router/scheduler/plugins (29839a7b; 0c7d6ae1, 3a4fa9ea and 289f452a of the
    plugins least_request, prefix_cache and its store), all weights 1. Loads and memory are engine metrics, as old as
    the scenario's are; times are moving averages of what the router sees.

    Args:
        max_waiting: See above (default 10).
        block_tokens: Tokens of a block (default 16: 64 bytes, four a token).
        max_blocks: Blocks of a prompt that are looked at (default 128).
        index_blocks: Blocks of a worker that are remembered (default 50,000).
        top: Longest matches that count (default 5).
    """

    tunable: ClassVar[Mapping[str, Range]] = {
        "max_waiting": (1, 64, "log"),
        "max_blocks": (16, 1024, "log"),
        "top": (1, 16, "log"),
    }
    max_waiting: float = 10.0
    block_tokens: int = 16
    max_blocks: int = 128
    index_blocks: int = 50_000
    top: int = 5

    def __post_init__(self) -> None:
        """Checks the arguments."""
        self.max_waiting = _check.finite("max_waiting", self.max_waiting)
        for name in ("block_tokens", "max_blocks", "index_blocks", "top"):
            setattr(self, name, _check.whole(name, getattr(self, name), 1))

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        compiled(_KERNEL)  # no decision is to wait for that
        sizes = [self.index_blocks * self.block_tokens] * self.n_workers
        self.index = PromptIndex(self.env, self.block_tokens, sizes, most_blocks=self.max_blocks, ends_first=True)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        tokens = self.index.look_up(self.fallen(info))
        blocks = min(math.ceil(float(observation[self.at["prompt"]]) / self.block_tokens), self.max_blocks)
        costs = np.empty(self.n_workers)
        compiled(_KERNEL).rate(
            *(observation[self.at[name]] for name in ("running", "queued", "kv_use", "ttft_ewma", "tpot_ewma")),
            *(tokens, self.up(info), self.max_waiting, self.block_tokens, blocks, self.top, costs),
        )
        worker = draw(self.cheapest(costs, info), self.random)
        self.index.add(worker)
        return worker
