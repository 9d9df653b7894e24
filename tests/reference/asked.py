"""EVICT decisions: the evictor is somebody else (docs/semantics.md#d6-evict, #d7-evict-by-rule, #d6-features)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from .cache import Cache
from .evictors import Context, Evictor, Need, open_phase, unmarked_leaves
from .pages import Page

Name = tuple[int, int]

MOST_DECISIONS = 8  # of one allocation, where a decision frees a tail


@dataclass(frozen=True)
class Candidate:
    """A leaf that can be chosen, and the features of D6.

    Attributes:
        page: The leaf page, as (lowest request whose path holds it, page number).
        drawn: Whether it is in the second half.
        marked: Whether the leaf page is marked.
        tail_pages: Pages of its tail.
        depth: Tokens up to the end of the leaf page.
        recompute_s: Seconds to recompute the tail.
        idle_ps: Time since its last stamp.
        age_ps: Time since it entered.
        hits: Its hits.
        gaps_ps: Sum over its hits of the time since the stamp before.
        gaps_us: The same, each in whole microseconds.
        sessions: 1 + how often a use came from another session than the use before.
        siblings: Other resident pages that follow the page above the tail.
        session_idle_ps: Time since the last request of the session that used it last was routed.
        session_turns: Requests of that session that were routed.
    """

    page: Name
    drawn: bool
    marked: bool
    tail_pages: int
    depth: int
    recompute_s: float
    idle_ps: int
    age_ps: int
    hits: int
    gaps_ps: int
    gaps_us: int
    sessions: int
    siblings: int
    session_idle_ps: int
    session_turns: int

    @property
    def mean_gap_s(self) -> float:
        """Mean reuse gap, 0 without a hit."""
        return self.gaps_ps * 1e-12 / self.hits if self.hits else 0.0


@dataclass(frozen=True)
class Question:
    """One EVICT decision.

    Attributes:
        time_ps: When it is due.
        request: The request that the pages are for.
        worker: Its worker.
        wanted: Pages that the allocation still wants.
        decisions_left: Decisions that the allocation may still take at most, this one included.
        free: Free pages.
        locked: Locked pages, requests' own ones outside the tree included.
        unmarked: Resident pages without a mark.
        slots: The candidates, None where a slot is empty; no slots in rule form.
    """

    time_ps: int
    request: int
    worker: int
    wanted: int
    decisions_left: int
    free: int
    locked: int
    unmarked: int
    slots: tuple[Candidate | None, ...]


Decide = Callable[[Question], int | str]


@dataclass(frozen=True)
class Form:
    """How decisions are asked for.

    Attributes:
        decide: Answers a question with a slot, in rule form with the name of an evictor.
        candidates: Slots, an even number; 0 is the rule form.
        quantum: Most pages that one decision frees: 1, or "leaf" for the whole tail.
        offer: "unhit": the second quarter of the slots goes by hits; else the first half goes by stamps.
    """

    decide: Decide
    candidates: int = 16
    quantum: int | Literal["leaf"] = "leaf"
    offer: str = "oldest"


class Asked(Evictor):
    """Asks who goes."""

    def __init__(self, context: Context, form: Form, rules: Mapping[str, Evictor]) -> None:
        super().__init__(context)
        self.form = form
        self.rules = rules

    def make_room(self, cache: Cache, need: Need) -> None:
        if self.form.candidates == 0:
            name = self.form.decide(self._question(cache, need, need.pages, 1, ()))
            self.rules[name].make_room(cache, need)
            return
        wanted, most = need.pages, MOST_DECISIONS if self.form.quantum == "leaf" else need.pages
        taken = 0
        while wanted > 0 and taken < most:
            wanted -= self._decision(cache, need, wanted, min(wanted, most - taken))
            taken += 1
        self.rules["lru"].make_room(cache, replace(need, pages=wanted))

    def _decision(self, cache: Cache, need: Need, wanted: int, decisions_left: int) -> int:
        """Offer the slots, free what the answer allows; returns the number of pages that went."""
        open_phase(cache, need.path)
        leaves = self._offer(cache)
        slots = tuple(
            None if leaf is None else self._candidate(cache, leaf, drawn=2 * slot >= len(leaves))
            for slot, leaf in enumerate(leaves)
        )
        choice = self.form.decide(self._question(cache, need, wanted, decisions_left, slots))
        if not 0 <= choice < len(leaves) or leaves[choice] is None:
            raise ValueError(f"slot {choice} is empty")
        tail = cache.tail_of(leaves[choice])
        count = min(wanted, len(tail) if self.form.quantum == "leaf" else self.form.quantum, len(tail))
        for page in tail[:count]:
            cache.evict(page)
        return count

    def _offer(self, cache: Cache) -> list[Page | None]:
        """Leaves with the oldest stamps (and those with the fewest hits), then draws; None where there is none left."""
        half = self.form.candidates // 2
        oldest = sorted(cache.leaves(), key=lambda leaf: cache.resident[leaf].stamp)
        unhit = sorted(oldest, key=lambda leaf: cache.resident[leaf].use.hits)  # sorting keeps the order of equals
        first = [(oldest, half // 2), (unhit, half // 2)] if self.form.offer == "unhit" else [(oldest, half)]
        left = unmarked_leaves(cache)
        drawn: list[Page] = []
        while left and len(drawn) < half:
            drawn.append(self.context.chooser.choose(left))
            left.remove(drawn[-1])
        parts = [*first, (drawn, half)]
        return [part[i] if i < len(part) else None for part, size in parts for i in range(size)]

    def _question(
        self, cache: Cache, need: Need, wanted: int, decisions_left: int, slots: tuple[Candidate | None, ...]
    ) -> Question:
        return Question(
            time_ps=cache.now,
            request=need.request,
            worker=self.context.worker,
            wanted=wanted,
            decisions_left=decisions_left,
            free=cache.free,
            locked=cache.kv_pages - cache.free - cache.evictable(),
            unmarked=len(cache.resident) - cache.marked(),
            slots=slots,
        )

    def _candidate(self, cache: Cache, leaf: Page, drawn: bool) -> Candidate:
        slot, tail = cache.resident[leaf], cache.tail_of(leaf)
        use, above = slot.use, tail[-1].parent
        engine, sessions = self.context.engine, self.context.sessions
        size = engine.page_size
        return Candidate(
            page=(leaf.first_request, leaf.number),
            drawn=drawn,
            marked=slot.marked,
            tail_pages=len(tail),
            depth=(leaf.number + 1) * size,
            recompute_s=self.context.cost.share_s(len(tail) * size, tail[-1].number * size, engine.chunk_tokens),
            idle_ps=cache.now - use.stamped_ps,
            age_ps=cache.now - use.entered_ps,
            hits=use.hits,
            gaps_ps=use.gaps_ps,
            gaps_us=use.gaps_us,
            sessions=1 + use.switches,
            siblings=0 if above is None else cache.resident[above].children - 1,
            session_idle_ps=cache.now - sessions.routed_ps[use.last.session],
            session_turns=sessions.turns[use.last.session],
        )
