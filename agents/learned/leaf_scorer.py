"""A small network that scores the leaves offered in an EVICT decision: no torch to play it.

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

from kvgym.envs.layout import Layout

from . import arrays, leaf_kernel
from .leaf_kernel import N_INPUTS

Floats = NDArray[np.float32]

FORMAT = 2
_ABOUT = "about"


class Inputs:
    """What the network is given of an observation.

    Args:
        layout: Of the observations, which are in scaled form.
    """

    def __init__(self, layout: Layout) -> None:
        """Finds the blocks."""
        self._first, self._wanted = layout.blocks["candidates"].first, layout.evict("need_pages")
        self._inputs = np.empty((layout.n_candidates, N_INPUTS), np.float32)
        self._slots = np.empty(layout.n_candidates, np.int64)

    def __call__(self, observation: Floats) -> tuple[Floats, NDArray[np.int64]]:
        """Inputs of the leaves that are there.

        Args:
            observation: (size,) float32 in scaled form.

        Returns:
            (n, N_INPUTS) float32, and the slots that they are in, (n,) int64; valid until the next call.
        """
        n = leaf_kernel.read(observation, self._first, self._wanted, self._inputs, self._slots)
        return self._inputs[:n], self._slots[:n]


@dataclass(frozen=True)
class LeafScorer:
    """A trained network.

    Attributes:
        weights: Of the two hidden layers and of the last one a matrix (inputs, outputs) and a bias (outputs,), float32;
            ReLU between them. The last layer has one output, the log odds that the leaf is asked for soon.
        env_kwargs: What it asks of the environment.
        origin: What it was trained on.
    """

    weights: tuple[tuple[Floats, Floats], ...]
    env_kwargs: Mapping[str, Any]
    origin: Mapping[str, Any]

    def __call__(self, inputs: Floats) -> Floats:
        """Scores of leaves that are offered together, higher for those that may go: (n, N_INPUTS) -> (n,) float32."""
        (first, bias), (second, second_bias), (last, last_bias) = self.weights
        out = np.empty(len(inputs), np.float32)
        leaf_kernel.score(inputs, first, bias, second, second_bias, last[:, 0], last_bias[0], out)
        return out

    def save(self, path: Path) -> None:
        """Writes a file; it is there whole or not at all."""
        about = {"format": FORMAT, "env_kwargs": dict(self.env_kwargs), "origin": dict(self.origin)}
        held = {
            f"{kind}{i}": value for i, layer in enumerate(self.weights) for kind, value in zip("wb", layer, strict=True)
        }
        arrays.write(path, _ABOUT, about, held)


def read(path: Path) -> LeafScorer:
    """Reads a file.

    Raises:
        ValueError: If it is not what `LeafScorer.save` writes.
        OSError: If it can't be read.
    """
    about, held = arrays.read(path, _ABOUT, "a trained evictor")
    if about.get("format") != FORMAT or len(held["w0"]) != N_INPUTS:
        raise ValueError(f"{path} is not a trained evictor of format {FORMAT} with {N_INPUTS} inputs")
    weights = tuple((held[f"w{i}"], held[f"b{i}"]) for i in range(3))
    return LeafScorer(weights, about["env_kwargs"], about["origin"])
