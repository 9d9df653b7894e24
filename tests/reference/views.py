"""What a router sees, and the built-in routing rules (docs/semantics.md#d2-view, #f4-down, #d2-offer)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .engine import Worker
from .pages import Page
from .transfers import Transfers


class History:
    """A router's own record of the prompt pages that it sent to one worker; it is never told of evictions."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.touched: dict[Page, int] = {}
        self.clock = 0

    def add(self, prompt_pages: Sequence[Page]) -> None:
        """A prompt was routed to the worker."""
        self.clock += 1
        for page in prompt_pages:
            self.touched[page] = self.clock
        while len(self.touched) > self.limit:
            parents = {page.parent for page in self.touched}
            leaves = [page for page in self.touched if page not in parents]
            del self.touched[min(leaves, key=self.touched.__getitem__)]

    def forget(self) -> None:
        """The worker crashed."""
        self.touched = {}
        self.clock = 0


class View:
    """What the router sees at a decision.

    Attributes:
        workers: Number of workers.
        decisions: Decisions made before this one.
        last: Worker of the decision before this one, -1 before the first.
        now: The time of the decision.
        up: Per worker, whether it is up.
        in_flight: Per worker the full pages of the prompts in flight there, by request.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        histories: Sequence[History] | None,
        page_size: int,
        transfers: Transfers | None = None,
        speculative: bool = False,
    ) -> None:
        self.workers = len(workers)
        self.decisions = 0
        self.last = -1
        self.now = 0
        self.up = (True,) * len(workers)
        self.in_flight: list[dict[int, Sequence[Page]]] = [{} for _ in workers]
        self._transfers = transfers
        self._workers = workers
        self._histories = histories
        self._page_size = page_size
        self._speculative = speculative
        self._request = -1
        self._prompt_tokens = 0
        self._prompt_pages: Sequence[Page] = ()

    def ask_about(self, request: int, prompt_tokens: int, prompt_pages: Sequence[Page]) -> None:
        """Set the request that the view is about: its index, its prompt's length and full pages.

        For a request that came back these are its prompt's, too: F3 says that `prompt` and `miss` of a decision
        count its known tokens, not that more of it is matched or put on record (D2).
        """
        self._request = request
        self._prompt_tokens = prompt_tokens
        self._prompt_pages = prompt_pages

    def queued(self, worker: int) -> int:
        """Requests in the worker's queue, and those that wait for a transfer."""
        return len(self._workers[worker].queue) + len(self._workers[worker].fetching)

    def running(self, worker: int) -> int:
        """Requests admitted there and not finished."""
        return len(self._workers[worker].running)

    def shown(self, worker: int) -> Collection[Page]:
        """The pages that the view believes to be cached there, or soon to be."""
        if self._histories is not None:
            return self._histories[worker].touched
        resident = self._workers[worker].cache.resident
        if not self._speculative:
            return resident
        others = [prompt for request, prompt in self.in_flight[worker].items() if request != self._request]
        return set(resident).union(*others)

    def visible_hit(self, worker: int) -> int:
        """Tokens of the prompt that would hit by what the view shows there."""
        pages = self.shown(worker)
        matched = 0
        while matched < len(self._prompt_pages) and self._prompt_pages[matched] in pages:
            matched += 1
        return min(matched * self._page_size, self._prompt_tokens - 1) // self._page_size * self._page_size

    def alive(self) -> list[int]:
        """The workers that are up."""
        return [worker for worker in range(self.workers) if self.up[worker]]

    def first_up(self, wanted: int) -> int:
        """The first worker that is up, from this one on, cyclically."""
        return next(w for w in ((wanted + step) % self.workers for step in range(self.workers)) if self.up[w])

    def offer(self, worker: int) -> tuple[int, int]:
        """Tokens that a transfer could bring to the worker, and ps to its planned end (D2)."""
        if self._transfers is None or not self.up[worker]:
            return 0, 0
        tokens = [self.visible_hit(other) if self.up[other] else 0 for other in range(self.workers)]
        offer = self._transfers.best_offer(tokens, tokens[worker], worker, self.now)
        return (0, 0) if offer is None else (offer.tokens, offer.end_ps - self.now)

    def crashed(self, worker: int) -> None:
        """A worker crashed: the record of what was sent there is gone, and nothing is in flight there."""
        self.in_flight[worker] = {}
        if self._histories is not None:
            self._histories[worker].forget()

    def routed(self, worker: int) -> None:
        """The request asked about was sent to this worker."""
        self.decisions += 1
        self.last = worker
        self.in_flight[worker][self._request] = self._prompt_pages
        if self._histories is not None:
            self._histories[worker].add(self._prompt_pages)

    def finished(self, worker: int, request: int) -> None:
        """A request finished on a worker."""
        del self.in_flight[worker][request]


def round_robin(view: View, request: int) -> int:
    """Worker 0 first, then the next one that is up, in decision order.

    Next after the one chosen last: a worker that was passed over because it was down is not made up for.
    """
    return view.first_up((view.last + 1) % view.workers)


def least_loaded(view: View, request: int) -> int:
    """Fewest queued + running, then lowest index."""
    return min(view.alive(), key=lambda worker: (view.queued(worker) + view.running(worker), worker))


def prefix_affinity(view: View, request: int) -> int:
    """Most visible hit tokens, then fewest queued + running, then lowest index."""
    return min(
        view.alive(),
        key=lambda worker: (-view.visible_hit(worker), view.queued(worker) + view.running(worker), worker),
    )
