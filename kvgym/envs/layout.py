"""Places of the features in an observation.

An observation is one flat float32 vector: the request block, a block per worker, where pages may be fetched another one
per worker, and where leaves are to be evicted a block that says what is wanted and a block per candidate.
`kvgym.envs.features` says what they hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from kvgym import _check
from kvgym.envs.features import (
    CANDIDATE_FEATURES,
    DECISION_FEATURES,
    EVICT_FEATURES,
    FETCH_FEATURES,
    IDENTITY,
    LINEAR,
    LOGARITHMIC,
    N_CANDIDATE,
    N_EVICT,
    N_FETCH,
    N_WORKER,
    REQUEST_FEATURES,
    WORKER_FEATURES,
    Feature,
)
from kvgym.envs.kernels.codes import EVICTS, FETCHES, ROUTES, SCALED

FORMS = ("scaled", "physical")


@dataclass(frozen=True)
class Layout:
    """Places of the features in an observation.

    Attributes:
        n_workers: Number of worker blocks.
        routes: The agent takes ROUTE decisions.
        evicts: The agent takes EVICT decisions: there is a block that says what is wanted.
        n_candidates: Number of candidate blocks.
        fetches: Pages may be fetched from other workers: there is a block per worker that says which.
    """

    n_workers: int
    routes: bool = True
    evicts: bool = False
    n_candidates: int = 0
    fetches: bool = False

    def of_router(self) -> Layout:
        """The layout of the agent that takes the ROUTE decisions alone."""
        return replace(self, routes=True, evicts=False, n_candidates=0)

    def of_evictor(self) -> Layout:
        """The layout of the agent that takes the EVICT decisions alone."""
        return replace(self, routes=False, evicts=True)

    @cached_property
    def request_features(self) -> tuple[Feature, ...]:
        """The request block; it says which decision is due if there are two kinds."""
        return (DECISION_FEATURES if self.routes and self.evicts else ()) + REQUEST_FEATURES

    @property
    def size(self) -> int:
        """Length of an observation."""
        return self._evict_start + self.evicts * N_EVICT + self.n_candidates * N_CANDIDATE

    @property
    def _fetch_start(self) -> int:
        return len(self.request_features) + self.n_workers * N_WORKER

    @property
    def _evict_start(self) -> int:
        return self._fetch_start + self.fetches * self.n_workers * N_FETCH

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The feature at each position."""
        wanted = EVICT_FEATURES * self.evicts + CANDIDATE_FEATURES * self.n_candidates
        fetched = FETCH_FEATURES * (self.fetches * self.n_workers)
        return self.request_features + WORKER_FEATURES * self.n_workers + fetched + wanted

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each position: "prompt", .., "w0.up", .., "need_pages", .., "c0.valid", .."""
        workers = [f"w{w}.{feature.name}" for w in range(self.n_workers) for feature in WORKER_FEATURES]
        fetched = [f"w{w}.{feature.name}" for w in range(self.n_workers * self.fetches) for feature in FETCH_FEATURES]
        wanted = [feature.name for feature in EVICT_FEATURES * self.evicts]
        candidates = [f"c{c}.{feature.name}" for c in range(self.n_candidates) for feature in CANDIDATE_FEATURES]
        return (*(feature.name for feature in self.request_features), *workers, *fetched, *wanted, *candidates)

    def request(self, name: str) -> int:
        """Position of a request feature.

        Raises:
            ValueError: If there is no such feature; the message lists those that exist.
        """
        return _place(name, self.request_features)

    def workers(self, name: str) -> slice:
        """Positions of a worker feature: a slice that gives it for all workers, in their order.

        Raises:
            ValueError: If there is no such feature; the message lists those that exist.
        """
        fetched = [feature.name for feature in FETCH_FEATURES * self.fetches]
        if name in fetched:
            return slice(self._fetch_start + fetched.index(name), self._evict_start, N_FETCH)
        return slice(len(self.request_features) + _place(name, WORKER_FEATURES), self._fetch_start, N_WORKER)

    def evict(self, name: str) -> int:
        """Position of a feature of what is to be evicted.

        Raises:
            ValueError: If there is no such feature; the message lists those that exist.
        """
        return self._evict_start + _place(name, EVICT_FEATURES * self.evicts)

    def candidates(self, name: str) -> slice:
        """Positions of a candidate feature: a slice that gives it for all slots, in their order.

        Raises:
            ValueError: If there is no such feature; the message lists those that exist.
        """
        first = self._evict_start + N_EVICT + _place(name, CANDIDATE_FEATURES if self.n_candidates else ())
        return slice(first, self.size, N_CANDIDATE)

    def bits(self, form: str) -> int:
        """The blocks, and a form of observations, as kernels want them: bits of `kernels.codes`."""
        scaled = _check.choice("observation", form, FORMS) == "scaled"
        return SCALED * scaled + ROUTES * self.routes + EVICTS * self.evicts + FETCHES * self.fetches

    def space(self, form: str) -> spaces.Box:
        """The observation space of a form: finite bounds; those of "physical" never bind."""
        if _check.choice("observation", form, FORMS) == "physical":
            high: Any = np.full(self.size, np.finfo(np.float32).max, np.float32)
        else:
            high = np.array([f.cap if f.transform == IDENTITY else 1.0 for f in self.features], np.float32)
        return spaces.Box(np.zeros(self.size, np.float32), high, dtype=np.float32)

    def physical(self, scaled: NDArray[np.float32]) -> NDArray[np.float64]:
        """Undoes the scaling of an observation, up to float32 rounding and clipping."""
        transform, scale, cap, top = self._scaling
        x = np.asarray(scaled, np.float64)
        logarithmic = scale * np.expm1(x * top)
        return np.where(transform == LOGARITHMIC, logarithmic, np.where(transform == LINEAR, x * cap, x))

    def scaled(self, physical: NDArray[np.float32]) -> NDArray[np.float32]:
        """The scaled form of a physical observation, up to float32 rounding."""
        transform, scale, cap, top = self._scaling
        logarithms = np.log1p(physical / scale) / top
        bounded = np.minimum(np.where(transform == LOGARITHMIC, logarithms, physical / cap), 1.0)
        return np.where(transform == IDENTITY, physical, bounded).astype(np.float32)

    @cached_property
    def _scaling(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Per position: transform, scale, cap, and the logarithm that stands for 1."""
        scale, cap = (np.array([getattr(f, name) for f in self.features]) for name in ("scale", "cap"))
        return np.array([f.transform for f in self.features]), scale, cap, np.log1p(cap / scale)


def _place(name: str, features: tuple[Feature, ...]) -> int:
    names = [feature.name for feature in features]
    return names.index(_check.choice("name", name, names))
