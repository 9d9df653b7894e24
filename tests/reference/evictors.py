"""Who goes when a worker needs pages (rule C6 of docs/semantics.md)."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from .cache import Cache
from .pages import Page

Draw = tuple[int, tuple[int, int]]


class Chooser:
    """Uniform draws: replayed from a tested simulator's log if there is one, from a seeded generator otherwise."""

    def __init__(self, paths: Sequence[Sequence[Page]], log: Iterator[Draw] | None, seed: int) -> None:
        self.paths = paths
        self.log = log
        self.random = random.Random(seed)

    def choose(self, candidates: Sequence[Page]) -> Page:
        """One of the candidates."""
        if self.log is None:
            return self.random.choice(candidates)
        entry = next(self.log, None)
        assert entry is not None, "the log of draws is too short"
        count, (request, number) = entry
        assert number < len(self.paths[request]), f"request {request} has no page {number}"
        victim = self.paths[request][number]
        assert count == len(candidates), (
            f"the log says {count} candidates, the reference has {len(candidates)}: {candidates}"
        )
        assert victim in candidates, f"the log evicts {victim}, which is not among {candidates}"
        return victim

    def assert_exhausted(self) -> None:
        """Assert that the tested simulator drew no more often than the reference."""
        assert self.log is None or next(self.log, None) is None, "the log holds more draws than the reference made"


class Evictor:
    """Base of the evictors: hooks for marks, and `make_room`."""

    def on_admission(self, cache: Cache, resident_prefix: Sequence[Page]) -> None:
        """An admission touched these pages."""

    def on_enter(self, cache: Cache, page: Page) -> None:
        """A page entered the tree."""

    def on_insert(self, cache: Cache, locked_pages: Sequence[Page]) -> None:
        """A request's locked tree pages (all of them, root first) grew at an iteration's end, or it finished."""

    def make_room(self, cache: Cache, wanted: int, requester_pages: Sequence[Page]) -> None:
        """Evict `wanted` pages (at most the evictable ones).

        Args:
            cache: The worker's cache.
            wanted: Pages to evict.
            requester_pages: The known pages of the request that needs them, resident or not.
        """
        for _ in range(wanted):
            cache.evict(self.victim(cache, requester_pages))

    def victim(self, cache: Cache, requester_pages: Sequence[Page]) -> Page:
        """The next page to go."""
        raise NotImplementedError


class Lru(Evictor):
    """Tail page of the leaf with the oldest stamp."""

    def victim(self, cache: Cache, requester_pages: Sequence[Page]) -> Page:
        return min(cache.leaves(), key=lambda leaf: cache.resident[leaf].stamp)


class LruNode(Lru):
    """The whole run of that leaf; the last one may overshoot."""

    def make_room(self, cache: Cache, wanted: int, requester_pages: Sequence[Page]) -> None:
        target = len(cache.evicted) + wanted
        while len(cache.evicted) < target and cache.leaves():
            for page in cache.run_of(self.victim(cache, requester_pages)):
                cache.evict(page)


class Random(Evictor):
    """Tail page of a uniform unlocked leaf."""

    def __init__(self, chooser: Chooser) -> None:
        self.chooser = chooser

    def victim(self, cache: Cache, requester_pages: Sequence[Page]) -> Page:
        return self.chooser.choose(cache.leaves())


def unmarked_leaves(cache: Cache) -> list[Page]:
    """Unlocked, unmarked leaves."""
    return [leaf for leaf in cache.leaves() if not cache.resident[leaf].marked]


class Rlt(Evictor):
    """Randomized leaf token, at page granularity: marks at admission and when a page enters."""

    def __init__(self, chooser: Chooser) -> None:
        self.chooser = chooser

    def on_admission(self, cache: Cache, resident_prefix: Sequence[Page]) -> None:
        cache.mark(resident_prefix)

    def on_enter(self, cache: Cache, page: Page) -> None:
        cache.mark([page])

    def victim(self, cache: Cache, requester_pages: Sequence[Page]) -> Page:
        if not unmarked_leaves(cache):
            cache.clear_marks()
            cache.mark(cache.resident_prefix(requester_pages))
        if not unmarked_leaves(cache):
            # Every unlocked leaf lies on the requester's own path.
            cache.clear_marks()
        return self.chooser.choose(unmarked_leaves(cache))


class RltCode(Evictor):
    """The published code's form: marks when pages enter and at the end, and its phase rules (i) to (iii)."""

    def __init__(self, chooser: Chooser) -> None:
        self.chooser = chooser

    def on_insert(self, cache: Cache, locked_pages: Sequence[Page]) -> None:
        cache.mark(locked_pages)
        if cache.marked() >= cache.kv_pages:  # (i)
            cache.clear_marks()
            cache.mark(locked_pages)

    def make_room(self, cache: Cache, wanted: int, requester_pages: Sequence[Page]) -> None:
        if wanted + cache.marked() >= cache.kv_pages:  # (ii)
            cache.clear_marks()
        in_reach = sum(
            not cache.resident[page].marked for leaf in unmarked_leaves(cache) for page in cache.run_of(leaf)
        )
        if in_reach < wanted:  # (iii)
            cache.clear_marks()
        super().make_room(cache, wanted, requester_pages)

    def victim(self, cache: Cache, requester_pages: Sequence[Page]) -> Page:
        return self.chooser.choose(unmarked_leaves(cache))


class Belady(Evictor):
    """Tail page of the leaf used again farthest, then deeper, then brought in by the later request; an oracle."""

    def __init__(self, admitted: set[int]) -> None:
        self.admitted = admitted

    def victim(self, cache: Cache, requester_pages: Sequence[Page]) -> Page:
        return max(cache.leaves(), key=lambda leaf: (self.next_use(leaf), leaf.number, leaf.first_request))

    def next_use(self, page: Page) -> float:
        """Smallest index of a request that no worker has admitted yet and whose prompt's full pages hold the page."""
        return min((request for request in page.prompt_users if request not in self.admitted), default=math.inf)


def make_evictor(name: str, chooser: Chooser, admitted: set[int]) -> Evictor:
    """The evictor of one worker.

    Args:
        name: One of lru, lru_node, random, rlt, rlt_code, belady.
        chooser: Source of the random choices.
        admitted: Requests that some worker has admitted at least once; the simulator keeps it up to date.
    """
    makers = {
        "lru": Lru,
        "lru_node": LruNode,
        "random": lambda: Random(chooser),
        "rlt": lambda: Rlt(chooser),
        "rlt_code": lambda: RltCode(chooser),
        "belady": lambda: Belady(admitted),
    }
    return makers[name]()
