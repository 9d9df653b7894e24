"""Evictors that sort the resident pages into queues and take a leaf from one of them (docs/semantics.md#c8-queues)."""

from __future__ import annotations

from collections.abc import Sequence

from .cache import Cache
from .evictors import Context, Evictor, Need
from .pages import Page

SECONDS_PER_PS = 1e-12
PS_PER_SECOND = 10**12


def oldest(cache: Cache, leaves: Sequence[Page]) -> Page:
    """The leaf with the oldest stamp."""
    return min(leaves, key=lambda leaf: cache.resident[leaf].stamp)


class Ghosts:
    """Pages that went from one queue, and are remembered until enough others did."""

    def __init__(self, room: int) -> None:
        self.room = room  # pages that go after a ghost until it is forgotten
        self.went = 0
        self.place: dict[Page, int] = {}  # of each ghost, among all pages that went

    def add(self, page: Page) -> None:
        """A page goes from the queue."""
        self.place[page] = self.went
        self.went += 1
        self.place = {page: place for page, place in self.place.items() if self.went - 1 - place < self.room}

    def remove(self, page: Page) -> None:
        """A ghost enters again."""
        del self.place[page]

    def __contains__(self, page: Page) -> bool:
        return page in self.place

    def __len__(self) -> int:
        return len(self.place)


