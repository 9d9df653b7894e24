"""One worker: its queue, its running requests, and an iteration's start and end (docs/semantics.md)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence

from .cache import Cache
from .evictors import Context, Evictor, Need
from .live import Chunk, Iteration, Live
from .pages import Page
from .types import RefTotals


class Worker:
    """A model replica with its engine and its cache."""

    def __init__(self, cache: Cache, context: Context, evictor: Evictor, rules: Mapping[str, Evictor]) -> None:
        """A worker that has nothing to do.

        Args:
            cache: Its empty cache.
            context: Its cost and engine, and what it shares with other workers.
            evictor: Who evicts for a request that names nobody.
            rules: The evictors that a request can name.
        """
        self.cache = cache
        self.cost = context.cost
        self.engine = context.engine
        self.evictor = evictor
        self.rules = rules
        self.admitted = context.admitted
        self.sessions = context.sessions
        self.iteration_cost = context.cost  # of the next iteration: slow-downs change it, estimates do not know
        self.queue: deque[Live] = deque()
        self.fetching: list[Live] = []  # routed here, but they wait for a transfer
        self.lent: list[Sequence[Page]] = []  # pages that each started transfer from here locks
        self.running: list[Live] = []  # in admission order
        self.iteration: Iteration | None = None
        self.head_refused = False
        self.prefill_waits = False
        self.stuck = False  # there is work, but nothing to compute (E1)
        self.totals = RefTotals()
        self.log: list[tuple[int, int, int, int, int, int]] = []

    # ---- pages ------------------------------------------------------------------------------------------------------

    def pages_for(self, tokens: int) -> int:
        """Pages that hold this many tokens."""
        return -(-tokens // self.engine.page_size)

    def missing(self, live: Live, tokens: int) -> int:
        """Pages that a request still needs to hold its first `tokens` tokens."""
        return max(0, self.pages_for(tokens) - live.held())

    def allocate(self, live: Live, tokens: int) -> bool:
        """Give a request the pages for its first `tokens` tokens, evicting if need be; False if there are too few."""
        count = self.missing(live, tokens)
        cache = self.cache
        if count > cache.free:
            evictable = cache.evictable()
            if count > cache.free + evictable:
                return False
            wanted = min(count, evictable) if self.engine.evict_full_request else count - cache.free
            evictor = self.evictor if live.rule is None else self.rules[live.rule]
            evictor.make_room(cache, Need(wanted, live.index, live.known_pages(self.engine.page_size)))
        cache.free -= count
        live.own_pages += count
        return True

    def let_go(self, live: Live) -> None:
        """A request holds no pages any more: stamp its path, unlock its tree pages, free its others."""
        self.cache.touch(live.known_pages(self.engine.page_size))
        for page in live.locked_pages():
            self.cache.unlock(page)
        self.cache.free += live.own_pages
        live.tree_pages = live.own_pages = 0

    def release(self, live: Live) -> None:
        """A request stops running."""
        self.let_go(live)
        self.running.remove(live)
        self.head_refused = False
        self.prefill_waits = False

    def transfer_ended(self) -> None:
        """A transfer from or to this worker that had started let go of its pages here: who waits may try again."""
        self.head_refused = False
        self.prefill_waits = False
        self.stuck = False

    def join(self, live: Live) -> None:
        """A request joins the queue: behind the others, or by its rank (E6)."""
        place = len(self.queue)
        if self.engine.queue == "priority":
            place = sum(other.rank < live.rank for other in self.queue)
        self.queue.insert(place, live)
        if place == 0:
            self.head_refused = False  # if there was a head, it is not any more
        self.stuck = False

    # ---- iteration start --------------------------------------------------------------------------------------------

    def has_work(self) -> bool:
        """Whether an iteration can start."""
        return self.iteration is None and not self.stuck and bool(self.queue or self.running)

    def start(self, now: int) -> None:
        """Start an iteration, unless there is nothing to compute."""
        self.cache.now = now
        chunks, preempted = self.compose(now)
        if not chunks and preempted:
            chunks, preempted = self.compose(now)
            assert not preempted, "nobody was left who decodes"
        if not chunks:
            assert self.lent or any(live.held() for live in self.fetching), "a worker with work has nothing to do"
            self.stuck = True
            return

        prefills = [chunk for chunk in chunks if not chunk.is_decode]
        decodes = [chunk for chunk in chunks if chunk.is_decode]
        tokens = sum(chunk.tokens for chunk in prefills)
        attended = sum(chunk.tokens * (chunk.live.computed + (chunk.tokens + 1) / 2) for chunk in prefills)
        kv = sum(chunk.live.known() for chunk in decodes)
        duration = self.iteration_cost.duration(tokens, len(prefills), len(decodes), kv, attended)
        # T6. This concerns first chunks alone: whatever comes after one starts later.
        duration = max(duration, *(chunk.live.arrived_ps - now for chunk in chunks))
        self.iteration = Iteration(now, now + duration, chunks)
        self.totals.iterations += 1
        self.totals.busy_ps += duration
        self.log.append((now, now + duration, tokens, len(prefills), len(decodes), kv))

    def compose(self, now: int) -> tuple[list[Chunk], bool]:
        """What an iteration that starts now computes; also whether somebody was preempted."""
        if self.engine.schedule == "mixed":
            decodes, preempted = self.decode_step()
            budget = self.engine.chunk_tokens - len(decodes)
            return decodes + self.prefill_step(now, budget, may_admit=not preempted), preempted
        chunks = self.prefill_step(now, self.engine.chunk_tokens, may_admit=True)
        return (chunks, False) if chunks else self.decode_step()

    def decode_step(self) -> tuple[list[Chunk], bool]:
        """Step (1): one token for each decoding request; also whether somebody was preempted."""
        planned = []
        preempted = False
        for live in [live for live in self.running if not live.prefilling]:
            while live in self.running and not self.allocate(live, live.known()):
                self.preempt(self.next_victim())
                preempted = True
            if live in self.running:
                planned.append(live)
        # By rank, a victim may be one whose token was planned already.
        return [Chunk(live, 1, is_decode=True) for live in planned if live in self.running], preempted

    def next_victim(self) -> Live:
        """Who is preempted: the latest admitted, or the one with the largest rank (E6)."""
        if self.engine.queue == "priority":
            return max(self.running, key=lambda live: live.rank)
        return self.running[-1]

    def preempt(self, live: Live) -> None:
        """Send a running request back to the head of the queue, or to its place there; its full pages stay cached."""
        self.release(live)
        live.record.preemptions += 1
        if self.engine.queue == "priority":
            self.join(live)
        else:
            self.queue.appendleft(live)

    def prefill_step(self, now: int, budget: int, may_admit: bool) -> list[Chunk]:
        """Steps (2) and (3): the unfinished prefill, then admissions."""
        chunks = []
        unfinished = [live for live in self.running if live.prefilling]
        assert len(unfinished) <= 1
        for live in unfinished:
            tokens = min(budget, live.target - live.computed)
            assert tokens > 0
            if self.prefill_waits or not self.allocate(live, live.computed + tokens):
                self.prefill_waits = True
                return []
            chunks.append(Chunk(live, tokens, is_decode=False))
            budget -= tokens
        while may_admit and self.queue and budget > 0 and len(self.running) < self.engine.max_running:
            if self.head_refused and self.running:
                break
            live = self.queue[0]
            tokens = self.admit(live, now, budget)
            if tokens == 0:
                self.head_refused = True
                break
            chunks.append(Chunk(live, tokens, is_decode=False))
            budget -= tokens
        return chunks

    def admit(self, live: Live, now: int, budget: int) -> int:
        """Try to admit the head of the queue; returns the tokens of its first chunk, 0 if it is refused."""
        page_size = self.engine.page_size
        cache = self.cache
        known_pages = live.known_pages(page_size)
        prefix = cache.resident_prefix(known_pages)
        hit = min(len(prefix) * page_size, live.known() - 1) // page_size * page_size
        tokens = min(budget, live.known() - hit)

        for page in prefix:
            cache.lock(page)
        live.tree_pages = len(prefix)
        if not self.may_admit(live, hit + tokens):
            for page in prefix:
                cache.unlock(page)
            live.tree_pages = 0
            return 0

        self.evictor.on_admission(cache, prefix, hit)
        cache.admit(known_pages, live.user)
        for number in range(len(prefix)):
            self.show_next(live, number)
        self.queue.popleft()
        self.running.append(live)
        self.admitted.add(live.index)
        self.head_refused = False
        self.totals.hit += hit // page_size
        live.computed = hit
        live.target = live.known()
        live.prefilling = True
        if live.record.admitted_ps < 0:
            live.record.admitted_ps = now
            live.record.hit_tokens = hit
        allocated = self.allocate(live, hit + tokens)
        assert allocated
        return tokens

    def may_admit(self, live: Live, first_chunk_end: int) -> bool:
        """The admission test, after the lookup's lock."""
        available = self.cache.free + self.cache.evictable()
        if self.missing(live, first_chunk_end) > available:
            return False
        # Alone, every request fits (3.1.5): reserving room for tokens that take no page must not idle an empty worker.
        if self.engine.schedule == "mixed" or not self.running:
            return True
        owed = sum(self.missing(other, self.reserved_tokens(other)) for other in self.running)
        return self.missing(live, self.reserved_tokens(live)) <= available - owed

    def reserved_tokens(self, live: Live) -> int:
        """Tokens that `prefill_first` reserves room for."""
        return live.prompt_tokens + math.ceil(self.engine.reserve_output * live.output_tokens)

    # ---- iteration end ----------------------------------------------------------------------------------------------

    def finish_iteration(self, now: int) -> list[int]:
        """End the iteration in progress; returns the requests that finished."""
        chunks = {chunk.live: chunk for chunk in self.iteration.chunks}
        self.iteration = None
        self.cache.now = now
        finished = []
        for live in list(self.running):
            if live in chunks and self.finish_chunk(live, chunks[live].tokens, now):
                finished.append(live.index)
        return finished

    def finish_chunk(self, live: Live, tokens: int, now: int) -> bool:
        """One request's part of an iteration's end; returns whether the request finished."""
        self.insert(live, live.computed, live.computed + tokens)
        live.computed += tokens
        live.prefilling = live.prefilling and live.computed < live.target
        if live.prefilling:
            return False
        live.emitted += 1
        if live.emitted == 1:
            live.record.first_token_ps = now
        if live.emitted < live.output_tokens:
            return False
        live.record.finish_ps = now
        self.sessions.finish(live.index, self.evictor.context.worker, now)
        self.evictor.on_insert(self.cache, live.locked_pages())
        self.evictor.on_finish(self.cache, live.locked_pages())
        if live.path:
            self.cache.show(live.path[-1], None)
        self.release(live)
        return True

    def insert(self, live: Live, start: int, end: int, fetched: bool = False) -> None:
        """Full pages of the tokens start .. end enter the tree, root first; they were computed, or fetched."""
        cache = self.cache
        grown = False
        for number in range(start // self.engine.page_size, end // self.engine.page_size):
            page = live.path[number]
            if page in cache.resident and not fetched:
                self.totals.recomputed += 1
            if number < live.tree_pages:
                continue  # rewritten in place
            if page in cache.resident:
                cache.lock(page)
                cache.free += 1
                self.totals.found += not fetched
            else:
                cache.enter(page, live.user, fetched)
                self.evictor.on_enter(cache, page)
            live.own_pages -= 1
            live.tree_pages += 1
            grown = True
            if number > 0:
                self.cache.show(live.path[number - 1], page)
            self.show_next(live, number)
        if grown:
            self.evictor.on_insert(cache, live.locked_pages())

    def show_next(self, live: Live, number: int) -> None:
        """A request shows its next page after one of its locked tree pages, if it is known already."""
        known_pages = live.known_pages(self.engine.page_size)
        if number + 1 < len(known_pages):
            self.cache.show(live.path[number], known_pages[number + 1])

    # ---- crash ------------------------------------------------------------------------------------------------------

    def crash(self, now: int) -> list[Live]:
        """Lose the iteration in progress and all pages (rule F2); returns the requests, which are no longer here.

        Transfers from and to this worker were given up before.
        """
        assert not self.lent
        if self.iteration:
            # It stays counted, and busy up to the crash; the rules don't say whether a lost iteration counts.
            self.totals.busy_ps -= self.iteration.end_ps - now
            self.log[-1] = (self.log[-1][0], now, *self.log[-1][2:])
            self.iteration = None
        gone = [*self.running, *self.queue, *self.fetching]
        self.queue.clear()
        self.running.clear()
        self.fetching.clear()
        for live in gone:
            live.lose()
            live.record.returns += 1
        self.head_refused = self.prefill_waits = self.stuck = False
        self.cache.crash()
        self.sessions.crash(self.evictor.context.worker)
        self.evictor.on_crash(now)
        return gone

    # ---- check ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Assert docs/semantics.md#c1-pages and that running requests hold the pages of what they computed."""
        held = [(live.locked_pages(), live.own_pages) for live in [*self.running, *self.fetching]]
        self.cache.check(held + [(pages, 0) for pages in self.lent])
        self.evictor.check(self.cache)
        for live in self.running:
            assert live.tree_pages >= live.computed // self.engine.page_size
            assert live.held() >= self.pages_for(live.computed)
        assert all(live.held() == 0 for live in self.queue)
        if self.engine.queue == "priority":
            ranks = [live.rank for live in self.queue]
            assert ranks == sorted(ranks)
