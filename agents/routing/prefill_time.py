"""How long workers take to compute a prompt, for rules that compare seconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base import Floats

_SHORT, _LONG = 1024, 8192


class PrefillTime:
    """Seconds of prefills by worker, from the costs of the cluster, as production routers fit them to measurements.

    A prefill of n tokens after h known ones takes slope n + attention n (h + (n + 1) / 2): the slope is that of an
    iteration's duration from 1,024 to 8,192 tokens, which leaves out what an iteration costs by itself.

    Args:
        env: The environment, or the view of it.
    """

    def __init__(self, env: Any) -> None:
        """Reads the costs."""
        costs = [worker.cost for worker in env.scenario.cluster.workers]
        self.slope: Floats = np.array(
            [(cost.seconds(_LONG, 1, 0, 0, 0) - cost.seconds(_SHORT, 1, 0, 0, 0)) / (_LONG - _SHORT) for cost in costs]
        )
        self.attention: Floats = np.array([cost.a_s * 1e-3 for cost in costs])

    def of_tokens(self, tokens: Floats) -> Floats:
        """Seconds of as many tokens in short prompts, without attention: float64 (n_workers,)."""
        return self.slope * tokens

    def of(self, tokens: Floats, known: Floats) -> Floats:
        """Seconds of a prefill of `tokens` after `known` ones: float64 (n_workers,)."""
        return self.slope * tokens + self.attention * tokens * (known + (tokens + 1.0) / 2.0)
