"""The weighted sum of llm-d."""

from __future__ import annotations

from dataclasses import dataclass

from kvgym import _check

from ..base import Agent, Info, Observation, check_weights, lowest_at_random


@dataclass(kw_only=True, eq=False, repr=False)
class LlmD(Agent):
    """The endpoint picker of llm-d: the highest weighted sum of three scores in [0, 1], equals at random.

        score_i = prefix x matched blocks / blocks of the prompt
                + queue x (max queued - queued_i) / (max queued - min queued), 1 where all are equal
                + kv x (1 - share of KV memory in use)

    Source: llm-d/llm-d-inference-scheduler, pkg/epp/config/loader/defaults.go (weights) and
    pkg/epp/framework/plugins/scheduling (scorers prefix, queuedepth, kvcacheutilization; picker maxscore). The queue
    and the memory in use are engine metrics, as old as the scenario's metrics are.

    Args:
        prefix: Weight of the prefix score. The defaults 3, 2, 2 are those of defaults.go; 1, 1, 1 were the defaults of
            the Gateway API inference extension before its pull request 1827; 2, 1, 1 is llm-d's sample configuration
            for the precise prefix index.
        queue: Weight of the queue score.
        kv: Weight of the memory score.
        block_tokens: Tokens of a block of the prefix index (default 16).
        max_blocks: Blocks of a prompt that are compared (default 256).

    Raises:
        ValueError: If a weight is not a finite number >= 0, or a block number is not an integer >= 1.
    """

    prefix: float = 3.0
    queue: float = 2.0
    kv: float = 2.0
    block_tokens: int = 16
    max_blocks: int = 256

    def __post_init__(self) -> None:
        """Checks the arguments."""
        check_weights(self, "prefix", "queue", "kv")
        self.block_tokens = _check.whole("block_tokens", self.block_tokens, 1)
        self.max_blocks = _check.whole("max_blocks", self.max_blocks, 1)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        workers = self.legal_workers(info)
        match = observation[self.at["match"]].tolist()
        queued = observation[self.at["queued"]].tolist()
        kv_use = observation[self.at["kv_use"]].tolist()
        blocks = min(int(observation[self.at["prompt"]]) // self.block_tokens, self.max_blocks)
        most = max(queued[worker] for worker in workers)
        spread = most - min(queued[worker] for worker in workers)
        penalties = [0.0] * self.n_workers
        for worker in workers:
            # A prompt shorter than a block matches nothing.
            prefix = min(match[worker] // self.block_tokens, blocks) / blocks if blocks else 0.0
            queue = (most - queued[worker]) / spread if spread else 1.0
            penalties[worker] = -(self.prefix * prefix + self.queue * queue + self.kv * (1.0 - kv_use[worker]))
        self.scores = [-penalty for penalty in penalties]
        return lowest_at_random(penalties, workers, self.random)
