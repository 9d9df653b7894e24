"""Service classes: what requests are promised, which go first, what a refusal costs; docs/semantics.md#w1-classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvgym import _check
from kvgym.workload.checks import MAX_INT32, MAX_SECONDS
from kvgym.workload.random import Stream

MOST_CLASSES = 16
"""Observations have room for so many."""


@dataclass(frozen=True)
class ServiceClass:
    """A service class; a workload names it by its number, the place in the list of classes.

    Attributes:
        name: Its name in metrics, without "/".
        slo_ttft_s: Target for the time to first token, 0 = none.
        slo_tpot_s: Target for the mean time per output token after the first, 0 = none.
        priority: The lower one goes first, in engines with a queue by priority.
        refusal_cost_s: Request seconds that a refusal costs.
        share: Weight with which sessions are of this class, beside those of the others; None: the workload says which
            are.

    Raises:
        ValueError: If a field is not as described.
    """

    name: str
    slo_ttft_s: float = 0.0
    slo_tpot_s: float = 0.0
    priority: int = 0
    refusal_cost_s: float = 0.0
    share: float | None = None

    def __post_init__(self) -> None:
        """Checks the fields."""
        if "/" in _check.string("name of a service class", self.name):
            raise ValueError(f"name of a service class must be without '/', got {self.name!r}")
        for field in ("slo_ttft_s", "slo_tpot_s", "refusal_cost_s"):
            object.__setattr__(self, field, _check.finite(field, getattr(self, field), maximum=MAX_SECONDS))
        object.__setattr__(self, "priority", _check.whole("priority", self.priority, -MAX_INT32))
        if self.priority > MAX_INT32:
            raise ValueError(f"priority must be at most {MAX_INT32}, got {self.priority}")
        if self.share is not None:
            object.__setattr__(self, "share", _check.finite("share", self.share))

    @property
    def has_target(self) -> bool:
        """Whether its requests can miss anything."""
        return self.slo_ttft_s > 0 or self.slo_tpot_s > 0


def check_classes(classes: Iterable[ServiceClass]) -> tuple[ServiceClass, ...]:
    """The classes as a tuple.

    Raises:
        ValueError: If one is no ServiceClass, there are more than `MOST_CLASSES`, two have one name, or some have a
            share and others none, or all shares are 0.
    """
    found = tuple(classes)
    for one in found:
        if not isinstance(one, ServiceClass):
            raise ValueError(f"classes must be ServiceClass objects, got {one!r}")
    names = [one.name for one in found]
    if len(found) > MOST_CLASSES:
        raise ValueError(f"classes must be at most {MOST_CLASSES}, got {len(found)}: {', '.join(names)}")
    if len(set(names)) < len(names):
        raise ValueError(f"classes must have different names, got {', '.join(names)}")
    shares = {one.name: one.share for one in found}
    given = [share for share in shares.values() if share is not None]
    if given and (len(given) < len(found) or sum(given) == 0):
        raise ValueError(f"shares of classes must be given for all, and above 0 for one, or for none; got {shares}")
    return found


def draw_classes(
    classes: Sequence[ServiceClass], sessions: NDArray[np.int32], seed: np.random.SeedSequence, kind: int
) -> NDArray[np.int32]:
    """The classes of requests, drawn by their shares: a session keeps its class.

    Args:
        classes: Classes with shares.
        sessions: (n,) session of each request.
        seed: Of the workload; the draws are its stream `kind`, those of a session whatever sessions there are besides.
        kind: Number of the stream.

    Returns:
        (n,) int32 numbers of classes.
    """
    edges = np.cumsum([one.share or 0.0 for one in classes])
    drawn = Stream(seed, kind).uniform(int(sessions.max()) + 1)[sessions] * edges[-1]
    numbers: NDArray[np.int32] = np.searchsorted(edges, drawn, side="right").astype(np.int32)
    return numbers
