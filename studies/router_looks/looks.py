"""Which features matter: J when one of them is what it was in another decision, over J as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tabulate import tabulate

from agents.base import Observation
from kvgym.envs.features import WORKER_FEATURES
from kvgym.evaluation.statistics import Interval, ratio

from .watch import OTHER, SCENARIOS, Written, watch


def importance(network: str, seeds: Sequence[int]) -> str:
    """A table of features and scenarios, the features that matter most first.

    It is taken from a decision of another episode; that of the workers from all workers of one, shuffled.
    """
    factors: dict[str, list[Interval]] = {}
    for name in SCENARIOS:
        plain = np.array([watch(network, name, seed).J for seed in seeds])
        other = watch(network, name, OTHER)
        places: dict[str, Any] = {f"request's {one.name}": i for i, one in enumerate(other.layout.request_features)}
        places |= {one.name: other.layout.workers(one.name) for one in WORKER_FEATURES}
        for feature, place in places.items():
            J = [_blurred(network, name, seed, other, place) for seed in seeds]
            factors.setdefault(feature, []).append(ratio(np.array(J), plain))
    ordered = sorted(factors, key=lambda one: -np.mean([np.log(found.mean) for found in factors[one]]))
    rows = [[f"`{one}`", *(f"{found.mean:.2f}" for found in factors[one])] for one in ordered]
    return tabulate(rows, ["feature", *SCENARIOS], tablefmt="github", disable_numparse=True)


def _blurred(network: str, name: str, seed: int, other: Written, place: Any) -> float:
    random = np.random.default_rng(seed)

    def change(observation: Observation) -> None:
        there = other.seen[random.integers(len(other.seen))][place]
        observation[place] = random.permutation(there) if isinstance(place, slice) else there

    return watch(network, name, seed, change).J
