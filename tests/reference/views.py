"""What a router sees, and the built-in routing rules (rule D2 of docs/semantics.md)."""

from __future__ import annotations

from collections.abc import Sequence

from .engine import Worker
from .pages import Page


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


class View:
    """What the router sees at a decision.

    Attributes:
        workers: Number of workers.
        decisions: Decisions made before this one.
    """

    def __init__(self, workers: Sequence[Worker], histories: Sequence[History] | None, page_size: int) -> None:
        self.workers = len(workers)
        self.decisions = 0
        self._workers = workers
        self._histories = histories
        self._page_size = page_size
        self._prompt_tokens = 0
        self._prompt_pages: Sequence[Page] = ()

    def ask_about(self, prompt_tokens: int, prompt_pages: Sequence[Page]) -> None:
        """Set the request that `visible_hit` is about: its prompt's length and full pages."""
        self._prompt_tokens = prompt_tokens
        self._prompt_pages = prompt_pages

    def queued(self, worker: int) -> int:
        """Requests in the worker's queue."""
        return len(self._workers[worker].queue)

    def running(self, worker: int) -> int:
        """Requests admitted there and not finished."""
        return len(self._workers[worker].running)

    def visible_hit(self, worker: int) -> int:
        """Tokens of the prompt that the view believes to be cached there."""
        pages = self._workers[worker].cache.resident if self._histories is None else self._histories[worker].touched
        matched = 0
        while matched < len(self._prompt_pages) and self._prompt_pages[matched] in pages:
            matched += 1
        return min(matched * self._page_size, self._prompt_tokens - 1) // self._page_size * self._page_size

    def routed(self, worker: int) -> None:
        """The request asked about was sent to this worker."""
        self.decisions += 1
        if self._histories is not None:
            self._histories[worker].add(self._prompt_pages)


def round_robin(view: View, request: int) -> int:
    """Worker 0 first, then the next one, in decision order."""
    return view.decisions % view.workers


def least_loaded(view: View, request: int) -> int:
    """Fewest queued + running, then lowest index."""
    return min(range(view.workers), key=lambda worker: (view.queued(worker) + view.running(worker), worker))


def prefix_affinity(view: View, request: int) -> int:
    """Most visible hit tokens, then fewest queued + running, then lowest index."""
    return min(
        range(view.workers),
        key=lambda worker: (-view.visible_hit(worker), view.queued(worker) + view.running(worker), worker),
    )
