"""The cache of one worker: resident pages, locks, stamps, marks and seen boundaries (docs/semantics.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .pages import Page
from .uses import Ledger, Use, User


@dataclass
class Slot:
    """State of one resident page.

    Attributes:
        use: What is remembered about its uses.
        locks: Running requests that hold the page.
        stamp: Recency counter when it was last written here (0: not yet, the page was locked ever since it entered).
        marked: Mark of the random marking evictors.
        children: Number of resident next pages.
        continuations: How paths were shown to go on after this page: next pages, None for "ended here".
    """

    use: Use
    locks: int = 0
    stamp: int = 0
    marked: bool = False
    children: int = 0
    continuations: set[Page | None] = field(default_factory=set)

    @property
    def boundary(self) -> bool:
        """Whether two different continuations were shown."""
        return len(self.continuations) > 1


class Cache:
    """Pages of one worker.

    Attributes:
        kv_pages: Pages of the worker.
        free: Pages neither in the tree nor a request's own.
        resident: The pages in the tree.
        clock: The recency counter.
        now: The time in picoseconds; the worker sets it when something starts or ends.
        ledger: What is counted over all pages.
        loaded: Pages that ever entered the tree after they were computed here.
        fetched: Pages that ever entered it by transfers.
        lost: Pages that crashes took out of it.
        evicted: Pages that were evicted, in order.
        forgotten: How many of those the worker does not remember, because it crashed since.
        changes: How often a page, or what is remembered of one, changed.
    """

    def __init__(self, kv_pages: int) -> None:
        self.kv_pages = kv_pages
        self.free = kv_pages
        self.resident: dict[Page, Slot] = {}
        self.clock = 0
        self.now = 0
        self.ledger = Ledger()
        self.loaded = 0
        self.fetched = 0
        self.lost = 0
        self.evicted: list[Page] = []
        self.forgotten = 0
        self.changes = 0
        self.checked: tuple[int, int, Sequence[object]] | None = None  # what `check` looked at last

    def resident_prefix(self, pages: Sequence[Page]) -> list[Page]:
        """The resident pages of a path, which are a prefix of it because the tree is prefix-closed."""
        prefix = []
        for page in pages:
            if page not in self.resident:
                break
            prefix.append(page)
        return prefix

    def evictable(self) -> int:
        """Unlocked pages. All of them can go, leaf by leaf, since below an unlocked page nothing is locked."""
        return [slot.locks for slot in self.resident.values()].count(0)

    def leaves(self) -> list[Page]:
        """Unlocked pages without a resident child."""
        return [page for page, slot in self.resident.items() if slot.locks == 0 and slot.children == 0]

    def lock(self, page: Page) -> None:
        """Lock a resident page for one more request."""
        self.changes += 1
        self.resident[page].locks += 1

    def unlock(self, page: Page) -> None:
        """Take back one request's lock."""
        self.changes += 1
        assert self.resident[page].locks > 0
        self.resident[page].locks -= 1

    def touch(self, known_pages: Sequence[Page]) -> None:
        """One step of the recency counter, written on the resident pages of a path."""
        self.changes += 1
        self.clock += 1
        for page in self.resident_prefix(known_pages):
            self.resident[page].stamp = self.clock
            self.ledger.stamped(self.resident[page].use, self.now)

    def admit(self, known_pages: Sequence[Page], user: User) -> None:
        """A request is admitted: its resident pages are hit, then stamped."""
        self.changes += 1
        touched = [self.resident[page].use for page in self.resident_prefix(known_pages)]
        self.ledger.admitted(user, self.clock + 1, self.now, len(known_pages), touched, self.kv_pages)
        self.touch(known_pages)

    def is_ghost(self, page: Page) -> bool:
        """Whether the page is among the last `kv_pages` that were evicted."""
        return page in self.evicted[max(self.forgotten, len(self.evicted) - self.kv_pages) :]

    def enter(self, page: Page, user: User, fetched: bool = False) -> None:
        """A request's own page becomes a locked page of the tree."""
        self.changes += 1
        assert page not in self.resident
        assert page.parent is None or page.parent in self.resident
        use = self.ledger.entered(user, self.clock, self.now, self.is_ghost(page))
        self.resident[page] = Slot(use, locks=1)
        if page.parent is not None:
            self.resident[page.parent].children += 1
        self.fetched += fetched
        self.loaded += not fetched

    def evict(self, page: Page) -> None:
        """Remove an unlocked leaf page; what was seen and marked there is forgotten."""
        self.changes += 1
        slot = self.resident.pop(page)
        assert slot.locks == 0 and slot.children == 0
        if page.parent is not None:
            self.resident[page.parent].children -= 1
        self.free += 1
        self.evicted.append(page)

    def crash(self) -> None:
        """Lose all pages, and all that was remembered about them (rule F2)."""
        self.changes += 1
        self.lost += len(self.resident)
        self.free = self.kv_pages
        self.resident = {}
        self.clock = 0
        self.ledger = Ledger()
        self.forgotten = len(self.evicted)

    def show(self, page: Page, continuation: Page | None) -> None:
        """A request shows how its path goes on after a resident page: its next page, None for "ended here"."""
        self.resident[page].continuations.add(continuation)

    def run_of(self, leaf: Page) -> list[Page]:
        """The leaf and the pages above it, up to the first that is a seen boundary, locked or has another child."""
        return self._up_from(leaf, stop_at_marks=False)

    def tail_of(self, leaf: Page) -> list[Page]:
        """What one EVICT decision can free (rule D6): the run, of an unmarked leaf up to the first marked page only."""
        return self._up_from(leaf, stop_at_marks=not self.resident[leaf].marked)

    def _up_from(self, leaf: Page, stop_at_marks: bool) -> list[Page]:
        pages = [leaf]
        page = leaf.parent
        while page is not None:
            slot = self.resident[page]
            if slot.boundary or slot.locks > 0 or slot.children > 1 or (stop_at_marks and slot.marked):
                break
            pages.append(page)
            page = page.parent
        return pages

    def marked(self) -> int:
        """Number of marked pages."""
        return sum(slot.marked for slot in self.resident.values())

    def mark(self, pages: Iterable[Page]) -> None:
        """Mark resident pages."""
        for page in pages:
            self.resident[page].marked = True

    def clear_marks(self) -> None:
        """Unmark everything."""
        for slot in self.resident.values():
            slot.marked = False

    def check(self, held: Sequence[tuple[Sequence[Page], int]]) -> None:
        """Assert docs/semantics.md#c1-pages, and that stamps and uses are in order.

        What holds goes on to hold as long as nothing but the time changes.

        Args:
            held: For each running request, and each end of a transfer, its locked tree pages and the number of its own
                pages.
        """
        state = self.changes, self.free, held
        if self.checked == state:
            return
        self.checked = state
        locks: Counter[Page] = Counter()
        for tree_pages, _ in held:
            locks.update(tree_pages)
        children = Counter([page.parent for page in self.resident])
        stamps = []  # of the leaves
        locked = sum(own_pages for _, own_pages in held)
        evictable = 0
        now, clock, accesses = self.now, self.clock, self.ledger.accesses
        resident = self.resident
        for page, slot in resident.items():
            use, stamp, parent = slot.use, slot.stamp, page.parent
            assert slot.locks == locks.get(page, 0), f"{page} has {slot.locks} locks, {locks[page]} requests hold it"
            assert slot.children == children.get(page, 0), f"{page} counts {slot.children} children of {children[page]}"
            if slot.locks > 0:
                locked += 1
            else:
                evictable += 1
                assert stamp > 0, f"{page} was unlocked without a stamp"
                if slot.children == 0:
                    stamps.append(stamp)
            use.check(now, accesses)
            assert (stamp > 0) == (use.stamped_ps is not None), f"{page} has half a stamp"
            assert stamp == 0 or use.entered_at < stamp <= clock
            assert use.entered_at <= clock
            assert not use.ghost or page in self.evicted, f"{page} is a ghost that never went"
            if parent is None:
                continue
            assert parent in resident, f"{page} has no parent in the tree"
            # Whatever enters, hits or stamps a page did so to the page above it, before it or at the same moment.
            above = resident[parent]
            assert above.use.entered_at <= use.entered_at and above.use.entered_ps <= use.entered_ps
            assert above.use.hits >= use.hits, f"{page} was hit more often than the page above it"
            assert above.stamp >= stamp, f"{page} was stamped after the page above it"
        assert all(page in resident for page in locks), "a running request holds a page that is not there"
        assert self.free >= 0
        assert evictable == self.evictable()
        assert locked + evictable + self.free == self.kv_pages, "pages are lost"
        assert len(stamps) == len(set(stamps)), "two leaves share a stamp"
        assert self.loaded + self.fetched - len(self.evicted) - self.lost == len(resident)
        self.ledger.check()