class Queues(Evictor):
    """Base: after a crash all is as at the start."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.kv_pages = context.kv_pages
        self.start(0)

    def start(self, now: int) -> None:
        """Remember nothing."""
        raise NotImplementedError

    def on_crash(self, now: int) -> None:
        self.start(now)


class Arc(Queues):
    """Two lists, of pages used once and more often, of which a target says which is too long."""

    def start(self, now: int) -> None:
        self.target: float = 0
        self.often: set[Page] = set()  # resident pages that were hit or entered as ghosts (T2)
        self.once_gone = Ghosts(self.kv_pages)  # from T1, the other resident pages (B1)
        self.often_gone = Ghosts(self.kv_pages)  # from T2 (B2)

    def on_admission(self, cache: Cache, resident_prefix: Sequence[Page], hit_tokens: int) -> None:
        self.often.update(resident_prefix)

    def on_enter(self, cache: Cache, page: Page) -> None:
        once, often = self.once_gone, self.often_gone
        if page in once:
            self.target = min(self.kv_pages, self.target + max(1, len(often) / len(once)))
            once.remove(page)
            self.often.add(page)
        elif page in often:
            self.target = max(0, self.target - max(1, len(once) / len(often)))
            often.remove(page)
            self.often.add(page)

    def victim(self, cache: Cache, need: Need) -> Page:
        once = [leaf for leaf in cache.leaves() if leaf not in self.often]
        often = [leaf for leaf in cache.leaves() if leaf in self.often]
        too_long = len(cache.resident) - len(self.often) > self.target
        page = oldest(cache, (once or often) if too_long else (often or once))
        if page in self.often:
            self.often.remove(page)
            self.often_gone.add(page)
        else:
            self.once_gone.add(page)
        return page

    def check(self, cache: Cache) -> None:
        once, often = self.once_gone, self.often_gone
        assert self.often <= cache.resident.keys()
        for page, slot in cache.resident.items():
            assert page in self.often or slot.use.hits == 0
            assert page not in once and page not in often
        assert not once.place.keys() & often.place.keys()
        assert max(len(once), len(often)) <= self.kv_pages
        assert 0 <= self.target <= self.kv_pages


class S3Fifo(Queues):
    """A small queue for what enters, a main one for what proved itself, and ghosts of the small one."""

    MOST = 3

    def start(self, now: int) -> None:
        self.small = max(1, self.kv_pages // 10)  # how long the small queue may be
        self.moves = 0
        self.count: dict[Page, int] = {}
        self.place: dict[Page, int] = {}  # of the pages of the main queue; that of the others is their entry
        self.ghosts = Ghosts(self.kv_pages - self.small)  # of the small queue

    def on_admission(self, cache: Cache, resident_prefix: Sequence[Page], hit_tokens: int) -> None:
        for page in resident_prefix:
            self.count[page] = min(self.MOST, self.count[page] + 1)

    def on_enter(self, cache: Cache, page: Page) -> None:
        self.count[page] = 0
        if page in self.ghosts:
            self.ghosts.remove(page)
            self.place[page] = self.moves

    def entry(self, cache: Cache, page: Page) -> int:
        """The place of a page in the small queue."""
        return cache.resident[page].use.entered_at

    def to_the_end(self, page: Page) -> None:
        """A page moves to the end of the main queue."""
        self.moves += 1
        self.place[page] = self.moves

    def victim(self, cache: Cache, need: Need) -> Page:
        while True:
            in_small = [leaf for leaf in cache.leaves() if leaf not in self.place]
            in_main = [leaf for leaf in cache.leaves() if leaf in self.place]
            length = len(cache.resident) - len(self.place)
            if in_small and (length >= self.small or not in_main):
                first = min(
                    in_small, key=lambda leaf: (cache.resident[leaf].use.entered_at, cache.resident[leaf].stamp)
                )
                if self.count[first] <= 1:
                    self.ghosts.add(first)
                    del self.count[first]
                    return first
                self.count[first] = 0
            else:
                first = min(in_main, key=lambda leaf: (self.place[leaf], cache.resident[leaf].stamp))
                if self.count[first] == 0:
                    del self.count[first], self.place[first]
                    return first
                self.count[first] -= 1
            self.to_the_end(first)

    def check(self, cache: Cache) -> None:
        assert self.count.keys() == cache.resident.keys() >= self.place.keys()
        assert not self.ghosts.place.keys() & cache.resident.keys()
        assert len(self.ghosts) <= cache.kv_pages - self.small
        for page, count in self.count.items():
            assert 0 <= count <= min(self.MOST, cache.resident[page].use.hits)
        assert all(place <= self.moves for place in self.place.values())


class Lhd(Queues):
    """The class whose oldest leaf has the smallest hit density, as ages of hits and evictions until now say."""

    CLASSES = 4
    GROUPS = 64
    DECAY = 0.9

    def start(self, now: int) -> None:
        self.hits = [[0.0] * self.GROUPS for _ in range(self.CLASSES)]
        self.evictions = [[0.0] * self.GROUPS for _ in range(self.CLASSES)]
        self.density = [[0.0] * self.GROUPS for _ in range(self.CLASSES)]
        self.events = 0  # since the densities were computed

    def class_of(self, cache: Cache, page: Page) -> int:
        """By hits."""
        return min(cache.resident[page].use.hits, self.CLASSES - 1)

    def group_of(self, cache: Cache, page: Page) -> int:
        """By page accesses since the last stamp."""
        use = cache.resident[page].use
        age = 0 if use.stamped_ps is None else cache.ledger.accesses - use.accesses
        return min(self.GROUPS - 1, age // max(1, self.kv_pages // 8))

    def on_admission(self, cache: Cache, resident_prefix: Sequence[Page], hit_tokens: int) -> None:
        for page in resident_prefix:
            self.hits[self.class_of(cache, page)][self.group_of(cache, page)] += 1
        self.events += len(resident_prefix)
        if self.events >= self.kv_pages:
            self.events = 0
            for which in range(self.CLASSES):
                self.renew(which)

    def renew(self, which: int) -> None:
        """The densities of a class, anew."""
        hits = [number * self.DECAY for number in self.hits[which]]
        evictions = [number * self.DECAY for number in self.evictions[which]]
        self.hits[which], self.evictions[which] = hits, evictions
        h = e = t = 0.0
        for group in reversed(range(self.GROUPS)):
            h = h + hits[group]
            e = e + (hits[group] + evictions[group])
            t = t + e
            self.density[which][group] = h / t if t != 0 else 0.0

    def victim(self, cache: Cache, need: Need) -> Page:
        classes: dict[int, list[Page]] = {}
        for leaf in cache.leaves():
            classes.setdefault(self.class_of(cache, leaf), []).append(leaf)
        candidates = [oldest(cache, leaves) for leaves in classes.values()]
        page = min(candidates, key=lambda leaf: (self.density_of(cache, leaf), cache.resident[leaf].stamp))
        self.evictions[self.class_of(cache, page)][self.group_of(cache, page)] += 1
        self.events += 1
        return page

    def density_of(self, cache: Cache, page: Page) -> float:
        """Density of its class and of its age group now."""
        return self.density[self.class_of(cache, page)][self.group_of(cache, page)]


def in_ps(seconds: float) -> int:
    """A time to live, of which all are whole numbers of picoseconds."""
    return int(seconds * PS_PER_SECOND)


class Continuum(Queues):
    """Pages of a session that may come back are held for a time that its coming back is worth."""

    TTLS_S = tuple(2**b / 16 for b in range(16))

    def start(self, now: int) -> None:
        self.started_ps = now
        self.finished = 0
        self.returned = [0] * len(self.TTLS_S)
        self.saved_s = 0.0
        self.until: dict[Page, int] = {}  # of the pages that are held

    def share_s(self, tokens: int) -> float:
        """Seconds that computing the first tokens of a prompt takes."""
        return self.context.cost.share_s(tokens, 0, self.context.engine.chunk_tokens)

    def on_admission(self, cache: Cache, resident_prefix: Sequence[Page], hit_tokens: int) -> None:
        self.saved_s += self.share_s(hit_tokens)

    def on_enter(self, cache: Cache, page: Page) -> None:
        assert page not in self.until

    def on_return(self, gap_ps: int) -> None:
        for b, ttl_s in enumerate(self.TTLS_S):
            if gap_ps <= in_ps(ttl_s):
                self.returned[b] += 1
                return

    def on_finish(self, cache: Cache, locked_pages: Sequence[Page]) -> None:
        until = cache.now + in_ps(self.best_ttl_s(cache, len(locked_pages)))
        self.finished += 1
        for page in locked_pages:
            self.until[page] = max(self.until.get(page, 0), until)

    def best_ttl_s(self, cache: Cache, pages: int) -> float:
        """The smallest of the times to live that are worth most, for so many pages."""
        if self.finished == 0:
            return 0.0
        elapsed_s = (cache.now - self.started_ps) * SECONDS_PER_PS
        gain_s = self.share_s(pages * self.context.engine.page_size)
        best, most, returns = 0.0, 0.0, 0
        for ttl_s, returned in zip(self.TTLS_S, self.returned, strict=True):
            returns += returned
            worth = returns / self.finished * gain_s - self.saved_s / (self.kv_pages * elapsed_s) * pages * ttl_s
            if worth > most:
                best, most = ttl_s, worth
        return best

    def victim(self, cache: Cache, need: Need) -> Page:
        leaves = cache.leaves()
        free = [leaf for leaf in leaves if self.until.get(leaf, 0) <= cache.now]
        if free:
            page = oldest(cache, free)
        else:
            page = min(leaves, key=lambda leaf: (self.until[leaf], cache.resident[leaf].stamp))
        self.until.pop(page, None)
        return page

    def check(self, cache: Cache) -> None:
        assert self.until.keys() <= cache.resident.keys()
        assert sum(self.returned) <= self.finished
