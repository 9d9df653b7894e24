"""Equal requests that share nothing: the plainest queueing system, for checks against known results."""

from __future__ import annotations

import numpy as np

from kvgym._check import whole
from kvgym.workload.arrivals import slotted_arrivals
from kvgym.workload.random import Seed
from kvgym.workload.workload import Workload


def equal_requests(
    seed: Seed,
    page_size: int,
    *,
    requests: int = 1000,
    prompt_tokens: int = 1024,
    output_tokens: int = 16,
    slot_s: float = 0.1,
    probability: float = 0.5,
) -> Workload:
    """Requests of one size without shared tokens, at slotted Bernoulli arrivals (see `slotted_arrivals`).

    Fewer requests are the first ones of more requests.

    Args:
        seed: an integer >= 0 or a SeedSequence.
        page_size: tokens per page.
        requests: number of requests.
        prompt_tokens: prompt length.
        output_tokens: output length.
        slot_s: length of a slot in seconds, > 0.
        probability: of an arrival at a slot's boundary, in (0, 1].

    Raises:
        ValueError: for an argument outside these.
    """
    whole("requests", requests, 1)
    whole("prompt_tokens", prompt_tokens, 1)
    return Workload.from_segments(
        np.arange(requests + 1),
        np.arange(requests),
        np.zeros(requests, np.int64),
        np.full(requests, prompt_tokens),
        np.full(requests, whole("output_tokens", output_tokens, 1)),
        slotted_arrivals(seed, requests, slot_s, probability),
        page_size,
        name="equal_requests",
    )
