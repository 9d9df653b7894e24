"""A request on a worker, and the iteration that it takes part in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .pages import Page
from .types import RefRecord, RefRequest
from .uses import User


class Live:
    """A request that was routed to a worker and is not finished.

    Attributes:
        index: Index of the request.
        path: Its pages.
        user: Its session and category.
        rank: Its place where the queue goes by priority, the smaller one first (E6).
        rule: Name of the evictor that does all evictions it forces; None leaves them to the worker's.
        emitted: Output tokens emitted so far; they survive a preemption.
        computed: Tokens whose KV exists here.
        target: Known tokens at admission, which the prefill has to reach.
        prefilling: Whether it has not.
        tree_pages: Pages of the path that it locks in the tree.
        own_pages: Pages that it holds outside the tree.
        arrived_ps: When all that is fetched for it is there, where it may be admitted before (T6).
    """

    def __init__(
        self,
        index: int,
        request: RefRequest,
        path: Sequence[Page],
        record: RefRecord,
        user: User,
        priority: int,
        rule: str | None = None,
    ) -> None:
        self.index = index
        self.prompt_tokens = len(request.prompt)
        self.output_tokens = len(request.output)
        self.path = path
        self.record = record
        self.user = user
        self.rank = (priority, record.arrival_ps, index)
        self.rule = rule
        self.emitted = 0
        self.computed = 0
        self.target = 0
        self.prefilling = False
        self.tree_pages = 0
        self.own_pages = 0
        self.arrived_ps = 0

    def lose(self) -> None:
        """Its worker crashed: nothing is computed or held any more; emitted tokens stay known."""
        self.computed = self.target = 0
        self.prefilling = False
        self.tree_pages = self.own_pages = 0
        self.arrived_ps = 0

    def known(self) -> int:
        """Known tokens: prompt and emitted ones."""
        return self.prompt_tokens + self.emitted

    def known_pages(self, page_size: int) -> Sequence[Page]:
        """Full pages of the known tokens, within the path (which ends before the last output token)."""
        return self.path[: self.known() // page_size]

    def locked_pages(self) -> Sequence[Page]:
        """The pages of the tree that this request locks, root first."""
        return self.path[: self.tree_pages]

    def held(self) -> int:
        """Pages held in all."""
        return self.tree_pages + self.own_pages


@dataclass
class Chunk:
    """Part of an iteration: `tokens` of a prefill, or one decoded token."""

    live: Live
    tokens: int
    is_decode: bool


@dataclass
class Iteration:
    """An iteration in progress."""

    start_ps: int
    end_ps: int
    chunks: list[Chunk] = field(default_factory=list)
