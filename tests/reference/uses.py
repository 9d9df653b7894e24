"""What a worker remembers about the uses of its pages (docs/semantics.md#evictors).

The hooks run whatever evicts: every evictor and every candidate of an EVICT decision reads the same books.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

PS_PER_US = 1_000_000
CATEGORIES = 4


@dataclass(frozen=True)
class User:
    """Who uses a page: a request's session, its category, min(turn, 3), and the priority of its class."""

    session: int
    category: int
    priority: int = 0


@dataclass
class Use:
    """The uses of one resident page since it entered; a use is its entry or a hit, an admission that touched it.

    Attributes:
        entered_at: The recency counter when it entered.
        entered_ps: When it entered.
        ghost: Whether it entered as a ghost.
        last: Who used it last.
        inflation: The worker's inflation when it was used last.
        priority: The smallest priority of those who used it.
        used_at: The recency counter at its last use: at the entry, or the stamp that the hit's admission writes.
        used_at_before: The same of the use before that one, None if there was one use.
        hits: Admissions that touched it.
        switches: How often a use came from another session than the use before.
        gaps_ps: Sum over the hits of the time since the stamp before (since the entry, if there was none).
        gaps_us: The same, each gap rounded down to whole microseconds.
        stamped_ps: When it got its last stamp, None before the first.
        accesses: Page accesses of the worker at the last stamp.
    """

    entered_at: int
    entered_ps: int
    ghost: bool
    last: User
    inflation: float
    priority: int
    used_at: int
    used_at_before: int | None = None
    hits: int = 0
    switches: int = 0
    gaps_ps: int = 0
    gaps_us: int = 0
    stamped_ps: int | None = None
    accesses: int = 0

    def gap_ps(self, now: int) -> int:
        """Time since the last stamp, since the entry if there is none yet."""
        return now - (self.entered_ps if self.stamped_ps is None else self.stamped_ps)

    def check(self, now: int, all_accesses: int) -> None:
        """Assert what holds for any page at any time."""
        assert 0 <= self.entered_ps <= now and self.gap_ps(now) >= 0
        assert self.stamped_ps is not None or self.hits == 0, "a hit writes a stamp"
        assert self.stamped_ps is None or self.entered_ps <= self.stamped_ps
        assert 0 <= self.switches <= self.hits <= all_accesses
        assert self.hits <= self.accesses <= all_accesses, "each hit counts at least one page access"
        # The gaps of the hits do not overlap: each ends with a stamp, from which the next is measured.
        assert 0 <= self.gaps_us * PS_PER_US <= self.gaps_ps <= now - self.entered_ps
        assert 0 <= self.last.category < CATEGORIES
        assert self.inflation >= 0
        assert self.priority <= self.last.priority
        assert (self.used_at_before is None) == (self.hits == 0)
        assert self.used_at == self.entered_at if self.used_at_before is None else self.used_at > self.used_at_before


@dataclass
class Category:
    """What `workload_aware` counts for one category, in pages.

    Attributes:
        uses: Entries and touches by requests of the category.
        reuses: Touches of pages that had the category until then.
        gaps_us: Sum of the gaps of those, each in whole microseconds.
    """

    uses: int = 0
    reuses: int = 0
    gaps_us: int = 0


@dataclass
class Ledger:
    """What one worker counts over all its pages.

    Attributes:
        accesses: Full pages of the known tokens of all admissions, resident or not.
        inflation: Key of the page that `gdsf` evicted last; no other evictor changes it.
        categories: Counts of `workload_aware`.
    """

    accesses: int = 0
    inflation: float = 0.0
    categories: list[Category] = field(default_factory=lambda: [Category() for _ in range(CATEGORIES)])

    def entered(self, user: User, clock: int, now: int, ghost: bool) -> Use:
        """A page of this request entered the tree: its first use."""
        self.categories[user.category].uses += 1
        return Use(clock, now, ghost, user, self.inflation, user.priority, clock)

    def admitted(
        self, user: User, stamp: int, now: int, known_pages: int, touched: Sequence[Use], kv_pages: int
    ) -> None:
        """A request is being admitted and its stamp is not written yet.

        Args:
            user: Who the request is.
            stamp: The stamp that will be written.
            now: The time.
            known_pages: Full pages of its known tokens, resident or not.
            touched: The resident ones of these.
            kv_pages: Pages of the worker.
        """
        self.accesses += known_pages
        for use in touched:
            self._hit(use, user, stamp, now)
        for category in self.categories:
            if category.uses > 4 * kv_pages:
                category.uses //= 2
                category.reuses //= 2
                category.gaps_us //= 2

    def _hit(self, use: Use, user: User, stamp: int, now: int) -> None:
        gap_ps = use.gap_ps(now)
        before = self.categories[use.last.category]
        before.reuses += 1
        before.gaps_us += gap_ps // PS_PER_US
        self.categories[user.category].uses += 1
        use.hits += 1
        use.switches += user.session != use.last.session
        use.gaps_ps += gap_ps
        use.gaps_us += gap_ps // PS_PER_US
        use.last = user
        use.priority = min(use.priority, user.priority)
        use.used_at_before, use.used_at = use.used_at, stamp
        use.inflation = self.inflation

    def stamped(self, use: Use, now: int) -> None:
        """A page got a stamp, at an admission (after `admitted`) or at an unlock."""
        use.stamped_ps = now
        use.accesses = self.accesses

    def check(self) -> None:
        """Assert what holds for the worker's counts at any time."""
        assert self.accesses >= 0 and self.inflation >= 0
        for category in self.categories:
            assert min(category.uses, category.reuses, category.gaps_us) >= 0
            # Halving starts above 4 uses, so it never leaves none.
            assert category.uses > 0 or category.reuses == category.gaps_us == 0, "a page is used before it is reused"
