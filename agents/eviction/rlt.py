"""Randomized Leaf Token eviction: the evictor of arXiv 2601.18999, which bounds what an unlucky order can cost.

The cache of a worker is a tree of tokens: a prompt is a path from the root, and prompts with a common beginning share
its nodes. A token is of use only with all tokens before it, so what may go are the leaves. LRU takes the oldest leaf,
and prompts that come in turn, one more than fit, make it miss every time: always the one needed next has just gone.
RLT takes a random leaf, but none that has been used lately. It works in phases:

    A token that is used or loaded is marked.
    To make room for a token:
        if there is no unmarked leaf:
            a new phase begins: all marks are cleared, but for the tokens of the request that wants room
        evict one of the unmarked leaves, drawn uniformly

This is the marking algorithm of Fiat et al. (Competitive paging algorithms, J. Algorithms 12, 1991), restricted to the
leaves of a tree. What it guarantees: on a worker that holds B tokens, for prompts of up to L tokens in any order fixed
beforehand, the expected number of misses is at most O(log(B - L)) times that of an evictor who knows the future; LRU
can be driven to B - L times. It promises nothing about the usual day, on which the order is nobody's enemy.

Marks and draws are the environment's business, not this agent's. Wherever pages are wanted it applies the rule of
phases, and slot K/2, the first of the second half, holds a leaf drawn uniformly from the unmarked ones. So RLT is to
choose that slot, for each page anew (`quantum=1`). A page is the token of the paper where `page_size` is 1. Where the
paper counts marks (a phase ends with the mark after the last that fits), the environment waits until no
unmarked leaf is left that no running request uses; docs/evictors.md has the details, and the form of the authors' code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..base import Info, Observation
from .base import EvictionAgent


class Rlt(EvictionAgent):
    """RLT: the leaf that was drawn first, one page at a time.

    Args:
        quantum: 1 is RLT. "leaf" lets the drawn leaf give up its whole tail, up to a branch, a locked or a marked page:
            a coarser draw, not covered by the guarantee, with far fewer decisions.

    Raises:
        ValueError: If `quantum` is neither.
    """

    draws = False

    def __init__(self, *, quantum: int | str = 1) -> None:
        """Checks the argument."""
        if quantum not in (1, "leaf"):
            raise ValueError(f'quantum must be 1 or "leaf", got {quantum!r}')
        # Two slots: the oldest leaf, which is not looked at, and the first draw. More would be offered in vain.
        self.env_kwargs: Mapping[str, Any] = {"action": "leaf", "candidates": 2, "quantum": quantum}

    def act(self, observation: Observation, info: Info) -> int:
        """See `EvictionAgent.act`."""
        return self.n_slots // 2
