"""On recorded traces, one request after the other, lru, fifo and belady hit as many pages as plain replays do."""

from __future__ import annotations

import heapq
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import pytest

from benchmarks import pooled_replay as benchmark
from tests.workload.samples import agent_sessions, mooncake_rows, write

Prompts = Sequence[Sequence[int]]


class Replay:
    """A cache of pages of prompts that come one by one: what all three rules share.

    The pages of the prompt that is served stay; of the others one without a resident next page goes, the one with the
    smallest key. A page's key changes only when it enters or is used.
    """

    def __init__(self, prompts: Prompts, room: int) -> None:
        self.prompts = prompts
        self.room = room
        self.above: dict[int, int] = {}  # of each resident page; -1 for a first one
        self.below: dict[int, int] = defaultdict(int)  # resident next pages of each page
        self.keys: dict[int, float] = {}
        self.heap: list[tuple[float, int]] = []

    def key(self, number: int, page: int, is_new: bool) -> float:
        """Key of a page that prompt `number` uses."""
        raise NotImplementedError

    def hits(self) -> int:
        """Pages that were there."""
        total = 0
        for number, pages in enumerate(self.prompts):
            found = sum(page in self.above for page in pages)
            assert all(page in self.above for page in pages[:found])
            total += found
            self.make_room(set(pages), len(pages) - found)
            for depth, page in enumerate(pages):
                if page not in self.above:
                    self.above[page] = pages[depth - 1] if depth > 0 else -1
                    self.below[self.above[page]] += 1
                self.keys[page] = self.key(number, page, depth >= found)
            if pages:
                self.offer(pages[-1])
        return total

    def offer(self, page: int) -> None:
        """The page may be the next to go, if nothing follows it."""
        if page in self.above and self.below[page] == 0:
            heapq.heappush(self.heap, (self.keys[page], page))

    def make_room(self, used: set[int], n: int) -> None:
        """Evicts what `n` more pages take."""
        later = []
        while len(self.above) + n > self.room:
            key, page = heapq.heappop(self.heap)
            if page not in self.above or self.below[page] > 0 or key != self.keys[page]:
                continue  # it went or changed since
            if page in used:
                later.append(page)
                continue
            above = self.above.pop(page)
            self.below[above] -= 1
            self.offer(above)
        for page in later:
            self.offer(page)


class Lru(Replay):
    def key(self, number, page, is_new):
        return number


class Fifo(Replay):
    def key(self, number, page, is_new):
        return number if is_new else self.keys[page]


class Belady(Replay):
    def __init__(self, prompts, room):
        super().__init__(prompts, room)
        self.uses: dict[int, Iterator[int]] = defaultdict(lambda: iter(()))
        users = defaultdict(list)
        for number, pages in enumerate(prompts):
            for page in pages:
                users[page].append(number)
        self.uses.update((page, iter(numbers)) for page, numbers in users.items())
        for uses in self.uses.values():
            next(uses)  # the one that brings it in

    def key(self, number, page, is_new):
        return -next(self.uses[page], math.inf)


REPLAYS: dict[str, Callable[[Prompts, int], Replay]] = {"lru": Lru, "fifo": Fifo, "belady": Belady}


def compare(path, format, rooms, sessions=None):
    """Checks all three at each size; the hits by rule and size."""
    workload = benchmark.read(path, format, sessions)
    found = {}
    for room in rooms:
        kept = workload.drop_oversized(room + 1)
        prompts = benchmark.prompt_pages(kept)
        for evictor, replay in REPLAYS.items():
            found[evictor, room] = benchmark.hit_pages(kept, room, evictor)
            assert found[evictor, room] == replay(prompts, room).hits(), (evictor, room)
        assert found["belady", room] > max(found["lru", room], found["fifo", room]) > 0
    return found


def test_made_up_mooncake_trace(tmp_path):
    rows = mooncake_rows(1000)
    rng = random.Random(1)
    for i in range(1, len(rows), 2):  # asked again, so that the last use of a leaf is not its birth
        rows[i] = {**rows[rng.randrange(i)], "timestamp": rows[i]["timestamp"]}
    found = compare(write(tmp_path / "trace.jsonl", rows), "mooncake", (40, 100, 200))
    assert all(found["lru", room] != found["fifo", room] for room in (40, 100, 200))


def test_made_up_agent_sessions(tmp_path):
    sessions = agent_sessions(200)  # of blocks of 64 tokens, of which eight are a page
    for session in sessions:
        for request in session["reqs"]:
            request["t"] *= 50  # many at a time
    compare(write(tmp_path / "trace.jsonl.gz", sessions, compress=True), "agent-sessions", (8, 20), sessions=150)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rooms"), [("conversation", (4000, 8000, 16_000)), ("synthetic", (2000, 4000, 8000))])
def test_mooncake(trace, name, rooms):
    compare(trace(f"mooncake_fast25/{name}_trace.jsonl.gz"), "mooncake", rooms)


@pytest.mark.slow
def test_agent_sessions(trace):
    compare(trace("kv_cache_tester_agentic/sessions.jsonl.gz"), "agent-sessions", (1000, 2000, 4000), sessions=60)


def test_sessions_are_guessed_from_what_prompts_begin_with():
    pages = [
        [1, 2, 3],  # page 3 may not have been full
        [1, 2, 4, 5],  # goes on with it
        [1, 6],
        [1, 6, 7],  # a first page in common says nothing
        [1, 2, 4, 8],  # goes on with the second
        [],
    ]
    session, turn = benchmark.guess_sessions(pages)
    assert session.tolist() == [0, 0, 2, 3, 0, 5]
    assert turn.tolist() == [0, 1, 0, 0, 2, 0]


def test_the_command(tmp_path, capsys):
    path = write(tmp_path / "trace.jsonl", mooncake_rows(300))
    assert (
        benchmark.main(["--trace", str(path), "--format", "mooncake", "--pages", "5", "90", "--evictors", "lru"]) == 0
    )
    printed = capsys.readouterr().out
    assert "300 requests of" in printed and "too large for 5 pages" in printed
    workload = benchmark.read(path, "mooncake")
    share = benchmark.hit_pages(workload, 90, "lru") / workload.requests["prompt_pages"].sum()
    assert f"{share:.3f}" in printed.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "mooncake", "--pages", "0"], "--pages must be at least 1, got 0"),
        (["--format", "agent-sessions", "--pages", "9"], "line 1: expected a field 'bs'"),
        (["--format", "mooncake", "--pages", "9", "--trace", "nowhere"], "nowhere"),
    ],
)
def test_bad_options(options, message, tmp_path, capsys):
    path = write(tmp_path / "trace.jsonl", mooncake_rows(10))
    assert benchmark.main(["--trace", str(path), *options]) == benchmark.USAGE
    assert message in capsys.readouterr().err
