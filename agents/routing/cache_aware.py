"""The cache-aware rule of SGLang's router."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym

from kvgym import _check

from ..base import Agent, Info, Observation, Range, check_weights
from .prefix_tree import Characters, PrefixTree, runs

ON_MISS = ("smallest_tree", "least_loaded")
OWNERS = ("arbitrary", "creator", "least_loaded")


@dataclass(frozen=True)
class Constants:
    """A set of defaults of the rule, see the arguments of `CacheAware`."""

    threshold: float
    balance_abs: float
    balance_rel: float
    max_tree_size: float
    trim_period_s: float
    on_miss: str
    owner: str


VARIANTS = {
    # sgl-router of SGLang 0.4.6, as in fzwark/KVRouting (fc3b2a16): the rule that arXiv 2601.18999 compares with.
    "sglang-0.4": Constants(0.5, 32, 1.0001, 2**24, 60.0, "smallest_tree", "arbitrary"),
    # Its later homes, as their command lines start them; who is the owner was seen in decisions of the real routers.
    "sglang-router-0.3.2": Constants(0.3, 64, 1.5, 67_108_864, 60.0, "least_loaded", "creator"),
    "smg-1.13": Constants(0.3, 64, 1.5, 67_108_864, 60.0, "least_loaded", "least_loaded"),
    # The same where no command line is used: CacheAwareConfig::default.
    "smg-struct": Constants(0.5, 32, 1.1, 10_000, 30.0, "least_loaded", "least_loaded"),
}


class CacheAware(Agent):
    """Cache-aware routing of SGLang's router, with a prefix tree of its own.

    1. If max - min > balance_abs and max > balance_rel x min of the requests in flight: the fewest in flight.
    2. Else, if matched / total characters of the prompt > threshold: the owner of the deepest matched node. Of the
       workers that were sent a prompt through it that is "arbitrary": any, but always the same one; "creator": the
       first; "least_loaded": the one with the fewest in flight, then the lowest index.
    3. Else, "smallest_tree": the worker that was sent the fewest distinct characters; "least_loaded": the fewest in
       flight.

    The prompt is then noted for the worker. Fewest in flight: equals by index, in sglang-0.4 by requests sent before.
    The tree hears neither of evictions nor of the warm-up. In sglang-0.4 a worker that goes down is removed from the
    tree, and begins again with nothing when it is back. Later forms keep it; where the owner is down, the first worker
    that is up takes the request, and nothing is noted.

    The router compares characters, not tokens, so a prompt whose shared part is half of its tokens passes a threshold
    of 0.5 by the luck of how long its tokens are. Here the characters of a token are normal with
    `characters_per_token` and `characters_sd`; a page always has the same, and tokens after the last full page count
    with the mean.

    Source: sgl-router/src/router.rs and tree.rs of SGLang 0.4.6 (sgl-project/sglang) and, for the later forms,
    lightseekorg/smg, model_gateway/src/policies/cache_aware.rs (10533210; pull request 2161 for the least loaded).

    Args:
        variant: Where the defaults below come from: one of `VARIANTS`.
        threshold: Share of the prompt's characters above which a match counts; None: the variant's.
        balance_abs: See 1; None: the variant's.
        balance_rel: See 1; None: the variant's.
        max_tree_size: Characters of a worker to which the tree is trimmed; None: the variant's.
        trim_period_s: The tree is trimmed at multiples of this; None: the variant's.
        on_miss: See 3: "smallest_tree" or "least_loaded"; None: the variant's.
        owner: See 2: "arbitrary", "creator" or "least_loaded"; None: the variant's.
        characters_per_token: Mean; 6 is about what random tokens of a large vocabulary have (an assumption).
        characters_sd: Standard deviation; any value above 0 has the effect described (3 is an assumption).

    Raises:
        ValueError: If an argument is not as described.
    """

    tunable: ClassVar[Mapping[str, Range]] = {
        "threshold": (0.05, 0.95),
        "balance_abs": (1.0, 128.0, "log"),
        "balance_rel": (1.0, 4.0),
        "on_miss": list(ON_MISS),
        "owner": list(OWNERS),
    }

    def __init__(
        self,
        *,
        variant: str = "sglang-0.4",
        threshold: float | None = None,
        balance_abs: float | None = None,
        balance_rel: float | None = None,
        max_tree_size: float | None = None,
        trim_period_s: float | None = None,
        on_miss: str | None = None,
        owner: str | None = None,
        characters_per_token: float = 6.0,
        characters_sd: float = 3.0,
    ) -> None:
        """Checks the arguments."""
        base = VARIANTS[_check.choice("variant", variant, VARIANTS)]
        self.threshold = _check.finite("threshold", base.threshold if threshold is None else threshold, 0.0, 1.0)
        self.balance_abs = base.balance_abs if balance_abs is None else balance_abs
        self.balance_rel = base.balance_rel if balance_rel is None else balance_rel
        self.max_tree_size = base.max_tree_size if max_tree_size is None else max_tree_size
        self.trim_period_s = base.trim_period_s if trim_period_s is None else trim_period_s
        self.on_miss = _check.choice("on_miss", base.on_miss if on_miss is None else on_miss, ON_MISS)
        self.owner = _check.choice("owner", base.owner if owner is None else owner, OWNERS)
        self._first_form = variant == "sglang-0.4"
        self.characters_per_token = _check.finite("characters_per_token", characters_per_token, 1.0)
        self.characters_sd = characters_sd
        check_weights(self, "balance_abs", "balance_rel", "max_tree_size", "trim_period_s", "characters_sd")
        if self.trim_period_s == 0.0:
            raise ValueError("trim_period_s must be > 0, got 0")

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._page_size: int = self.env.scenario.engine.page_size
        lengths = self.random.getrandbits(32)
        self._characters = Characters(self.characters_per_token, self.characters_sd, self._page_size, lengths)
        draws = self.random if self.owner == "arbitrary" else None
        self.tree = PrefixTree(self.n_workers, self._characters, draws)
        self._trims = 0

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        trims = int(info["time"] / self.trim_period_s)
        if trims > self._trims:
            self._trims = trims
            self.tree.trim(self.max_tree_size)
        for fallen in self.fallen(info) if self._first_form else ():
            self.tree.remove(fallen)
        workers = self.legal_workers(info)
        inflight = observation[self.at["inflight"]].tolist()
        prompt = runs(self.env.prompt_pages())
        worker: int | None = None
        if not self._imbalanced([inflight[worker] for worker in workers]):
            up = set(workers)
            load = None if self.owner != "least_loaded" else lambda holder: (holder not in up, inflight[holder], holder)
            matched, owner = self.tree.match(prompt, load)
            if owner is not None and matched / self._total(prompt, observation) > self.threshold:
                if owner not in up:
                    return workers[0]
                worker = owner
            elif self.on_miss == "smallest_tree":
                worker = min(workers, key=self.tree.sizes.__getitem__)
        if worker is None:
            first = observation[self.at["n_sent"]].tolist() if self._first_form else range(self.n_workers)
            worker = min(workers, key=lambda worker: (inflight[worker], first[worker], worker))
        self.tree.insert(prompt, worker)
        return worker

    def _imbalanced(self, loads: list[float]) -> bool:
        low, high = min(loads), max(loads)
        return high - low > self.balance_abs and high > self.balance_rel * low

    def _total(self, prompt: list[tuple[int, int]], observation: Observation) -> float:
        """Characters of the prompt."""
        rest = int(observation[self.at["prompt"]]) - self._page_size * sum(count for _, count in prompt)
        return sum(self._characters.of(*run) for run in prompt) + rest * self.characters_per_token
