"""Places of the features in an observation: one flat float32 vector, made of blocks of `kvgym.envs.features`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from kvgym import _check
from kvgym.envs import features as table
from kvgym.envs.features import IDENTITY, LINEAR, LOGARITHMIC, Feature
from kvgym.envs.kernels.codes import EVICTS, FETCHES, ROUTES, SCALED

FORMS = ("scaled", "physical")


@dataclass(frozen=True)
class Block:
    """A block of an observation, as often as it is there.

    Attributes:
        first: Where it begins.
        count: How often it is there, once for each worker or candidate; 0: not at all.
        features: Its features.
        prefix: Of their names, before the number of the worker or candidate; "": there is one block.
    """

    first: int
    count: int
    features: tuple[Feature, ...]
    prefix: str = ""

    @property
    def end(self) -> int:
        """Where the next block begins."""
        return self.first + self.count * len(self.features)

    @property
    def shape(self) -> tuple[int, ...]:
        """(features,), or (workers or candidates, features)."""
        return (self.count, len(self.features)) if self.prefix else (len(self.features),)

    def names(self) -> list[str]:
        """The name at each of its positions."""
        numbers = [f"{self.prefix}{i}." for i in range(self.count)] if self.prefix else [""] * self.count
        return [number + feature.name for number in numbers for feature in self.features]

    def place(self, name: str) -> slice:
        """Positions of a feature: once for each worker or candidate."""
        names = [feature.name for feature in self.features] if self.count else []
        return slice(self.first + names.index(_check.choice("name", name, names)), self.end, len(self.features))


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
    def blocks(self) -> dict[str, Block]:
        """The blocks by name, in their order; those that are not there, too."""
        kinds: tuple[tuple[str, int, tuple[Feature, ...], str], ...] = (
            ("decision", self.routes and self.evicts, table.DECISION_FEATURES, ""),
            ("request", 1, table.REQUEST_FEATURES, ""),
            ("workers", self.n_workers, table.WORKER_FEATURES, "w"),
            ("fetch", self.n_workers * self.fetches, table.FETCH_FEATURES, "w"),
            ("evict", self.evicts, table.EVICT_FEATURES, ""),
            ("candidates", self.n_candidates, table.CANDIDATE_FEATURES, "c"),
        )
        blocks, first = {}, 0
        for name, count, features, prefix in kinds:
            blocks[name] = Block(first, int(count), features, prefix)
            first = blocks[name].end
        return blocks

    @cached_property
    def request_features(self) -> tuple[Feature, ...]:
        """The request block; it says which decision is due if there are two kinds."""
        return self.features[: self.blocks["request"].end]

    @cached_property
    def size(self) -> int:
        """Length of an observation."""
        return self.blocks["candidates"].end

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The feature at each position."""
        return sum((block.features * block.count for block in self.blocks.values()), ())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each position: "prompt", .., "w0.up", .., "need_pages", .., "c0.valid", .."""
        return tuple(name for block in self.blocks.values() for name in block.names())

    # A name that is not known raises a ValueError that lists those that exist.

    def request(self, name: str) -> int:
        """Position of a request feature."""
        names = [feature.name for feature in self.request_features]
        return names.index(_check.choice("name", name, names))

    def workers(self, name: str) -> slice:
        """Positions of a worker feature: a slice that gives it for all workers, in their order."""
        is_fetched = any(feature.name == name for feature in table.FETCH_FEATURES * self.fetches)
        return self.blocks["fetch" if is_fetched else "workers"].place(name)

    def evict(self, name: str) -> int:
        """Position of a feature of what is to be evicted."""
        return int(self.blocks["evict"].place(name).start)

    def candidates(self, name: str) -> slice:
        """Positions of a candidate feature: a slice that gives it for all slots, in their order."""
        return self.blocks["candidates"].place(name)

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
