"""`lru` is the order of vLLM's free queue: the same victims, one by one, whatever overlaps and is preempted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests import often
from tests.reference import RefResult, engine, roster
from tests.reference.cache import Cache
from tests.reference.evictors import Context, Evictor, Need
from tests.reference.live import Live
from tests.reference.pages import Page
from tests.sim.cases import Case, random_case
from tests.sim.compare import play, records, reference, resident, totals

ROUTERS = ("round_robin", "least_loaded", "prefix_affinity")


class FreeQueue(Evictor):
    """vLLM V1's queue of the cached pages that no request uses; the head is evicted.

    It knows no stamps and no tree. Blocks without content are taken before it is asked. Where vLLM computes a page that
    is there already into a second block, kvgym keeps one for both, and so does this.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.queue: dict[Page, None] = {}  # in order of insertion

    def on_admission(self, cache: Cache, resident_prefix: Sequence[Page], hit_tokens: int) -> None:
        self.take_out(resident_prefix)

    def on_insert(self, cache: Cache, locked_pages: Sequence[Page]) -> None:
        self.take_out(locked_pages)

    def take_out(self, pages: Sequence[Page]) -> None:
        """A request uses these pages now."""
        for page in pages:
            self.queue.pop(page, None)

    def put_back(self, cache: Cache, pages: Sequence[Page]) -> None:
        """A request that finished or was preempted used these pages, root first: those that are free now follow."""
        for page in reversed(pages):
            if cache.resident[page].locks == 0:
                self.queue[page] = None

    def victim(self, cache: Cache, need: Need) -> Page:
        head = next(iter(self.queue))
        del self.queue[head]
        return head


@pytest.fixture
def with_queue(monkeypatch):
    """Runs a case on the reference simulator, in which `lru` is the queue."""
    release = engine.Worker.release

    def release_to_queue(worker: engine.Worker, live: Live) -> None:
        used = live.locked_pages()
        release(worker, live)
        worker.evictor.put_back(worker.cache, used)

    def run(case: Case) -> RefResult:
        with monkeypatch.context() as patch:
            patch.setattr(engine.Worker, "release", release_to_queue)
            patch.setitem(roster.RULES, "lru", FreeQueue)
            return reference(case, None)

    return run


@often.cases(40)
@pytest.mark.parametrize("page_size", [1, 2, 16])
@pytest.mark.parametrize("schedule", ["mixed", "prefill_first"])
def test_lru_is_the_order_of_the_free_queue(with_queue, schedule, page_size, cases):
    evicted = preempted = 0
    for seed in range(cases):
        case = random_case(seed, "lru", schedule, page_size, ROUTERS[seed % 3])
        expected = with_queue(case)
        assert reference(case, None).evictions == expected.evictions
        simulator = case.simulator()
        play(simulator, case)
        assert [record[5] for record in records(simulator)] == [record.hit_tokens for record in expected.records]
        assert [row[2] for row in totals(simulator)] == [row.evicted for row in expected.totals]
        assert resident(simulator) == expected.resident
        evicted += sum(row.evicted for row in expected.totals)
        preempted += sum(record.preemptions for record in expected.records)
    assert evicted > 25 * cases
    assert preempted > cases // 2


def test_the_comparison_can_fail(with_queue, monkeypatch):
    case = random_case(0, "lru", "mixed", 1, "round_robin")
    assert with_queue(case).evictions == reference(case, None).evictions
    monkeypatch.setattr(FreeQueue, "put_back", root_first)  # the other end of a request would go first
    with pytest.raises(AssertionError):
        with_queue(case)


def root_first(self: FreeQueue, cache: Cache, pages: Sequence[Page]) -> None:
    self.queue.update((page, None) for page in pages if cache.resident[page].locks == 0)
