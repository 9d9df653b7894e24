"""Evictors that take the unlocked leaf page with the smallest key (docs/semantics.md#c7-keys)."""

from __future__ import annotations

import math

from .cache import Cache
from .evictors import Evictor, Need
from .pages import Page

SECONDS_PER_PS = 1e-12
SECONDS_PER_US = 1e-6
NEXT_PROMPT_TOKENS = 500
SPARED_TOKENS = 4096
ACCESSES_PER_LOG_HIT = 3000
REUSE_WINDOW_S = 300


class Keyed(Evictor):
    """Smallest key first; equal keys: the older stamp."""

    def key(self, cache: Cache, page: Page) -> float:
        """Key of an unlocked page."""
        raise NotImplementedError

    def victim(self, cache: Cache, need: Need) -> Page:
        return min(cache.leaves(), key=lambda leaf: (self.key(cache, leaf), cache.resident[leaf].stamp))


class Fifo(Keyed):
    """The recency counter when the page entered."""

    def key(self, cache: Cache, page: Page) -> float:
        return cache.resident[page].use.entered_at


class Lfu(Keyed):
    """Hits."""

    def key(self, cache: Cache, page: Page) -> float:
        return cache.resident[page].use.hits


class Mru(Keyed):
    """Minus the stamp."""

    def key(self, cache: Cache, page: Page) -> float:
        return -cache.resident[page].stamp


class Slru(Keyed):
    """Pages that were never hit before the others."""

    def key(self, cache: Cache, page: Page) -> float:
        return int(cache.resident[page].use.hits > 0)


class SlruTwoHits(Keyed):
    """Pages that were hit less than twice before the others."""

    def key(self, cache: Cache, page: Page) -> float:
        return int(cache.resident[page].use.hits >= 2)


class GhostSlru(Keyed):
    """Pages that were never hit and did not enter as ghosts before the others."""

    def key(self, cache: Cache, page: Page) -> float:
        use = cache.resident[page].use
        return int(use.hits > 0 or use.ghost)


class Wlfu(Keyed):
    """Page accesses at the last stamp, and a bonus for hits."""

    def key(self, cache: Cache, page: Page) -> float:
        use = cache.resident[page].use
        return use.accesses + ACCESSES_PER_LOG_HIT * math.log(1 + use.hits)


class TailLru(Keyed):
    """Pages beyond what their session's next prompt needs before the others."""

    def key(self, cache: Cache, page: Page) -> float:
        tokens = self.context.sessions.tokens(cache.resident[page].use.last.session)
        last_token = (page.number + 1) * self.context.engine.page_size  # tokens are numbered from 1
        return int(last_token <= max(0, tokens + NEXT_PROMPT_TOKENS - SPARED_TOKENS))


class Gdsf(Keyed):
    """Uses times the time that computing the page takes, on top of the inflation at its last use."""

    def key(self, cache: Cache, page: Page) -> float:
        engine = self.context.engine
        use = cache.resident[page].use
        size = engine.page_size
        cost = self.context.cost.share_s(size, page.number * size, engine.chunk_tokens)
        return use.inflation + (1 + use.hits) * cost

    def victim(self, cache: Cache, need: Need) -> Page:
        page = super().victim(cache, need)
        cache.ledger.inflation = self.key(cache, page)
        return page


class WorkloadAware(Keyed):
    """Probability that the page is used again soon, as its category was until now."""

    def key(self, cache: Cache, page: Page) -> float:
        use = cache.resident[page].use
        category = cache.ledger.categories[use.last.category]
        if category.reuses == 0:
            return 0.0
        p = min(1.0, category.reuses / category.uses)
        rate = category.reuses / (max(1, category.gaps_us) * SECONDS_PER_US)
        idle = (cache.now - use.stamped_ps) * SECONDS_PER_PS
        survival = math.exp(-rate * idle)
        denominator = 1 - p + p * survival
        if denominator == 0.0:
            return 0.0  # p = 1 and the survival is below the smallest float: hopelessly late
        return p * (survival - math.exp(-rate * (idle + REUSE_WINDOW_S))) / denominator


class Priority(Keyed):
    """Pages that matter least first: minus the smallest priority of those who used it."""

    def key(self, cache: Cache, page: Page) -> float:
        return -cache.resident[page].use.priority


class LruK(Keyed):
    """The recency counter at the use before the last one; pages that were used once go before all others."""

    def key(self, cache: Cache, page: Page) -> float:
        before = cache.resident[page].use.used_at_before
        return -1 if before is None else before
