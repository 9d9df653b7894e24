"""Everything that the simulator's tables say twice, counted again from running requests and transfers, page by page."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

import numpy as np

from kvgym.sim import EVICTORS, Simulator
from kvgym.sim.cache.tree import PLANNED, READY
from kvgym.sim.evictors import bit
from kvgym.sim.evictors.departed import RETURNED

Page = tuple[int, int]
"""A node of the workload, and a page of it."""


class Recount:
    """The cache of one worker, counted from scratch."""

    def __init__(self, simulator: Simulator, worker: int) -> None:
        self.tables = simulator.tables
        self.config = self.tables["config"][0]
        self.worker = worker
        self.row = self.tables["workers"][worker]
        self.locks: dict[Page, int] = defaultdict(int)
        self.own = 0
        first = worker * int(self.config["max_running"])
        self.running = self.tables["running"][first : first + int(self.row["n_running"])].tolist()
        for q in self.running:
            self.count_held(q)
        clock = self.tables["clock"][0]
        self.transfers = self.tables["transfers"][: int(clock["n_transfers"])]
        for transfer in self.transfers[self.transfers["stage"] != PLANNED]:
            q = int(transfer["request"])
            if transfer["target"] == worker and transfer["stage"] != READY:
                self.count_held(q)
            elif transfer["source"] == worker:
                self.lock(self.path(q)[: transfer["end_page"]])

    def count_held(self, q: int) -> None:
        """Request `q` holds pages of this worker: some of the tree, and own ones."""
        progress = self.tables["progress"][q]
        self.lock(self.path(q)[: progress["tree_pages"]])
        self.own += int(progress["held_pages"] - progress["tree_pages"])

    def lock(self, pages: list[Page]) -> None:
        """One lock more on each."""
        for page in pages:
            self.locks[page] += 1

    def path(self, q: int) -> list[Page]:
        """Pages of a request's path."""
        request = self.tables["requests"][q]
        nodes = self.tables["paths"][request["path_start"] : request["path_start"] + request["path_nodes"]]
        return [(int(v), page) for v in nodes for page in range(self.tables["nodes"]["n_pages"][v])]

    def cache_rows(self) -> list[tuple[int, Any]]:
        """Row numbers and rows of this worker's nodes that hold a page."""
        rows, nodes, progress = self.tables["rows"], self.tables["nodes"], self.tables["progress"]
        node = rows["node"]
        shared = nodes["slot"][node] < self.config["n_shared"]
        at_home = np.arange(len(rows)) % len(self.tables["workers"])
        worker = np.where(shared, at_home, progress["worker"][nodes["first_request"][node]])
        found = np.flatnonzero((worker == self.worker) & (rows["cached"] > 0))
        names = rows.dtype.names
        values = [dict(zip(names, row, strict=True)) for row in rows[found].tolist()]
        return list(zip(found.tolist(), values, strict=True))

    def keeps(self, module: str) -> bool:
        """Whether a module of evictors is told what happens."""
        return bool(self.config["keeps"] & bit(module))

    def check_heaps(self, leaves: set[int]) -> None:
        """The heaps hold the leaves, each in its place, and none before the one above it."""
        heaps = self.tables["heaps"]
        if not self.keeps("heap") or heaps["rule"][self.worker] < 0:
            return
        found = []
        for heap in range(self.worker, len(heaps), len(self.tables["workers"])):
            first = heap * int(self.config["leaf_capacity"])
            entries = self.tables["heap_entries"][first : first + int(heaps["size"][heap])]
            assert self.tables["heap_places"][entries["row"]].tolist() == list(range(len(entries)))
            order = [(entry["key"], entry["tie"]) for entry in entries]
            assert all(order[(i - 1) // 4] <= order[i] for i in range(1, len(order)))
            found += entries["row"].tolist()
        assert sorted(found) == sorted(leaves)

    def is_marked(self, row: Any, page: int) -> bool:
        """Whether a page of a row carries a mark of the current phase."""
        return bool(row["phase"] == self.row["phase"] and (page < row["mark_to"] or page >= row["mark_from"]))

    def check(self) -> None:
        """Assert that all tables agree."""
        row_of_node = {int(row["node"]): (r, row) for r, row in self.cache_rows()}
        self.check_pages(row_of_node)
        self.check_sets(row_of_node)
        if self.keeps("histories"):
            self.check_spans(list(row_of_node.values()))
        if self.keeps("departed"):
            self.check_departed(list(row_of_node.values()))
        self.check_transfers()
        for q in self.running:
            progress, request = self.tables["progress"][q], self.tables["requests"][q]
            size = int(self.config["page_size"])
            assert progress["worker"] == self.worker
            assert progress["held_pages"] >= -(-progress["computed"] // size)
            assert progress["emitted"] < request["output_tokens"]

    def check_transfers(self) -> None:
        """Who waits for a transfer is counted, is on its target alone, and holds nothing before its start.

        Who waits no longer, while the last layers are under way, is on its target, too.
        """
        mine = self.transfers[self.transfers["target"] == self.worker]
        assert (mine["stage"] != READY).sum() == self.row["n_fetching"]
        for transfer in mine:
            progress = self.tables["progress"][transfer["request"]]
            assert progress["worker"] == self.worker
            assert self.row["up"] and self.tables["workers"]["up"][transfer["source"]]
            if transfer["stage"] == READY:
                assert transfer["ready_ps"] < transfer["end_ps"]
                continue
            assert transfer["request"] not in self.running
            if transfer["stage"] == PLANNED:
                assert progress["held_pages"] == progress["tree_pages"] == 0
            else:
                assert progress["tree_pages"] + transfer["pages"] == transfer["end_page"]
        if not self.row["up"]:
            assert not self.running and self.row["n_queued"] == 0 and self.row["free"] == self.row["kv_pages"]

    def check_pages(self, row_of_node: dict[int, tuple[int, Any]]) -> None:
        """docs/semantics.md#c1-pages: prefix-closed, locked as running requests say, nothing lost."""
        parents, n_pages = (self.tables["nodes"][name].tolist() for name in ("parent", "n_pages"))
        unlocked = cached = marked = 0
        children: dict[int, int] = defaultdict(int)
        for v, (_, row) in row_of_node.items():
            parent = parents[v]
            assert 0 < row["cached"] <= n_pages[v]
            cached += row["cached"]
            locked = [self.locks.get((v, page), 0) > 0 for page in range(row["cached"])]
            assert locked == sorted(locked, reverse=True)
            assert sum(locked) == (row["cached"] if row["locks"] else row["part_pages"])
            unlocked += len(locked) - sum(locked)
            if row["phase"] == self.row["phase"]:
                marked += sum(self.is_marked(row, page) for page in range(row["cached"]))
            if parent >= 0:
                assert row_of_node[parent][1]["cached"] == n_pages[parent]
                children[parent] += 1
        for v, (_, row) in row_of_node.items():
            assert row["children"] == children[v]
        assert all(page < row_of_node[v][1]["cached"] for (v, page), locks in self.locks.items() if locks)
        assert unlocked == self.row["evictable"]
        assert cached == self.row["loaded"] + self.row["fetched"] - self.row["evicted"] - self.row["lost"]
        assert cached + self.own + self.row["free"] == self.row["kv_pages"]
        if EVICTORS[self.config["evictor"]] == "rlt_code":
            assert marked == self.row["marked"]

    def check_sets(self, row_of_node: dict[int, tuple[int, Any]]) -> None:
        """The list by recency and the set of leaves hold the evictable nodes and leaves, and nothing else."""
        locks = self.locks
        unlocked = {
            r: any(locks.get((v, page), 0) == 0 for page in range(row["cached"])) for v, (r, row) in row_of_node.items()
        }
        listed = self.chain(int(self.tables["ends"]["oldest"][self.worker]), self.tables["rows"]["newer"])
        assert sorted(listed) == sorted(r for r, evictable in unlocked.items() if evictable)
        parent_of = self.tables["nodes"]["parent"].tolist()
        parents = {r: row_of_node[parent_of[v]][0] for v, (r, _) in row_of_node.items() if parent_of[v] >= 0}
        order = {r: i for i, r in enumerate(listed)}
        assert all(order[r] < order[parents[r]] for r in listed if parents.get(r) in order)
        self.check_heaps({r for r in listed if self.tables["rows"]["children"][r] == 0})
        if not self.keeps("leaves"):
            return
        capacity = int(self.config["leaf_capacity"])
        leaves = self.tables["leaves"][self.worker * capacity :][: self.row["n_leaves"]].tolist()
        rows = self.tables["rows"]
        assert sorted(leaves) == sorted(r for r in listed if rows["children"][r] == 0)
        assert [rows["leaf"][r] for r in leaves] == list(range(len(leaves)))
        marked = [self.is_marked(rows[r], rows["cached"][r] - 1) for r in leaves]
        assert marked == [position >= self.row["n_unmarked"] for position in range(len(leaves))]

    def chain(self, first: int, following: Any) -> list[int]:
        """What a linked list holds."""
        found = []
        while first >= 0:
            found.append(first)
            assert len(found) <= len(following), "a list goes round"
            first = int(following[first])
        return found

    def check_spans(self, cache_rows: list[tuple[int, Any]]) -> None:
        """The spans of a row partition its resident pages; those that no row uses are free, and none is lost."""
        spans, above = self.tables["spans"], self.tables["spans"]["above"].tolist()
        firsts, deepest = spans["first"].tolist(), self.tables["last_spans"].tolist()
        used = []
        for r, row in cache_rows:
            chain = self.chain(deepest[r], above)
            first = [firsts[span] for span in chain]
            assert first[-1] == 0 and first[0] < row["cached"]
            assert all(higher < lower for lower, higher in itertools.pairwise(first))
            used += chain
        kv_pages = self.tables["workers"]["kv_pages"]
        begin = int(kv_pages[: self.worker].sum())
        free = self.chain(int(self.tables["remembered"]["free_span"][self.worker]), above)
        assert sorted(used + free) == list(range(begin, begin + int(kv_pages[self.worker])))

    def check_departed(self, cache_rows: list[tuple[int, Any]]) -> None:
        """Pages of queues and ghosts are as many as is said; pages that are there say whether they were ghosts."""
        spans, above = self.tables["spans"], self.tables["spans"]["above"].tolist()
        numbers, first = self.tables["departures"], self.tables["first_departures"].tolist()
        once = small = 0
        away = self.numbers_of_worker()
        for r, row in cache_rows:
            end = row["cached"]
            for i in self.chain(int(self.tables["last_spans"][r]), above):
                span = spans[i]
                there = numbers[first[r] + span["first"] : first[r] + end]
                assert set(there.tolist()) == {RETURNED if span["ghost"] else 0}
                once += (end - int(span["first"])) * (span["hits"] == 0 and span["ghost"] == 0)
                small += (end - int(span["first"])) * (span["main"] == 0)
                end = int(span["first"])
        if self.keeps("arc"):
            gone = self.tables["arc_ghosts"][2 * self.worker : 2 * self.worker + 2]
            assert once == self.tables["arc_lists"]["once"][self.worker]
            for sign, one in zip((1, -1), gone, strict=True):
                mine = away[np.sign(away) == sign]
                assert (one["gone"] - np.abs(mine) < self.row["kv_pages"]).sum() == one["left"]
        if self.keeps("s3_fifo"):
            assert small == self.tables["s3_probation"]["small"][self.worker]

    def numbers_of_worker(self) -> Any:
        """Numbers of pages of this worker that went."""
        rows, nodes = self.tables["rows"], self.tables["nodes"]
        shared = nodes["slot"][rows["node"]] < self.config["n_shared"]
        home = np.where(
            shared,
            np.arange(len(rows)) % len(self.tables["workers"]),
            self.tables["progress"]["worker"][nodes["first_request"][rows["node"]]],
        )
        numbers = self.tables["departures"]
        pages = nodes["n_pages"][rows["node"]]
        numbers = numbers[np.repeat(home, pages) == self.worker]
        return numbers[(numbers != 0) & (numbers != RETURNED)]


def check(simulator: Simulator) -> None:
    """Assert that the tables of all workers agree with each other."""
    for worker in range(len(simulator.cluster)):
        Recount(simulator, worker).check()
