"""The endpoint picker of llm-d."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from kvgym import _check

from ..base import DECISION, Agent, Floats, Info, Observation, Range, check_weights, draw, least, most
from .prompt_index import PromptIndex

VIEWS = ("own", "scenario")


@dataclass(kw_only=True, eq=False, repr=False)
class LlmD(Agent):
    """The endpoint picker of llm-d: the highest weighted sum of three scores in [0, 1], equals at random.

        score_i = prefix x matched blocks / blocks of the prompt
                + queue x (max queued - queued_i) / (max queued - min queued), 1 where all are equal
                + kv x (1 - share of KV memory in use)

    Source: llm-d/llm-d-inference-scheduler (520af478), pkg/epp/config/loader/defaults.go (weights) and
    pkg/epp/framework/plugins/scheduling (scorers prefix, queuedepth, kvcacheutilization; picker maxscore). The queue
    and the memory in use are engine metrics, as old as the scenario's metrics are.

    The index of blocks is the router's own: it notes what it sends where and keeps, of each worker, as many blocks as
    the worker's memory has, as llm-d does where a pod reports its blocks; of a prompt, the first blocks are forgotten
    first. A block of a prompt that is not full counts as one; of a last page that is not full nothing can match.

    Args:
        prefix: Weight of the prefix score. The defaults 3, 2, 2 are those of defaults.go; 1, 1, 1 were the defaults of
            the Gateway API inference extension before its pull request 1827; 2, 1, 1 is llm-d's sample configuration
            for the precise prefix index.
        queue: Weight of the queue score.
        kv: Weight of the memory score.
        block_tokens: Tokens of a block of the prefix index (default 16).
        max_blocks: Blocks of a prompt that are looked at (default 256: 16,384 bytes, four a token).
        view: "own": the index above (default); "scenario": what the scenario shows of the caches.

    Raises:
        ValueError: If a weight is not a finite number >= 0, a block number is not an integer >= 1, or there is no such
            view.
    """

    tunable: ClassVar[Mapping[str, Range]] = {
        "prefix": (0.1, 10.0, "log"),
        "queue": (0.1, 10.0, "log"),
        "kv": (0.1, 10.0, "log"),
    }
    prefix: float = 3.0
    queue: float = 2.0
    kv: float = 2.0
    block_tokens: int = 16
    max_blocks: int = 256
    view: str = "own"

    def __post_init__(self) -> None:
        """Checks the arguments."""
        check_weights(self, "prefix", "queue", "kv")
        self.block_tokens = _check.whole("block_tokens", self.block_tokens, 1)
        self.max_blocks = _check.whole("max_blocks", self.max_blocks, 1)
        _check.choice("view", self.view, VIEWS)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.index = None
        if self.view == "own":
            page = self.env.scenario.engine.page_size
            sizes = [worker.kv_pages * page for worker in self.env.scenario.cluster.workers]
            self.index = PromptIndex(self.env, self.block_tokens, sizes, most_blocks=self.max_blocks)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        match = self.matched(observation, self.fallen(info))
        queued = self.column(observation, "queued")
        legal = queued if self.all_up(info) else queued[self.up(info)]
        longest = most(legal)
        spread = longest - least(legal)
        queue = (longest - queued) / spread if spread else 1.0
        costs = -(self.prefix * match + self.queue * queue + self.kv * (1.0 - self.column(observation, "kv_use")))
        return self.sent(draw(self.cheapest(costs, info), self.random))

    def matched(self, observation: Observation, gone: list[int]) -> Floats:
        """Share of the prompt's blocks that each worker has: float64 (n_workers,)."""
        tokens = self.column(observation, "match") if self.index is None else self.index.look_up(gone)
        whole = np.ceil if self.index is not None else np.floor  # only the own index has blocks that are not full
        blocks = min(np.ceil(float(observation[self.at["prompt"]]) / self.block_tokens), self.max_blocks)
        share: Floats = np.minimum(whole(tokens / self.block_tokens), blocks) / blocks
        return share

    def sent(self, worker: int) -> int:
        """Notes where the prompt goes."""
        if self.index is not None:
            self.index.add(worker)
        return worker


_MOST_TOKENS = 4_194_304


@dataclass(kw_only=True, eq=False, repr=False)
class LlmDAgentic(LlmD):
    """llm-d's agentic profile: of the workers that have most of the prompt, the one with the fewest tokens in flight.

    Filter: workers with at least `affinity` of the prompt's blocks, all if there is none, and with probability
    `explore` all nevertheless. Score: 1 - min(tokens_i, 4,194,304) / 4,194,304, where each request in flight has its
    prompt and 1.5 times as many tokens for its answer; equals at random.

    Source: llm-d/llm-d-inference-scheduler (520af478), plugins prefix-affinity filter and token-load scorer; llm-d
    issue 1867. There the filter lets go where its latency predictor expects a first token 5 s earlier elsewhere: that
    predictor, trees learned online, is not here. The index is that of `LlmD`; the weights are without effect.

    Args:
        affinity: See above (default 0.8).
        explore: See above (default 0.01).
    """

    tunable: ClassVar[Mapping[str, Range]] = {"affinity": (0.05, 1.0), "explore": (0.0, 0.2)}
    affinity: float = 0.8
    explore: float = 0.01

    def __post_init__(self) -> None:
        """Checks the arguments."""
        super().__post_init__()
        self.affinity = _check.finite("affinity", self.affinity, 0.0, 1.0)
        self.explore = _check.finite("explore", self.explore, 0.0, 1.0)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.tokens = np.zeros(self.n_workers)
        self._sent: dict[int, tuple[int, float]] = {}
        self._decisions = 0

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        for row in self.env.finished().tolist():
            worker, tokens = self._sent.pop(int(row[DECISION]), (0, 0.0))  # none of those of the warm-up
            self.tokens[worker] -= tokens
        gone = self.fallen(info)
        for worker in gone:
            self.tokens[worker] = 0.0
            self._sent = {decision: sent for decision, sent in self._sent.items() if sent[0] != worker}
        near = self.matched(observation, gone) >= self.affinity
        if not self.all_up(info):
            near &= self.up(info)
        costs = np.minimum(self.tokens, _MOST_TOKENS) / _MOST_TOKENS - 1.0
        if most(near) and self.random.random() >= self.explore:
            costs = np.where(near, costs, 1.0)
        worker = draw(self.cheapest(costs, info), self.random)
        self._sent[self._decisions] = worker, 2.5 * float(observation[self.at["prompt"]])
        self.tokens[worker] += self._sent[self._decisions][1]
        self._decisions += 1
        return self.sent(worker)
