"""The cache-aware rules of the vLLM production stack."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym

from kvgym import _check

from ..base import EXACT, Agent, Info, Observation, Range, check_weights, draw, lowest
from .prompt_index import PromptIndex


@dataclass(kw_only=True, eq=False, repr=False)
class PrefixAware(Agent):
    """prefixaware of the vLLM production stack: a random one of the workers that were sent most of the prompt.

    Its trie of chunks forgets nothing but workers that are gone, and load plays no part: without any match all workers
    are drawn from. Source: vllm-project/production-stack (008a23bd), src/vllm_router/routers/routing_logic.py and
    prefix/hashtrie.py.

    Args:
        chunk_tokens: Tokens of a chunk (default 32: 128 characters, four a token).
    """

    chunk_tokens: int = 32

    def __post_init__(self) -> None:
        """Checks the argument."""
        self.chunk_tokens = _check.whole("chunk_tokens", self.chunk_tokens, 1)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.index = PromptIndex(self.env, self.chunk_tokens)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        worker = draw(self.cheapest(-self.index.look_up(self.fallen(info)), info), self.random)
        self.index.add(worker)
        return worker


@dataclass(kw_only=True, eq=False, repr=False)
class KvAware(Agent):
    """kvaware of the vLLM production stack: the worker that has most of the prompt, if all but 2,000 tokens are there.

    Else, and without a match, the lowest rate of requests over the last 60 s, one that had none at all before others.
    Load plays no other part. Lowest index of equals. Source: vllm-project/production-stack (008a23bd),
    src/vllm_router/routers/routing_logic.py (KvawareRouter, without a session key); LMCache's controller knows what
    workers hold, so the rule asks for the exact view.

    Args:
        threshold: Tokens that may be missing (default 2000).
        window_s: Of the rates (default 60).
    """

    tunable: ClassVar[Mapping[str, Range]] = {"threshold": (16.0, 16384.0, "log"), "window_s": (5.0, 600.0, "log")}
    threshold: float = 2000.0
    window_s: float = 60.0

    def __post_init__(self) -> None:
        """Checks the arguments."""
        self.env_kwargs: Mapping[str, Any] = EXACT
        self.threshold = _check.finite("threshold", self.threshold)
        self.window_s = _check.finite("window_s", self.window_s, 1e-6)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._sends: deque[tuple[float, int]] = deque()
        self._recent = [0] * self.n_workers
        self._known = [False] * self.n_workers

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        while self._sends and self._sends[0][0] <= info["time"] - self.window_s:
            self._recent[self._sends.popleft()[1]] -= 1
        match = self.column(observation, "match")
        worker = self.cheapest(-match, info)[0]
        if match[worker] == 0.0 or match[worker] < float(observation[self.at["prompt"]]) - self.threshold:
            worker = lowest(list(zip(self._known, self._recent, strict=True)), self.legal_workers(info))
        self._sends.append((info["time"], worker))
        self._recent[worker] += 1
        self._known[worker] = True
        return worker


@dataclass(kw_only=True, eq=False, repr=False)
class LoadAware(Agent):
    """loadaware of the vLLM production stack: the share of the prompt that is there, less the load.

        score_i = match_i / prompt - beta x (inflight_i - mean) / max(1, mean)        mean in flight

    The highest score, lowest index of equals. Source: vllm-project/production-stack, pull request 1035 (LoadAwareRouter
    in src/vllm_router/routers/routing_logic.py); LMCache's controller knows what workers hold, so the rule asks for the
    exact view.

    Args:
        beta: Of the load (default 1).
    """

    tunable: ClassVar[Mapping[str, Range]] = {"beta": (0.05, 10.0, "log")}
    beta: float = 1.0

    def __post_init__(self) -> None:
        """Checks the argument."""
        self.env_kwargs: Mapping[str, Any] = EXACT
        check_weights(self, "beta")

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        inflight, share = self.column(observation, "inflight"), self.column(observation, "match")
        share = share / float(observation[self.at["prompt"]])
        mean = float(inflight[self.up(info)].mean())
        return self.cheapest(self.beta * (inflight - mean) / max(1.0, mean) - share, info)[0]
