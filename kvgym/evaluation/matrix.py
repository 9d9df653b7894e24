"""Scores of routers x evictors: a row for each router, a column for each evictor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tabulate import tabulate


@dataclass(frozen=True)
class Axes:
    """Who stands where in a matrix.

    Attributes:
        routers: Its rows, by `Player.agent`.
        evictors: Its columns, by `Player.evictor`.
    """

    routers: tuple[str, ...]
    evictors: tuple[str, ...]


def matrix(axes: Axes, scores: Mapping[tuple[str, str], float], style: str) -> str:
    """A table of scores, "-" where there is none.

    Args:
        axes: Its rows and columns.
        scores: By (router, evictor).
        style: See tabulate.
    """
    rows = [[router, *(_cell(scores.get((router, evictor))) for evictor in axes.evictors)] for router in axes.routers]
    align = ["left", *("right" for _ in axes.evictors)]
    return tabulate(rows, ["score", *axes.evictors], style, disable_numparse=True, colalign=align)


def _cell(score: float | None) -> str:
    return "-" if score is None else f"{score:.0f}"
