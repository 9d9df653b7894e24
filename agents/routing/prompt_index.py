"""A router's own index: which blocks of prompts it sent to which worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import Floats

Rows = NDArray[np.int32]


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
        self._env, self._most, self._order = env, most_blocks, slice(None, None, -1 if ends_first else 1)
        self._page: int = env.scenario.engine.page_size
        self._step = max(1, round(block_tokens / self._page))
        n, size = env.layout.n_workers, self._step * self._page
        # No list of recency, one for all workers, or one each.
        self._shared = isinstance(capacities, int)
        lists = 0 if capacities is None else 1 if self._shared else n
        self._limits = [max(1, int(tokens) // size) for tokens in np.full(lists, capacities or 0)]
        self._row_of = np.zeros(1, np.int32)  # by page id; row 0 is for blocks that nobody was sent
        self._held = np.zeros((1, n), bool)
        self._sent = np.zeros((lists, 1), np.int32)  # number of the last send; 0: not remembered
        self._sends: list[deque[tuple[int, Rows]]] = [deque() for _ in range(lists)]
        self._used = [0] * lists
        self._n_rows, self._n_sends = 1, 0
        self._ids: NDArray[np.int64] = np.zeros(0, np.int64)
        self._looked_up: Rows = np.zeros(0, np.int32)
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
        ids = pages[self._step - 1 :: self._step]
        if len(pages) % self._step:
            ids = np.concatenate([ids, pages[-1:]])
        self._ids = ids = ids[: self._most]
        if len(ids) and ids[-1] >= len(self._row_of):  # ids rise along a prompt
            self._row_of = _grown(self._row_of, int(ids[-1]) + 1)
        rows = np.zeros(len(ids) + 1, np.int32)  # the last one is row 0, at which every match ends
        self._row_of.take(ids, out=rows[:-1], mode="clip")
        self._looked_up = rows[:-1]
        depths = self._held.take(rows[: rows.argmin() + 1], axis=0).argmin(axis=0)
        matched: Floats = np.minimum(depths * self._step, len(pages)) * float(self._page)
        return matched

    def add(self, worker: int) -> None:
        """Notes that `worker` is sent the prompt that was looked up."""
        rows = self._rows()
        if not self._limits:
            self._sizes[worker] += len(rows) - np.count_nonzero(self._held[rows, worker])
            self._held[rows, worker] = True
            return
        self._held[rows, worker] = True
        place = 0 if self._shared else worker
        sent = self._sent[place]
        self._used[place] += len(rows) - int(np.count_nonzero(sent[rows]))
        self._n_sends += 1
        sent[rows] = self._n_sends
        self._sends[place].append((self._n_sends, rows[self._order]))
        if self._used[place] > self._limits[place]:
            self._drop_oldest(place, self._used[place] - self._limits[place])

    def _rows(self) -> Rows:
        """Rows of the prompt's blocks, made where there is none."""
        rows = self._looked_up
        new = np.flatnonzero(rows == 0)
        if len(new):
            end = self._n_rows + len(new)
            rows[new] = self._row_of[self._ids[new]] = np.arange(self._n_rows, end)
            self._n_rows = end
            if end > len(self._held):
                self._held = _grown(self._held, end)
                self._sent = np.ascontiguousarray(_grown(self._sent.T, end).T)
        return rows

    def _drop_oldest(self, place: int, count: int) -> None:
        """Forgets so many blocks, those of the oldest sends that no later one had."""
        sends, sent = self._sends[place], self._sent[place]
        self._used[place] -= count
        while count > 0:
            number, rows = sends[0]
            live = rows[sent[rows] == number]
            drop = live[:count]
            if len(drop) < len(live):
                sends[0] = number, live[count:]
            else:
                sends.popleft()
            count -= len(drop)
            self._held[drop, slice(None) if self._shared else place] = False
            sent[drop] = 0

    def _forget(self, worker: int) -> None:
        self._held[:, worker] = False
        self._sizes[worker] = 0.0
        if self._limits and not self._shared:  # in a shared list blocks stay, with one holder less
            self._sent[worker] = 0
            self._sends[worker].clear()
            self._used[worker] = 0


def _grown(table: Any, length: int) -> Any:
    """The table, at least so long: new rows are 0."""
    if length <= len(table):
        return table
    more = np.zeros((max(length, 2 * len(table)) - len(table), *table.shape[1:]), table.dtype)
    return np.concatenate([table, more])
