"""Consistent hashing of a prompt's beginning: with bounded load, and with two rings."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, ClassVar

import gymnasium as gym

from kvgym import _check

from ..base import Agent, Floats, Info, Observation, Range, check_weights, draw, lowest
from .prefill_time import PrefillTime

FULL = ("next", "least")


def hashed(text: str) -> int:
    """64 bits that depend on nothing but `text`."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class Ring:
    """Workers at points of a ring; a key belongs to the one at the next point.

    Args:
        n_workers: Number of workers.
        virtual_nodes: Points of each.
        salt: Tells rings apart.
    """

    def __init__(self, n_workers: int, virtual_nodes: int, salt: str = "") -> None:
        """Hashes the points."""
        self._points = sorted((hashed(f"{salt}/{w}/{i}"), w) for w in range(n_workers) for i in range(virtual_nodes))
        self._salt = salt

    def walk(self, key: int) -> Iterator[int]:
        """Workers in the order in which the ring has them after a key, each as often as it has points."""
        start = bisect_left(self._points, (hashed(f"{self._salt}:{key}"), 0))
        for place in range(len(self._points)):
            yield self._points[(start + place) % len(self._points)][1]


make_ring = lru_cache(maxsize=8)(Ring)


@dataclass(kw_only=True, eq=False, repr=False)
class BoundedHash(Agent):
    """Consistent hashing with bounded load: a prompt's beginning decides, unless its worker has more than its share.

    The worker at the next point of the ring takes the request if its requests in flight are at most
    load_factor x (all in flight + 1) / workers. Else "next" goes on along the ring to the first for which that holds,
    "least" to the one with the fewest in flight.

    Source: "next" is CHWBL as in KubeAI, substratusai/kubeai (2f32ef49), internal/loadbalancer/balance_chwbl.go: 100
    characters, 256 points. "least" is prefix_hash of lightseekorg/smg (73da68ca), model_gateway/src/policies: 256
    tokens, 150 points. The hash is another one, and the key ends with the last page that is within `key_tokens`, after
    the first page at the least; a prompt without a full page has its session as key.

    Args:
        key_tokens: Tokens of the prompt that are hashed (default 25: 100 characters, four a token).
        virtual_nodes: Points of a worker on the ring (default 256).
        load_factor: See above, at least 1 (default 1.25).
        full: "next" (default) or "least".

    Raises:
        ValueError: If an argument is not as described.
    """

    tunable: ClassVar[Mapping[str, Range]] = {
        "key_tokens": (16, 4096, "log"),
        "load_factor": (1.0, 4.0),
        "full": list(FULL),
    }
    key_tokens: int = 25
    virtual_nodes: int = 256
    load_factor: float = 1.25
    full: str = "next"

    def __post_init__(self) -> None:
        """Checks the arguments."""
        self.key_tokens = _check.whole("key_tokens", self.key_tokens, 1)
        self.virtual_nodes = _check.whole("virtual_nodes", self.virtual_nodes, 1)
        self.load_factor = _check.finite("load_factor", self.load_factor, 1.0)
        _check.choice("full", self.full, FULL)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._ring = make_ring(self.n_workers, self.virtual_nodes)
        self._pages = max(1, self.key_tokens // self.env.scenario.engine.page_size)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        up = set(self.legal_workers(info))
        inflight = observation[self.at["inflight"]].tolist()
        bound = self.load_factor * (sum(inflight[worker] for worker in up) + 1.0) / len(up)
        pages = self.env.prompt_pages()
        key = int(pages[min(len(pages), self._pages) - 1]) if len(pages) else -1 - info["session"]
        for worker in self._ring.walk(key):
            if worker in up:
                if inflight[worker] <= bound:
                    return worker
                if self.full == "least":
                    break
        return lowest(inflight, sorted(up))  # the fewest in flight are never above the bound


_WINDOW, _HOT, _COLD, _SAMPLES = 200, 0.0612, 0.02, 20


@dataclass(kw_only=True, eq=False, repr=False)
class DualMap(Agent):
    """DualMap: two rings give two workers for a prompt's beginning; the one that has more of it, if it is fast enough.

    Of the two the one with the longer match is taken while its expected time to first token is within the objective,
    else the one whose expected time is lower. A beginning that is asked for too often is told apart by one more block.

        expected TTFT_i = seconds of prefill_i + miss_i tokens there

    Source: arXiv 2602.06502, as in vllm-project/aibrix (9c8981ea), pkg/plugins/gateway/algorithms/dualmap.go: a
    beginning with 6.12 % or more of the last 200 grows by a block, where 20 have been seen; one whose parent has less
    than 2 % shrinks. Equal matches: less KV memory in use, then at random; both rings at one worker: the next worker
    is the second. What differs: a block is a page, tokens become seconds by the workers' own costs, and a request that
    was sent stays (there is no moving of those that wait).

    Args:
        slo_s: The objective where a request has none of its own (default 5 s, an assumption).
        virtual_nodes: Points of a worker on a ring (default 100).
    """

    tunable: ClassVar[Mapping[str, Range]] = {"slo_s": (0.05, 30.0, "log")}
    slo_s: float = 5.0
    virtual_nodes: int = 100

    def __post_init__(self) -> None:
        """Checks the arguments."""
        check_weights(self, "slo_s")
        self.virtual_nodes = _check.whole("virtual_nodes", self.virtual_nodes, 1)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._rings = [make_ring(self.n_workers, self.virtual_nodes, salt) for salt in ("one", "two")]
        self._time = PrefillTime(self.env)
        self._grown: set[int] = set()  # ids of pages that are not the end of a key
        self._window: deque[int] = deque()
        self._counts: Counter[int] = Counter()

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        pages = self.env.prompt_pages()
        key = self.key(pages.tolist()) if len(pages) else -1 - info["session"]
        up = self.legal_workers(info)
        first, second = (next(worker for worker in ring.walk(key) if worker in up) for ring in self._rings)
        if first == second:
            second = up[(up.index(first) + 1) % len(up)]
        match, kv_use = self.column(observation, "match"), observation[self.at["kv_use"]]
        backlog = self._time.of_tokens(self.column(observation, "prefill"))
        ttft = backlog + self._time.of(self.misses(observation), match)
        self.scores = (-ttft).tolist()
        slo = float(observation[self.at["slo_ttft"]]) or self.slo_s
        near = self._better(first, second, -match, kv_use)
        return near if ttft[near] <= slo else self._better(first, second, ttft, kv_use)

    def _better(self, a: int, b: int, cost: Floats, kv_use: Observation) -> int:
        ranks = [(cost[worker], kv_use[worker]) for worker in (a, b)]
        return draw((a, b), self.random) if ranks[0] == ranks[1] else (a if ranks[0] < ranks[1] else b)

    def key(self, pages: list[int]) -> int:
        """The id of the last page of the prompt's beginning, which grows and shrinks with how often it comes."""
        depth = 0
        while depth + 1 < len(pages) and pages[depth] in self._grown:
            depth += 1
        if self._share(pages[depth]) >= _HOT:
            self._grown.add(pages[depth])
        if depth and self._share(pages[depth - 1]) < _COLD:
            self._grown.discard(pages[depth - 1])
        return pages[depth]

    def _share(self, key: int) -> float:
        """Counts a key; its share of those in the window, 0 while they are few."""
        self._window.append(key)
        self._counts[key] += 1
        if len(self._window) > _WINDOW:
            oldest = self._window.popleft()
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]
        return self._counts[key] / len(self._window) if len(self._window) >= _SAMPLES else 0.0
