"""A router's own index: which blocks of prompts it sent to which worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import Floats
from .compiled import compiled

Rows = NDArray[np.int32]
_ALL = 1 << 62
_SHORTEST_LOG = 4096  # entries
_KERNELS = "index_kernels"


class PromptIndex:
    """Blocks of prompts by worker, each block standing for all that comes before it.

    Production routers hash blocks of a fixed number of tokens, or of bytes (four a token, as llm-d and Kthena convert
    them). A block is rounded to whole pages here, at least one, as nothing finer is visible: the id of its last page is
    its hash. The end of a prompt that fills no block is a block, too, where it has a page. Of the warm-up, in which
    agents are not asked, an index knows nothing, nor of evictions.

    Args:
        env: The environment, or the view of it.
        block_tokens: Tokens of a block.
        capacities: Tokens that are remembered, of each worker; one number: of all together; None: no limit. The least
            recently sent blocks go first, the first ones of a prompt before those behind them.
        most_blocks: Blocks of a prompt that are looked at; None: all.
        ends_first: Of a prompt, the last blocks go first.
    """

    def __init__(
        self,
        env: Any,
        block_tokens: int,
        capacities: Sequence[int] | int | None = None,
        *,
        most_blocks: int | None = None,
        ends_first: bool = False,
    ) -> None:
        """Starts empty."""
        compiled(_KERNELS)  # no decision is to wait for that
        self._env, self._ends_first = env, ends_first
        self._most = _ALL if most_blocks is None else most_blocks
        self._page: int = env.scenario.engine.page_size
        self._step = max(1, round(block_tokens / self._page))
        n, size = env.layout.n_workers, self._step * self._page
        # No list of recency, one for all workers, or one each.
        self._shared = isinstance(capacities, int)
        n_lists = 0 if capacities is None else 1 if self._shared else n
        self._limits = [max(1, int(tokens) // size) for tokens in np.full(n_lists, capacities or 0)]
        self._row_of = np.zeros(1, np.int32)  # by page id; row 0 is for blocks that nobody was sent
        self._held = np.zeros((1, n), bool)
        self._sent = np.zeros((n_lists, 1), np.int32)  # number of the last send; 0: not remembered
        self._logs = [np.zeros((0, 2), np.int32)] * n_lists
        self._lists = np.zeros((n_lists, 3), np.int64)  # place of the first entry and of the next, blocks remembered
        self._n_rows, self._n_sends = 1, 0
        self._n_blocks = 0  # of the prompt that was looked up
        self._ids, self._rows = np.zeros(0, np.int64), np.zeros(0, np.int32)
        self._sizes = np.zeros(n)

    @property
    def sizes(self) -> Floats:
        """Blocks that each worker holds: float64 (n_workers,); counted when asked for where blocks are forgotten."""
        return self._held.sum(axis=0, dtype=np.float64) if self._limits else self._sizes

    def look_up(self, gone: Sequence[int] = ()) -> Floats:
        """Tokens at the beginning of the prompt that is being routed which each worker was sent: float64 (n_workers,).

        Args:
            gone: Workers to forget first.
        """
        for worker in gone:
            self._forget(worker)
        pages = self._env.prompt_pages()
        if len(pages) > len(self._ids):
            self._ids, self._rows = np.zeros(2 * len(pages), np.int64), np.zeros(2 * len(pages), np.int32)
        matched = np.empty(len(self._sizes))
        self._n_blocks = compiled(_KERNELS).match(
            *(pages, self._page, self._step, self._most, self._row_of, self._held, self._ids, self._rows, matched)
        )
        return matched

    def add(self, worker: int) -> None:
        """Notes that `worker` is sent the prompt that was looked up."""
        n = self._n_blocks
        self._make_room(n)
        self._n_rows, new = compiled(_KERNELS).hold(
            self._ids, self._rows, n, worker, self._row_of, self._held, self._n_rows
        )
        if not self._limits:
            self._sizes[worker] += new
            return
        place, of_worker = (0, -1) if self._shared else (worker, worker)
        self._n_sends += 1
        compiled(_KERNELS).remember(
            *(self._rows, n, self._ends_first, self._n_sends, place, of_worker, self._limits[place]),
            *(self._sent, self._log(place, n), self._lists, self._held),
        )

    def _make_room(self, n: int) -> None:
        """Makes tables long enough for the prompt's `n` blocks, should all be new."""
        last = int(self._ids[n - 1]) if n else 0  # ids rise along a prompt
        if last >= len(self._row_of):
            self._row_of = _grown(self._row_of, last + 1)
        if self._n_rows + n > len(self._held):
            self._held = _grown(self._held, self._n_rows + n)
            if self._limits:
                self._sent = np.ascontiguousarray(_grown(self._sent.T, self._n_rows + n).T)

    def _log(self, place: int, n: int) -> Rows:
        """The log of a list of recency, with room for `n` entries; where it has none, what no longer counts goes."""
        log = self._logs[place]
        head, tail, used = self._lists[place].tolist()
        if tail + n > len(log):
            live = log[head:tail]
            live = live[self._sent[place, live[:, 0]] == live[:, 1]]
            self._logs[place] = log = _grown(live, max(_SHORTEST_LOG, 2 * (len(live) + n)))
            self._lists[place] = 0, len(live), used
        return log

    def _forget(self, worker: int) -> None:
        self._held[:, worker] = False
        self._sizes[worker] = 0.0
        if self._limits and not self._shared:  # in a shared list blocks stay, with one holder less
            self._sent[worker] = 0
            self._lists[worker] = 0


def _grown(table: Any, length: int) -> Any:
    """The table, at least so long: new rows are 0."""
    if length <= len(table):
        return table
    more = np.zeros((max(length, 2 * len(table)) - len(table), *table.shape[1:]), table.dtype)
    return np.concatenate([table, more])
