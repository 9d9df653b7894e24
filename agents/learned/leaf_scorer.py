"""A small network that scores the leaves offered in an EVICT decision, in NumPy: no torch to play it.

Each leaf is scored by itself from what an observation says of it, of the mean leaf offered, and of what is wanted. The
weights are shared by all slots, so that a file plays with any number of them. Times are also given relative to the
idle time of the oldest leaf, which says how long pages stay here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.envs.features import CANDIDATE_FEATURES, EVICT_FEATURES
from kvgym.envs.layout import Layout

from . import arrays
from .features import natural_gains

Floats = NDArray[np.float32]

FORMAT = 1
_ABOUT = "about"
N_OWN = len(CANDIDATE_FEATURES) - 1  # all but "valid"
N_WANTED = len(EVICT_FEATURES) - 1  # all but the worker's number
_AT = {feature.name: place for place, feature in enumerate(CANDIDATE_FEATURES[1:])}
_TIMES = [_AT[name] for name in ("idle", "age", "reuse_gap", "session_idle")]
N_INPUTS = 2 * N_OWN + len(_TIMES) + 1 + N_WANTED
"""Inputs of the network for each leaf."""


_OWN_GAINS, _WANTED_GAINS = natural_gains(CANDIDATE_FEATURES[1:]), natural_gains(EVICT_FEATURES[1:])


class Inputs:
    """What the network is given of an observation.

    Args:
        layout: Of the observations, which are in scaled form.
    """

    def __init__(self, layout: Layout) -> None:
        """Finds the blocks."""
        block, self._wanted = layout.blocks["candidates"], layout.evict("need_pages")
        self._start, self._end, self._k = block.first, block.end, layout.n_candidates

    def __call__(self, observation: Floats) -> tuple[Floats, NDArray[np.int64]]:
        """Inputs of the leaves that are there.

        Args:
            observation: (size,) float32 in scaled form.

        Returns:
            (n, N_INPUTS) float32, and the slots that they are in, (n,) int64.
        """
        table = observation[self._start : self._end].reshape(self._k, -1)
        slots = np.flatnonzero(table[:, 0])
        out = np.empty((len(slots), N_INPUTS), np.float32)
        if not len(slots):
            return out, slots  # an episode in which nothing has to be evicted
        own = out[:, :N_OWN]
        np.multiply(table[slots, 1:], _OWN_GAINS, out=own)
        at = N_OWN
        out[:, at : at + N_OWN] = own.mean(0)
        at += N_OWN
        out[:, at : at + len(_TIMES)] = own[:, _TIMES] - own[0, _AT["idle"]]
        at += len(_TIMES)
        out[:, at] = own[:, _AT["recompute"]] - own[:, _AT["tail_pages"]]
        out[:, at + 1 :] = observation[self._wanted : self._wanted + N_WANTED] * _WANTED_GAINS
        return out, slots


@dataclass(frozen=True)
class LeafScorer:
    """A trained network.

    Attributes:
        weights: Per layer a matrix (inputs, outputs) and a bias (outputs,), float32; ReLU between them; the last layer
            has one output, higher for leaves that may go.
        mean: Of the inputs in training, (N_INPUTS,).
        deviation: Likewise.
        env_kwargs: What it asks of the environment.
        origin: What it was trained on.
    """

    weights: tuple[tuple[Floats, Floats], ...]
    mean: Floats
    deviation: Floats
    env_kwargs: Mapping[str, Any]
    origin: Mapping[str, Any]

    def __call__(self, inputs: Floats) -> Floats:
        """Scores of leaves: (n, N_INPUTS) -> (n,) float32."""
        x: Any = (inputs - self.mean) / self.deviation
        for matrix, bias in self.weights[:-1]:
            x = x @ matrix
            x += bias
            np.maximum(x, 0.0, out=x)
        matrix, bias = self.weights[-1]
        scores: Floats = (x @ matrix + bias)[:, 0]
        return scores

    def save(self, path: Path) -> None:
        """Writes a file; it is there whole or not at all."""
        about = {"format": FORMAT, "env_kwargs": dict(self.env_kwargs), "origin": dict(self.origin)}
        held: dict[str, Floats] = {"mean": self.mean, "deviation": self.deviation}
        for i, (matrix, bias) in enumerate(self.weights):
            held |= {f"w{i}": matrix, f"b{i}": bias}
        arrays.write(path, _ABOUT, about, held)


def read(path: Path) -> LeafScorer:
    """Reads a file.

    Raises:
        ValueError: If it is not what `LeafScorer.save` writes.
        OSError: If it can't be read.
    """
    about, held = arrays.read(path, _ABOUT, "a trained evictor")
    if about.get("format") != FORMAT or len(held["mean"]) != N_INPUTS:
        raise ValueError(f"{path} is not a trained evictor of format {FORMAT} with {N_INPUTS} inputs")
    weights = tuple((held[f"w{i}"], held[f"b{i}"]) for i in range(sum(name.startswith("w") for name in held)))
    return LeafScorer(weights, held["mean"], held["deviation"], about["env_kwargs"], about["origin"])
