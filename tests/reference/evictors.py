"""Who goes when a worker needs pages: what evictors share, and those of docs/semantics.md#c6-victims."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .cache import Cache
from .pages import Page
from .sessions import Sessions
from .types import RefCost, RefEngine

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


@dataclass(frozen=True)
class Context:
    """What the evictors of one worker may look at besides its cache.

    Attributes:
        worker: Index of the worker.
        kv_pages: Its pages.
        cost: Its iteration cost.
        engine: Its engine's settings.
        sessions: Facts about sessions.
        chooser: Source of the random choices.
        admitted: Requests that some worker has admitted at least once; the simulator keeps it up to date.
    """

    worker: int
    kv_pages: int
    cost: RefCost
    engine: RefEngine
    sessions: Sessions
    chooser: Chooser
    admitted: set[int]


@dataclass(frozen=True)
class Need:
    """Why pages must go.

    Attributes:
        pages: Pages to evict, at most the evictable ones.
        request: Index of the request that the pages are for.
        path: Its known pages, resident or not.
    """

    pages: int
    request: int
    path: Sequence[Page]


class Evictor:
    """Base of the evictors: hooks that keep marks as `rlt` does, whatever evicts, and `make_room`."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def on_admission(self, cache: Cache, resident_prefix: Sequence[Page], hit_tokens: int) -> None:
        """An admission touches these pages, of which so many tokens are hits; it has not been counted yet."""
        cache.mark(resident_prefix)

    def on_enter(self, cache: Cache, page: Page) -> None:
        """A page entered the tree."""
        cache.mark([page])

    def on_insert(self, cache: Cache, locked_pages: Sequence[Page]) -> None:
        """A request's locked tree pages (all of them, root first) grew at an iteration's end, or it finished."""

    def on_finish(self, cache: Cache, locked_pages: Sequence[Page]) -> None:
        """A request finished that still locks these tree pages."""

    def on_return(self, gap_ps: int) -> None:
        """A session that waited here for so long comes back here."""

    def on_crash(self, now: int) -> None:
        """The worker crashed, its cache is empty: forget everything."""

    def check(self, cache: Cache) -> None:
        """Assert what holds after every event."""

    def make_room(self, cache: Cache, need: Need) -> None:
        """Evict the pages that are needed."""
        for _ in range(need.pages):
            cache.evict(self.victim(cache, need))

    def victim(self, cache: Cache, need: Need) -> Page:
        """The next page to go, which goes at once."""
        raise NotImplementedError


class Lru(Evictor):
    """Tail page of the leaf with the oldest stamp."""

    def victim(self, cache: Cache, need: Need) -> Page:
        return min(cache.leaves(), key=lambda leaf: cache.resident[leaf].stamp)


class LruNode(Lru):
    """The whole run of that leaf; the last one may overshoot."""

    def make_room(self, cache: Cache, need: Need) -> None:
        target = len(cache.evicted) + need.pages
        while len(cache.evicted) < target and cache.leaves():
            for page in cache.run_of(self.victim(cache, need)):
                cache.evict(page)


class Random(Evictor):
    """Tail page of a uniform unlocked leaf."""

    def victim(self, cache: Cache, need: Need) -> Page:
        return self.context.chooser.choose(cache.leaves())


def unmarked_leaves(cache: Cache) -> list[Page]:
    """Unlocked, unmarked leaves."""
    return [leaf for leaf in cache.leaves() if not cache.resident[leaf].marked]


def open_phase(cache: Cache, path: Sequence[Page]) -> None:
    """The phase rule of `rlt`: if no unlocked leaf is unmarked, only the marks of the requester's known path stay."""
    if not unmarked_leaves(cache):
        cache.clear_marks()
        cache.mark(cache.resident_prefix(path))
    if not unmarked_leaves(cache):
        # Every unlocked leaf lies on the requester's own path.
        cache.clear_marks()


class Rlt(Evictor):
    """Randomized leaf token, at page granularity: marks at admission and when a page enters."""

    def victim(self, cache: Cache, need: Need) -> Page:
        open_phase(cache, need.path)
        return self.context.chooser.choose(unmarked_leaves(cache))


class RltCode(Evictor):
    """The published code's form: marks when pages enter and at the end, and its phase rules (i) to (iii)."""

    def on_admission(self, cache: Cache, resident_prefix: Sequence[Page], hit_tokens: int) -> None:
        """No mark."""

    def on_enter(self, cache: Cache, page: Page) -> None:
        """No mark."""

    def on_insert(self, cache: Cache, locked_pages: Sequence[Page]) -> None:
        cache.mark(locked_pages)
        if cache.marked() >= cache.kv_pages:  # (i)
            cache.clear_marks()
            cache.mark(locked_pages)

    def make_room(self, cache: Cache, need: Need) -> None:
        if need.pages + cache.marked() >= cache.kv_pages:  # (ii)
            cache.clear_marks()
        in_reach = sum(
            not cache.resident[page].marked for leaf in unmarked_leaves(cache) for page in cache.run_of(leaf)
        )
        if in_reach < need.pages:  # (iii)
            cache.clear_marks()
        super().make_room(cache, need)

    def victim(self, cache: Cache, need: Need) -> Page:
        return self.context.chooser.choose(unmarked_leaves(cache))


class Belady(Evictor):
    """Tail page of the leaf used again farthest, then deeper, then brought in by the later request; an oracle."""

    def victim(self, cache: Cache, need: Need) -> Page:
        return max(cache.leaves(), key=lambda leaf: (self.next_use(leaf), leaf.number, leaf.first_request))

    def next_use(self, page: Page) -> float:
        """Smallest index of a request that no worker has admitted yet and whose prompt's full pages hold the page."""
        return min((request for request in page.prompt_users if request not in self.context.admitted), default=math.inf)
