"""The cache of one worker: resident pages, locks, stamps, marks and seen boundaries (docs/semantics.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .pages import Page


@dataclass
class Slot:
    """State of one resident page.

    Attributes:
        locks: Running requests that hold the page.
        stamp: Recency counter when it was last written here (0: not yet, the page was locked ever since it entered).
        marked: Mark of the random marking evictors.
        children: Number of resident next pages.
        continuations: How paths were shown to go on after this page: next pages, None for "ended here".
    """

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
    """Pages of one worker; `free` counts pages neither in the tree nor a request's own."""

    def __init__(self, kv_pages: int) -> None:
        self.kv_pages = kv_pages
        self.free = kv_pages
        self.resident: dict[Page, Slot] = {}
        self.clock = 0
        self.loaded = 0
        self.evicted: list[Page] = []

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
        return sum(slot.locks == 0 for slot in self.resident.values())

    def leaves(self) -> list[Page]:
        """Unlocked pages without a resident child."""
        return [page for page, slot in self.resident.items() if slot.locks == 0 and slot.children == 0]

    def lock(self, page: Page) -> None:
        """Lock a resident page for one more request."""
        self.resident[page].locks += 1

    def unlock(self, page: Page) -> None:
        """Take back one request's lock."""
        assert self.resident[page].locks > 0
        self.resident[page].locks -= 1

    def touch(self, known_pages: Sequence[Page]) -> None:
        """One step of the recency counter, written on the resident pages of a path."""
        self.clock += 1
        for page in self.resident_prefix(known_pages):
            self.resident[page].stamp = self.clock

    def enter(self, page: Page) -> None:
        """A request's own page becomes a locked page of the tree."""
        assert page not in self.resident
        assert page.parent is None or page.parent in self.resident
        self.resident[page] = Slot(locks=1)
        if page.parent is not None:
            self.resident[page.parent].children += 1
        self.loaded += 1

    def evict(self, page: Page) -> None:
        """Remove an unlocked leaf page; what was seen and marked there is forgotten."""
        slot = self.resident.pop(page)
        assert slot.locks == 0 and slot.children == 0
        if page.parent is not None:
            self.resident[page.parent].children -= 1
        self.free += 1
        self.evicted.append(page)

    def show(self, page: Page, continuation: Page | None) -> None:
        """A request shows how its path goes on after a resident page: its next page, None for "ended here"."""
        self.resident[page].continuations.add(continuation)

    def run_of(self, leaf: Page) -> list[Page]:
        """The leaf and the pages above it, up to the first that is a seen boundary, locked or has another child."""
        run = [leaf]
        page = leaf.parent
        while page is not None:
            slot = self.resident[page]
            if slot.boundary or slot.locks > 0 or slot.children > 1:
                break
            run.append(page)
            page = page.parent
        return run

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
        """Assert rule C1 of docs/semantics.md.

        Args:
            held: For each running request its locked tree pages and the number of its own pages.
        """
        locks: Counter[Page] = Counter()
        for tree_pages, _ in held:
            locks.update(tree_pages)
        own = sum(own_pages for _, own_pages in held)
        children: Counter[Page] = Counter(page.parent for page in self.resident if page.parent is not None)
        stamps = [self.resident[leaf].stamp for leaf in self.leaves()]
        locked = sum(slot.locks > 0 for slot in self.resident.values()) + own
        for page, slot in self.resident.items():
            assert page.parent is None or page.parent in self.resident, f"{page} has no parent in the tree"
            assert slot.locks == locks[page], f"{page} has {slot.locks} locks, {locks[page]} requests hold it"
            assert slot.children == children[page], f"{page} counts {slot.children} children of {children[page]}"
            assert slot.locks > 0 or slot.stamp > 0, f"{page} was unlocked without a stamp"
        assert all(page in self.resident for page in locks), "a running request holds a page that is not there"
        assert self.free >= 0
        assert locked + self.evictable() + self.free == self.kv_pages, "pages are lost"
        assert len(stamps) == len(set(stamps)), "two leaves share a stamp"
        assert self.loaded - len(self.evicted) == len(self.resident)
