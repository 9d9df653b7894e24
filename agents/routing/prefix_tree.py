"""A router's own prefix tree: which prompts were sent to which worker, in characters of text."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 14  # pages whose lengths are drawn together

Run = tuple[int, int]
"""Pages first, first + 1, .., first + count - 1 of a prompt, as (first, count)."""


def runs(pages: NDArray[np.int64]) -> list[Run]:
    """Splits a prompt's page ids where they stop being consecutive: seldom, as ids are numbered by first appearance."""
    if len(pages) == 0:
        return []
    starts = [0, *(np.flatnonzero(np.diff(pages) != 1) + 1).tolist(), len(pages)]
    return [(int(pages[a]), b - a) for a, b in pairwise(starts)]


class Characters:
    """Length of every page in characters: a sum of normal token lengths, drawn once for a page.

    Args:
        mean: Mean characters of a token.
        sd: Standard deviation of the characters of a token.
        page_size: Tokens of a page.
        seed: Of the lengths.
    """

    def __init__(self, mean: float, sd: float, page_size: int, seed: int) -> None:
        """Draws nothing yet."""
        self._mean = mean * page_size
        self._sd = sd * page_size**0.5
        self._seed = seed
        self._blocks: list[NDArray[np.float64]] = []  # characters before each page
        self._total = 0.0

    def of(self, first: int, count: int) -> float:
        """Characters of the pages first .. first + count - 1."""
        return self._before(first + count) - self._before(first)

    def _before(self, page: int) -> float:
        while page >= len(self._blocks) * _BLOCK:
            generator = np.random.default_rng((self._seed, len(self._blocks)))
            lengths = np.maximum(1.0, np.rint(generator.normal(self._mean, self._sd, _BLOCK)))
            ends = self._total + np.cumsum(lengths)
            self._blocks.append(ends - lengths)
            self._total = float(ends[-1])
        return float(self._blocks[page // _BLOCK][page % _BLOCK])


@dataclass(eq=False, slots=True)
class Node:
    """A run of pages without a branch.

    Attributes:
        first: Its first page.
        count: Number of pages.
        parent: The node above, None at the top.
        places: Worker that holds the node -> its place in the node's fixed order of workers.
        touched: Worker -> when it last took or matched a prompt through the node.
    """

    first: int
    count: int
    parent: Node | None
    places: dict[int, float] = field(default_factory=dict)
    touched: dict[int, int] = field(default_factory=dict)


class PrefixTree:
    """Prompts by worker, as a radix tree over page ids.

    After sgl-router/src/tree.rs of SGLang 0.4: every node knows the workers that were sent a prompt through it. Where
    one of them is asked for, it is the first of a hash map whose order is random for each node; here each worker draws
    its place in that order when it comes to hold the node. Without `random`, the order is that in which they came.

    Args:
        n_workers: Number of workers.
        characters: Length of pages.
        random: Draws the places.
    """

    def __init__(self, n_workers: int, characters: Characters, random: Random | None) -> None:
        """Starts empty."""
        self.sizes = [0.0] * n_workers
        """Characters held, by worker."""
        self._characters = characters
        self._random = random
        self._nodes: dict[int, Node] = {}  # by first page: a page's id already says everything that comes before it
        self._clock = 0

    def match(self, prompt: list[Run], rank: Callable[[int], Any] | None = None) -> tuple[float, int | None]:
        """Finds the longest known prefix, and touches it for its owner.

        Args:
            prompt: The prompt.
            rank: The owner is the holder that comes first by it; None: in the node's order of workers.

        Returns:
            Its characters, and the owner of the deepest node that it reaches into (None without a match).
        """
        matched = 0.0
        deepest = None
        for first, count in self._pieces(prompt):
            node = self._nodes.get(first)
            if node is None:
                break
            deepest = node
            matched += self._characters.of(first, min(count, node.count))
            if count < node.count:
                break
        if deepest is None:
            return 0.0, None
        owner = min(deepest.places, key=rank or deepest.places.__getitem__)
        self._clock += 1
        above: Node | None = deepest
        while above is not None:
            above.touched[owner] = self._clock
            above = above.parent
        return matched, owner

    def insert(self, prompt: list[Run], worker: int) -> None:
        """Notes that `worker` was sent `prompt`."""
        self._clock += 1
        parent = None
        for first, count in self._pieces(prompt):
            node = self._nodes.get(first)
            if node is None:
                node = self._nodes[first] = Node(first, count, parent)
            elif count < node.count:
                node = self._split(node, count)
            if worker not in node.places:
                node.places[worker] = self._clock if self._random is None else self._random.random()
                self.sizes[worker] += self._characters.of(first, node.count)
            node.touched[worker] = self._clock
            parent = node

    def _pieces(self, prompt: list[Run]) -> list[Run]:
        """Cuts the runs of a prompt where nodes end: each piece lies in one node, or in none."""
        pieces = []
        for first, count in prompt:
            while (node := self._nodes.get(first)) is not None and node.count < count:
                pieces.append((first, node.count))
                first, count = first + node.count, count - node.count
            pieces.append((first, count))
        return pieces

    def _split(self, node: Node, count: int) -> Node:
        """Cuts a node after `count` pages; returns the upper half."""
        upper = Node(node.first, count, node.parent, dict(node.places), dict(node.touched))
        self._nodes[upper.first] = upper
        node.first, node.count, node.parent = node.first + count, node.count - count, upper
        self._nodes[node.first] = node
        return upper

    def remove(self, worker: int) -> None:
        """Forgets all that `worker` was sent."""
        for first in [first for first, node in self._nodes.items() if worker in node.places]:
            self._drop(self._nodes[first], worker)
        self.sizes[worker] = 0.0

    def _drop(self, node: Node, worker: int) -> None:
        """Takes a node from `worker`, and away if it was the last one to hold it."""
        del node.places[worker], node.touched[worker]
        if not node.places:
            del self._nodes[node.first]

    def trim(self, limit: float) -> None:
        """Drops the leaves that were not touched for longest, worker by worker, until each holds `limit` characters."""
        for worker, size in enumerate(self.sizes):
            if size > limit:
                self._trim(worker, limit)

    def _trim(self, worker: int, limit: float) -> None:
        held = [node for node in self._nodes.values() if worker in node.places]
        children = Counter(node.parent for node in held)
        leaves = [(node.touched[worker], node.first) for node in held if not children[node]]
        heapq.heapify(leaves)
        while self.sizes[worker] > limit and leaves:
            _, first = heapq.heappop(leaves)
            node = self._nodes[first]
            self.sizes[worker] -= self._characters.of(first, node.count)
            self._drop(node, worker)
            parent = node.parent
            children[parent] -= 1
            if parent is not None and not children[parent]:
                heapq.heappush(leaves, (parent.touched[worker], parent.first))
