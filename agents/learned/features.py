"""What networks make of the features of observations, and the rule that some of them correct."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from kvgym.envs.features import LOGARITHMIC, WORKER, WORKER_FEATURES, Feature

MISS_WEIGHT, REQUEST_TOKENS, SPEED_POWER = 6.0, 100.0, 0.25
"""Of the rule that networks may correct, see `agents.learned.network.Shape`: the best of some that were tried on
validation seeds of the scenarios that the shipped router is trained on."""
WORK_SCALE = 1024.0
"""Tokens at which the logarithm of what the rule compares bends."""
PREFILL_SCALE, MISS_SCALE, INFLIGHT_SCALE = (
    float(WORKER_FEATURES[place].scale) for place in (WORKER.prefill, WORKER.miss, WORKER.inflight)
)
"""Where the logarithms of what it is made of bend: exp(x) - 1 of a feature x times its gain is in these units."""


def natural_gains(features: Iterable[Feature]) -> NDArray[np.float32]:
    """Factors that take scaled features to what networks see: natural logarithms where a feature is logarithmic.

    A doubling of a feature is then the same step for all of them.
    """
    return np.array([np.log1p(f.cap / f.scale) if f.transform == LOGARITHMIC else 1.0 for f in features], np.float32)
