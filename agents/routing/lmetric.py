"""The product rule of LMetric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..base import AGES, Agent, Info, Observation, Range, check_age


@dataclass(kw_only=True, eq=False, repr=False)
class LMetric(Agent):
    """Lowest product of pending prefill and batch size; the lowest index of equals. It has no constant to tune.

        score_i = (prefill_i + miss_i) x (inflight_i + 1)

    prefill_i are the estimated misses of the requests without a first token, miss_i those of this request. The paper
    (LMetric, arXiv 2603.15202) multiplies by the batch size itself; the + 1, as in the "lmetric" mode of NVIDIA
    Dynamo's router, keeps idle workers apart, whose scores would all be 0.

    Args:
        max_age_s: A match that was sent longer ago than that counts as cold; None: none does (default, as the paper).
    """

    draws = False
    tunable: ClassVar[Mapping[str, Range]] = {"max_age_s": AGES}
    max_age_s: float | None = None

    def __post_init__(self) -> None:
        """Checks the argument."""
        check_age(self)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        work = self.column(observation, "prefill") + self.misses(observation, self.max_age_s)
        return self.cheapest(work * (self.column(observation, "inflight") + 1.0), info)[0]
