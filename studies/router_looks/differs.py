"""What the router does differently from rules, on the states that it brings about itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from kvgym.envs.layout import Layout

from .watch import SCENARIOS, watch

RULES = ("lmetric", "lbgr", "lbgr_code", "mooncake")
FEATURES = {"match": "+,.0f", "prefill": "+,.0f", "inflight": "+.1f", "speed": "+.2f"}
"""What is compared, and how it is printed."""


def agreement(network: str, seeds: Sequence[int]) -> str:
    """A table: the share of decisions that are a rule's, too, and means of chosen less advised where they are not.

    A rule that remembers its own decisions believes that its advice was taken.
    """
    rows = []
    for name in SCENARIOS:
        played = [watch(network, name, seed, advisers=RULES) for seed in seeds]
        layout = played[0].layout
        seen = layout.physical(np.concatenate([one.seen for one in played]))
        own, advice = (np.concatenate([getattr(one, what) for one in played]) for what in ("actions", "advice"))
        for rule, said in zip(RULES, advice.T, strict=True):
            at = np.flatnonzero(said != own)
            more = [
                np.mean(seen[at, _places(layout, one, own[at])] - seen[at, _places(layout, one, said[at])])
                for one in FEATURES
            ]
            rows.append(
                [
                    name,
                    f"`{rule}`",
                    f"{1 - len(at) / len(own):.0%}",
                    *(format(x, how) for x, how in zip(more, FEATURES.values(), strict=True)),
                ]
            )
    heads = ["scenario", "rule", "the same", *(f"`{one}`" for one in FEATURES)]
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True)


def _places(layout: Layout, feature: str, workers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where a feature of one worker stands, for each of some decisions."""
    return np.arange(layout.size)[layout.workers(feature)][workers]
