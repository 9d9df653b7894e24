"""The workload: tables of requests and of the prefix tree's nodes, and the paths between them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kvgym import _compile
from kvgym._check import whole
from kvgym.workload.checks import MAX_INT32, MAX_SEGMENT, check_length, picoseconds, wholes
from kvgym.workload.tables import REQUEST, Columns, Table, link_successors, subset, with_successors

Ints = NDArray[np.int64]
KERNELS = "kvgym.workload.assemble_kernels"


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Requests, and the prefix tree of all their prompts and outputs.

    Nodes end where paths part or end; a shared node also ends where the prompt of one of its requests ends. Output
    pages that are shared with a request that may run at the same time (any but a transitive successor) are nodes of
    one page.

    Attributes:
        requests: (n,) `REQUEST`, open-loop arrivals in order of time, predecessors before their successors.
        nodes: (m,) `NODE`.
        paths: int32, the node numbers of all requests' paths, root first, request after request.
        page_size: tokens per page.
        n_shared: nodes used by two or more requests.
        name: where the workload comes from, for reports.
        n_dropped: requests that `drop_oversized` and `drop_longer` took out.
    """

    requests: Table
    nodes: Table
    paths: NDArray[np.int32]
    page_size: int
    n_shared: int
    name: str = ""
    n_dropped: int = 0

    @classmethod
    def from_tokens(
        cls,
        prompts: Sequence[Sequence[int] | Ints],
        outputs: Sequence[int | Sequence[int] | Ints],
        arrivals: ArrayLike,
        page_size: int,
        *,
        name: str = "",
        **columns: Unpack[Columns],
    ) -> Workload:
        """Builds a workload from lists of tokens.

        Args:
            prompts: per request its tokens, integers in [0, 2**62).
            outputs: per request its output length (the tokens are then private), or its output tokens.
            arrivals: seconds >= 0 in ascending order; NaN or None for requests that have a predecessor.
            page_size: tokens per page, >= 1.
            name: for reports.
            **columns: see `Columns`.

        Raises:
            ValueError: for any other input; the message names the argument.
        """
        check_length("outputs", len(outputs), len(prompts))
        rows: list[Ints] = []
        known = np.zeros(len(prompts), np.int64)  # output tokens that are given
        output = np.zeros(len(prompts), np.int64)
        for i, (prompt_row, output_row) in enumerate(zip(prompts, outputs, strict=True)):
            rows.append(wholes(f"prompts[{i}]", prompt_row, None, 0, MAX_SEGMENT))
            if isinstance(output_row, (int, np.integer)):
                output[i] = whole(f"outputs[{i}]", output_row, 1)
            else:
                rows.append(wholes(f"outputs[{i}]", output_row, None, 0, MAX_SEGMENT))
                output[i] = known[i] = whole(f"the length of outputs[{i}]", len(output_row), 1)
        prompt = np.array([len(row) for row in prompts], np.int64)
        requests = _request_rows(prompt, output, arrivals, page_size, columns)
        # Token t is (segment 0, offset t), so that equal tokens are equal; a private output is a segment of its own.
        tokens = np.concatenate(rows)
        splits = np.append(0, np.cumsum(prompt + known))
        private = np.full_like(output, -1), np.zeros_like(output)
        runs = (splits, np.zeros_like(tokens), tokens, np.ones_like(tokens), output - known, *private)
        return cls._assemble(requests, runs, page_size, name)

    @classmethod
    def from_segments(
        cls,
        row_splits: ArrayLike,
        segments: ArrayLike,
        offsets: ArrayLike,
        lengths: ArrayLike,
        output_tokens: ArrayLike,
        arrivals: ArrayLike,
        page_size: int,
        *,
        output_segments: ArrayLike | None = None,
        output_offsets: ArrayLike | None = None,
        name: str = "",
        **columns: Unpack[Columns],
    ) -> Workload:
        """Builds a workload whose tokens are named (segment, offset) instead of being held.

        Args:
            row_splits: (n + 1,) integers; prompt i consists of the runs row_splits[i] : row_splits[i + 1].
            segments: per run its segment, in [0, 2**62).
            offsets: per run its first offset in the segment, >= 0.
            lengths: per run its tokens, >= 0.
            output_tokens: (n,) output lengths, >= 1.
            arrivals: as in `from_tokens`.
            page_size: tokens per page, >= 1.
            output_segments: (n,) the segment whose tokens the output is, so that later prompts can hold it; -1:
                private (default).
            output_offsets: (n,) its first offset in that segment, >= 0; default 0.
            name: for reports.
            **columns: see `Columns`.

        Raises:
            ValueError: for any other input; the message names the argument.
        """
        output = wholes("output_tokens", output_tokens, None, 1)
        n = len(output)
        segment = wholes("segments", segments, None, 0, MAX_SEGMENT)
        offset = wholes("offsets", offsets, len(segment), 0, MAX_SEGMENT)
        length = wholes("lengths", lengths, len(segment), 0)
        splits = wholes("row_splits", row_splits, n + 1, 0)
        if splits[0] != 0 or splits[-1] != len(segment) or (splits[1:] < splits[:-1]).any():
            raise ValueError(f"row_splits must ascend from 0 to {len(segment)}, the number of runs; got {splits}")
        tails = _column("output_segments", output_segments, n, -1, MAX_SEGMENT)
        firsts = _column("output_offsets", output_offsets, n, 0, MAX_SEGMENT, default=0)
        ends = np.append(0, np.cumsum(length))
        requests = _request_rows(ends[splits[1:]] - ends[splits[:-1]], output, arrivals, page_size, columns)
        return cls._assemble(requests, (splits, segment, offset, length, output, tails, firsts), page_size, name)

    @classmethod
    def _assemble(cls, requests: Table, runs: tuple[Ints, ...], page_size: int, name: str) -> Workload:
        """Adds the tree to a request table that lacks the columns which come from it.

        Per run, after the row splits (n + 1,): segments, offsets and lengths; then, per request, how many tokens follow
        them, of which segment (-1: a private one) and from which offset on.
        """
        nodes, paths, n_shared = _compile.load(KERNELS).assemble(requests, runs, page_size)
        return cls(requests, nodes, paths, page_size, n_shared, name)

    def __len__(self) -> int:
        """Number of requests."""
        return len(self.requests)

    def head(self, n: int) -> Workload:
        """The first n requests, without their later successors.

        Nodes stay cut where later requests cut them; their numbers of requests and slots are counted anew.

        Raises:
            ValueError: if n is not in 1 .. len(self).
        """
        if whole("n", n, 1) > len(self):
            raise ValueError(f"n must be in 1 .. {len(self)}, the number of requests; got {n}")
        return self._subset(np.arange(len(self)) < n)

    def fits(self, kv_pages: int) -> bool:
        """Whether every request fits a worker of `kv_pages` pages when it runs alone."""
        longest = int((self.requests["prompt_tokens"] + self.requests["output_tokens"]).max())
        return -(-(longest - 1) // self.page_size) <= whole("kv_pages", kv_pages, 1)

    def drop_oversized(self, kv_pages: int) -> Workload:
        """Without the requests that need more than `kv_pages` pages, and without their transitive successors.

        Raises:
            ValueError: if no request is left.
        """
        if self.fits(kv_pages):
            return self
        return self._without(self.peak_pages() > whole("kv_pages", kv_pages, 1), "kv_pages", kv_pages)

    def drop_longer(self, max_model_len: int) -> Workload:
        """Without the requests of more tokens, prompt and output together, and without their transitive successors.

        Raises:
            ValueError: if no request is left.
        """
        tokens = self.requests["prompt_tokens"].astype(np.int64) + self.requests["output_tokens"]
        return self._without(tokens > whole("max_model_len", max_model_len, 2), "max_model_len", max_model_len)

    def _without(self, too_long: NDArray[np.bool_], name: str, limit: int) -> Workload:
        dropped = with_successors(self.requests, too_long)
        if dropped.all():
            raise ValueError(f"{name} must be large enough for at least one request of {self.name!r}, got {limit}")
        n_dropped = self.n_dropped + int(dropped.sum())
        return replace(self._subset(~dropped), n_dropped=n_dropped) if dropped.any() else self

    def peak_pages(self) -> NDArray[np.int64]:
        """(n,) pages that each request holds just before it finishes: what a worker must have to serve it alone."""
        tokens: NDArray[np.int64] = self.requests["prompt_tokens"].astype(np.int64) + self.requests["output_tokens"] - 1
        return -(-tokens // self.page_size)

    def prompt_uses(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """For each shared node the requests whose prompt's full pages hold it.

        Returns:
            starts: (m + 1,) int64; node k's requests are requests[starts[k] : starts[k + 1]].
            requests: int32, ascending for each node. Rows of private nodes are empty.
        """
        request, node, _ = self._prompt_parts()
        shared = self.nodes["n_requests"][node] >= 2
        request, node = request[shared], node[shared]
        starts = np.zeros(len(self.nodes) + 1, np.int64)
        np.cumsum(np.bincount(node, minlength=len(self.nodes)), out=starts[1:])
        return starts, request[np.argsort(node, kind="stable")].astype(np.int32)

    def infinite_hit_rate(self) -> float:
        """Share of the prompt tokens that one cache without a limit would hit, were requests served in index order."""
        request, node, pages = self._prompt_parts()
        seen = self.nodes["first_request"][node] < request
        hit_pages = np.bincount(request[seen], weights=pages[seen], minlength=len(self))
        prompt = self.requests["prompt_tokens"].astype(np.int64)
        hit = np.minimum(hit_pages.astype(np.int64), (prompt - 1) // self.page_size) * self.page_size
        return float(hit.sum() / prompt.sum())

    def _subset(self, keep: NDArray[np.bool_]) -> Workload:
        requests, nodes, paths, n_shared = subset(self.requests, self.nodes, self.paths, keep)
        return replace(self, requests=requests, nodes=nodes, paths=paths, n_shared=n_shared)

    def _prompt_parts(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
        """Request, node and number of prompt pages for each path entry that holds full pages of the prompt."""
        request = np.repeat(np.arange(len(self)), self.requests["path_nodes"])
        start, n_pages = self.nodes["start_page"][self.paths], self.nodes["n_pages"][self.paths]
        pages = np.minimum(n_pages, self.requests["prompt_pages"][request] - start)
        inside = pages > 0
        return request[inside], self.paths[inside], pages[inside]

    def content_hash(self) -> str:
        """SHA-256 over the page size and all tables, the same on every machine; the name does not count."""
        digest = hashlib.sha256(f"{self.page_size} {self.n_shared} {len(self.requests)} {len(self.nodes)}".encode())
        for table in (self.requests, self.nodes):
            for field in table.dtype.names or ():
                column = table[field]
                digest.update(np.ascontiguousarray(column, column.dtype.newbyteorder("<")).tobytes())
        digest.update(np.ascontiguousarray(self.paths, "<i4").tobytes())
        return digest.hexdigest()


def _request_rows(prompt: Ints, output: Ints, arrivals: ArrayLike, page_size: int, columns: Columns) -> Table:
    """The request table, all but the columns that come from the tree."""
    for name in columns:
        if name not in Columns.__annotations__:
            allowed = ", ".join(Columns.__annotations__)
            raise TypeError(f"unexpected keyword argument {name!r}; allowed are {allowed}")
    n = len(prompt)
    whole("the number of requests", n, 1)
    if whole("page_size", page_size, 1) > MAX_INT32:
        raise ValueError(f"page_size must be at most {MAX_INT32}, got {page_size}")
    if (prompt < 1).any():
        raise ValueError(f"each prompt must have at least one token, but prompt {np.argmax(prompt < 1)} is empty")
    if (prompt + output > MAX_INT32).any():
        i = int(np.argmax(prompt + output > MAX_INT32))
        raise ValueError(
            f"prompt + output tokens must be at most {MAX_INT32}, got {prompt[i] + output[i]} in request {i}"
        )
    rows = np.zeros(n, REQUEST)
    rows["prompt_tokens"], rows["output_tokens"] = prompt, output
    rows["prompt_pages"] = prompt // page_size
    rows["path_pages"] = (prompt + output - 1) // page_size
    rows["predecessor"] = predecessor = _column("predecessors", columns.get("predecessors"), n, -1)
    late = predecessor >= np.arange(n)
    if late.any():
        i = int(np.argmax(late))
        raise ValueError(f"predecessors[{i}] must be smaller than the request's own index, got {predecessor[i]}")
    _fill_times(rows, arrivals, columns.get("think_times"))
    session, turn = _default_sessions(predecessor)
    rows["session"] = _column("sessions", columns.get("sessions"), n, 0, default=session)
    rows["turn"] = _column("turns", columns.get("turns"), n, 0, default=turn)
    rows["tenant"] = _column("tenants", columns.get("tenants"), n, 0, default=0)
    rows["service_class"] = _column("service_classes", columns.get("service_classes"), n, 0, default=0)
    link_successors(rows)
    return rows


def _fill_times(rows: Table, arrivals: ArrayLike, think_times: ArrayLike | None) -> None:
    first = rows["predecessor"] < 0
    rows["arrival_ps"] = arrival = picoseconds("arrivals", arrivals, len(rows), first)
    surplus = ~first & ~np.isnan(np.asarray(arrivals, np.float64))
    if surplus.any():
        i = int(np.argmax(surplus))
        raise ValueError(f"arrivals[{i}] must be NaN or None, because the request has a predecessor")
    starts = arrival[first]
    early = starts[1:] < starts[:-1]
    if early.any():
        i = int(np.flatnonzero(first)[1:][np.argmax(early)])
        raise ValueError(f"arrivals must be sorted by time, but arrivals[{i}] = {arrival[i] / 1e12} goes back")
    if think_times is not None:
        rows["think_ps"] = np.maximum(0, picoseconds("think_times", think_times, len(rows), ~first))


def _column(
    name: str, values: ArrayLike | None, n: int, low: int, high: int = MAX_INT32, default: int | Ints = -1
) -> Ints:
    return np.full(n, default, np.int64) if values is None else wholes(name, values, n, low, high)


def _default_sessions(predecessor: Ints) -> tuple[Ints, Ints]:
    """A session for each chain, numbered by first appearance, and the depth in the chain."""
    follows = predecessor >= 0
    session = np.cumsum(~follows) - 1
    turn = np.zeros(len(predecessor), np.int64)
    for i in np.flatnonzero(follows):
        session[i], turn[i] = session[predecessor[i]], turn[predecessor[i]] + 1
    return session, turn
