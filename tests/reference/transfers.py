"""Transfers of pages between workers: decided, started, ended, given up (docs/semantics.md#transfers, #f2-crash)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .engine import Worker
from .live import Live
from .network import Network, Transfer


@dataclass(frozen=True)
class Offer:
    """A source, the tokens that it has beyond those of the target, and when their transfer would start and end."""

    source: int
    tokens: int
    start_ps: int
    end_ps: int


class Transfers:
    """All transfers of a cluster.

    Attributes:
        undone: Those that were decided and are not over, in the order of decisions.
        done: Those that came to their end.
        given_up: Source and target of those that did not.
        found: Per worker, fetched pages that were there already when the transfer was ready.
        cut_off: Per worker, tokens of transfers to it that were ready and came to no end.
    """

    def __init__(self, workers: Sequence[Worker], network: Network) -> None:
        self.workers = workers
        self.network = network
        self.page_size = workers[0].engine.page_size
        self.undone: list[Transfer] = []
        self.done: list[Transfer] = []
        self.given_up: list[tuple[int, int]] = []
        self.found = [0] * len(workers)
        self.cut_off = [0] * len(workers)

    # ---- decisions --------------------------------------------------------------------------------------------------

    def best_offer(self, tokens: Sequence[int], here: int, target: int, now: int) -> Offer | None:
        """The source that T2 takes, None if nobody has more than the target.

        Args:
            tokens: Tokens that each worker has, 0 for those that are down.
            here: Tokens that the target has.
            target: The worker that would receive.
            now: The time.
        """
        most = max((count for worker, count in enumerate(tokens) if worker != target), default=0)
        if most <= here:
            return None
        offers = [
            Offer(worker, most - here, *self.network.plan(worker, target, most - here, self.undone, now))
            for worker, count in enumerate(tokens)
            if worker != target and count == most
        ]
        return min(offers, key=lambda offer: (offer.end_ps, offer.source))

    def decide(self, live: Live, target: int, up: Sequence[bool], now: int) -> bool:
        """A request was routed to `target`: plan a transfer if it pays; returns whether it does."""
        size = self.page_size
        known_pages = live.known_pages(size)
        has = [len(worker.cache.resident_prefix(known_pages)) for worker in self.workers]
        here = has[target] * size
        tokens = [
            min(pages * size, live.known() - 1) // size * size if alive else 0
            for pages, alive in zip(has, up, strict=True)
        ]
        offer = self.best_offer(tokens, here, target, now)
        if offer is None or not self.pays(offer, here, live.known(), target, now):
            return False
        self.undone.append(Transfer(live, offer.source, target, (here + offer.tokens) // size, offer.tokens))
        self.workers[target].fetching.append(live)
        return True

    def pays(self, offer: Offer, here: int, known: int, target: int, now: int) -> bool:
        """Whether the transfer would be there sooner than the tokens are computed, of so many known ones.

        What comes while the tokens after it are computed is not waited for (T6).
        """
        link = self.network.link(offer.source, target)
        wait: float = offer.end_ps - now
        if link.overlap:
            there = here + offer.tokens
            ready = link.ready(offer.start_ps, offer.end_ps) - now
            wait = max(ready, wait - self.share_ps(target, known - there, there))
        return wait < self.share_ps(target, offer.tokens, here)

    def share_ps(self, target: int, tokens: int, after: int) -> float:
        """The share of these tokens (K2) in ps, in which times are whole numbers: equality is no matter of rounding."""
        worker = self.workers[target]
        chunk = worker.engine.chunk_tokens
        return tokens * (worker.cost.g[chunk] / chunk) + worker.cost.a_s * tokens * (after + (tokens + 1) / 2)

    # ---- start and end ----------------------------------------------------------------------------------------------

    def start_due(self, now: int) -> list[Transfer]:
        """Start, or give up, all that can start (T3), in the order of decisions; returns those that were tried."""
        tried = []
        for transfer in list(self.undone):
            if transfer.start_ps is None and self.network.may_start(transfer, self.undone):
                tried.append(transfer)
                if not self.start(transfer, now):
                    self.drop(transfer)
                    self.join(transfer)
        return tried

    def start(self, transfer: Transfer, now: int) -> bool:
        """Lock and allocate; False if it is given up."""
        live, source, target = transfer.live, self.workers[transfer.source], self.workers[transfer.target]
        pages = live.path[: transfer.pages]
        if len(source.cache.resident_prefix(pages)) < len(pages):
            return False
        prefix = target.cache.resident_prefix(pages)
        missing = len(pages) - len(prefix)
        for page in prefix:
            target.cache.lock(page)
        if missing == 0 or missing > target.cache.free + target.cache.evictable():
            for page in prefix:
                target.cache.unlock(page)
            return False
        for page in pages:
            source.cache.lock(page)
        source.lent.append(pages)
        live.tree_pages = len(prefix)
        source.cache.now = target.cache.now = now
        allocated = target.allocate(live, len(pages) * self.page_size)
        assert allocated and live.own_pages == missing
        transfer.tokens = missing * self.page_size
        transfer.start_ps = now
        transfer.end_ps = now + self.network.duration(transfer.source, transfer.target, transfer.tokens)
        transfer.ready_ps = self.network.link(transfer.source, transfer.target).ready(now, transfer.end_ps)
        return True

    def end_due(self, now: int) -> list[Transfer]:
        """What is due of transfers (T4, T6), in the order of decisions; returns those that were concerned."""
        due = [transfer for transfer in self.undone if transfer.start_ps is not None and transfer.next_ps() == now]
        for transfer in due:
            if not transfer.is_ready:
                self.bring(transfer, now)
            if transfer.end_ps == now:
                self.end(transfer, now)
        return due

    def bring(self, transfer: Transfer, now: int) -> None:
        """A transfer is ready: its pages enter, its request joins the queue."""
        live, target = transfer.live, self.workers[transfer.target]
        target.cache.now = now
        before = target.cache.fetched
        # As computed pages: this includes marks and, for rlt_code, what it does when a request's tree pages grow.
        target.insert(live, live.tree_pages * self.page_size, transfer.pages * self.page_size, fetched=True)
        self.found[transfer.target] += transfer.tokens // self.page_size - (target.cache.fetched - before)
        assert live.own_pages == 0 and live.tree_pages == transfer.pages
        target.let_go(live)
        target.transfer_ended()
        transfer.is_ready = True
        live.arrived_ps = transfer.end_ps
        self.join(transfer)

    def end(self, transfer: Transfer, now: int) -> None:
        """A transfer comes to its end, when its time is over or where its source crashes."""
        record = transfer.live.record
        assert record.finish_ps in (-1, now), "a request is done before all is there that it waited for"
        transfer.end_ps = transfer.live.arrived_ps = now
        self.unlock_source(transfer, now)
        self.undone.remove(transfer)
        self.done.append(transfer)
        record.fetched_tokens += transfer.tokens

    def unlock_source(self, transfer: Transfer, now: int) -> None:
        """The source's pages are unlocked: a tick there."""
        source, live = self.workers[transfer.source], transfer.live
        pages = live.path[: transfer.pages]
        source.cache.now = now
        source.cache.touch(live.known_pages(self.page_size))
        for page in pages:
            source.cache.unlock(page)
        source.lent.remove(pages)
        source.transfer_ended()

    def drop(self, transfer: Transfer) -> None:
        """A transfer is given up."""
        self.undone.remove(transfer)
        self.given_up.append((transfer.source, transfer.target))

    def join(self, transfer: Transfer) -> None:
        """The request waits for its transfer no longer."""
        worker = self.workers[transfer.target]
        worker.fetching.remove(transfer.live)
        worker.join(transfer.live)

    # ---- crash ------------------------------------------------------------------------------------------------------

    def crash(self, worker: int, now: int) -> None:
        """A worker crashes: give up transfers from it, or end them if they are ready (T6), then those to it (F2).

        Those to it count as given up, too: they came to no end. Their requests stay where they are, for the crash to
        send them back.
        """
        for transfer in [transfer for transfer in self.undone if transfer.source == worker]:
            if transfer.is_ready:
                self.end(transfer, now)
                continue
            self.drop(transfer)
            if transfer.start_ps is not None:
                target = self.workers[transfer.target]
                target.cache.now = now
                target.let_go(transfer.live)
                target.transfer_ended()
            self.join(transfer)
        for transfer in [transfer for transfer in self.undone if transfer.target == worker]:
            self.drop(transfer)
            self.cut_off[worker] += transfer.tokens * transfer.is_ready
            if transfer.start_ps is not None:
                self.unlock_source(transfer, now)
        self.workers[worker].lent.clear()

    # ---- books ------------------------------------------------------------------------------------------------------

    def links(self) -> dict[tuple[int, int], tuple[int, int, int, int]]:
        """Per pair of source and target: transfers that came to their end, their tokens, their ps, given up ones."""
        pairs = {(transfer.source, transfer.target) for transfer in self.done} | set(self.given_up)
        rows = {}
        for pair in sorted(pairs):
            mine = [transfer for transfer in self.done if (transfer.source, transfer.target) == pair]
            ps = sum(transfer.end_ps - transfer.start_ps for transfer in mine)
            rows[pair] = (len(mine), sum(transfer.tokens for transfer in mine), ps, self.given_up.count(pair))
        return rows
