"""Small workloads in which each evictor lets another page go than `lru` would: a rule that silently did nothing fails.

A capital letter is a prompt of two pages of one token that it shares with nobody. It hits if its first page is still
there (the last token is always computed), and the requests come one by one. `fifo`, `lfu`, `mru`, `slru`,
`ghost_slru` and later ones are in tests/by_hand.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.sim import EVICTORS, Simulator
from kvgym.workload import ServiceClass, Workload
from tests import reference
from tests.reference import keyed
from tests.sim.golden import documents

QUICK = IterationCost(k=1e-3)  # 1 us per token: a request has long finished when the next one comes
QUADRATIC = IterationCost(k=1e-3, a_s=1e-3)  # later tokens of a prompt cost more


def letters(text):
    """A prompt of two tokens per letter."""
    return [[ord(letter), 1000 + ord(letter)] for letter in text]


def hits(evictor, prompts, kv_pages, *, page_size=1, times=None, turns=None, cost=QUICK):
    """Hit tokens of each request on one worker; by default a request a second, all first turns."""
    arrivals = range(len(prompts)) if times is None else times
    workload = Workload.from_tokens(prompts, [1] * len(prompts), arrivals, page_size, turns=turns)
    cluster = ClusterSpec.uniform(1, kv_pages, cost)
    engine = EngineSpec(page_size, chunk_tokens=8192, max_running=1)
    simulator = Simulator(cluster, engine, evictor, "round_robin", debug=True)
    simulator.reset(workload)
    simulator.run()
    return simulator.records()["hit_tokens"].tolist()


def once_each(n):
    """Prompts like those of letters, of which none comes back."""
    return [[10_000 + i, 20_000 + i] for i in range(n)]


def test_wlfu():
    # A hit is worth 3000 ln 2 = 2079.4 page accesses. After four of them A has key 2083.4. New prompt number n has key
    # 4 + 2 n, and the next one takes its place, until n = 1040: then it is the turn of A.
    for n, kept in ((1040, 1), (1041, 0)):
        prompts = letters("AA") + once_each(n) + letters("A")
        assert hits("wlfu", prompts, 4)[-1] == kept
        assert hits("lru", prompts, 4)[-1] == 0
        assert hits("lfu", prompts, 4)[-1] == 1  # for ever


def test_tail_lru():
    # Pages of 1024 tokens, room for six. A session has 5121 tokens and one to come; with the 500 of the next prompt
    # and without the 4096 that may be computed again, 1526 tokens have to stay: page 1. The next prompt, of five pages,
    # takes the place of pages 5 to 2 and of b, whose 1025 tokens may all be computed again. lru lets all five go.
    a, b, c = ([first] * n for first, n in ((1, 5121), (2, 1025), (3, 5120)))
    assert hits("lru", [a, b, c, a], 6, page_size=1024) == [0, 0, 0, 0]
    assert hits("tail_lru", [a, b, c, a], 6, page_size=1024) == [0, 0, 0, 1024]


def test_gdsf_counts_uses():
    # All pages cost the same, c. C takes the place of B, of key c, and the inflation rises to c. So A with two uses and
    # C with one have both 2 c when D comes, and A is older: unlike under lfu, old uses fade.
    assert hits("lru", letters("AABCA"), 4) == [0, 1, 0, 0, 0]
    assert hits("gdsf", letters("AABCA"), 4) == [0, 1, 0, 0, 1]
    assert hits("gdsf", letters("AABCDA"), 4) == [0, 1, 0, 0, 0, 0]
    assert hits("lfu", letters("AABCDA"), 4) == [0, 1, 0, 0, 0, 1]


def test_gdsf_weighs_by_cost():
    # The tail of the long prompt is dearer to compute again than the two pages of B: C takes the place of those.
    prompts = [[1, 2, 3, 4, 5, 6], *letters("BC"), [1, 2, 3, 4, 5, 6]]
    assert hits("lru", prompts, 8, cost=QUADRATIC) == [0, 0, 0, 4]
    assert hits("gdsf", prompts, 8, cost=QUADRATIC) == [0, 0, 0, 5]


def test_workload_aware_learns_which_turns_come_back():
    # First turns have come back (A), second ones (B) never: C takes the place of B, though that was used last.
    turns = [0, 0, 0, 1, 2, 0, 0]
    assert hits("lru", letters("AAXBCXA"), 6, turns=turns) == [0, 1, 0, 0, 0, 1, 0]
    assert hits("lfu", letters("AAXBCXA"), 6, turns=turns) == [0, 1, 0, 0, 0, 0, 1]  # X was never hit
    assert hits("workload_aware", letters("AAXBCXA"), 6, turns=turns) == [0, 1, 0, 0, 0, 1, 1]


def test_workload_aware_learns_when_turns_come_back():
    # First turns come back after 1 s (A), second ones after 100 s (B). After 20 s without a use the first turn F is not
    # expected any more, B is: C takes the place of A, D that of F. lru lets A and B go.
    times, turns = [0, 1, 2, 102, 103, 123, 124, 125], [0, 0, 1, 1, 0, 1, 1, 1]
    assert hits("lru", letters("AABBFCDB"), 6, times=times, turns=turns) == [0, 1, 0, 1, 0, 0, 0, 0]
    assert hits("workload_aware", letters("AABBFCDB"), 6, times=times, turns=turns) == [0, 1, 0, 1, 0, 0, 0, 1]


def growing_sessions(seed, n):
    """Sessions whose prompts grow, asked again after pauses of all lengths; more popular ones more often."""
    rng = np.random.default_rng(seed)
    lengths, turns, rows = {}, {}, []
    for _ in range(n):
        session = int(rng.pareto(0.5)) % n
        lengths[session] = lengths.get(session, 0) + int(rng.integers(1, 3000))
        turns[session] = turns.get(session, -1) + 1
        rows.append((session, lengths[session], turns[session]))
        if lengths[session] > 12_000:
            del lengths[session]
    session, length, turn = np.array(rows).T
    arrivals = np.cumsum(rng.exponential(20.0, n))
    zeros, ones = np.zeros(n, int), np.ones(n, int)
    columns = {"sessions": session, "turns": turn, "service_classes": session % 2}
    return Workload.from_segments(np.arange(n + 1), session, zeros, length, ones, arrivals, 512, **columns)


def test_no_two_evictors_do_the_same():
    # Prompts long enough for tail_lru to have tails that it lets go, accesses enough for the bonus of wlfu to fade.
    # Sessions there are too many to wait for: where they come back at once, on documents, continuum is not lru.
    plays = [(growing_sessions(0, 3000), 200), (documents(), 700)]
    classes = [ServiceClass("a"), ServiceClass("b", priority=1)]
    found: dict[str, list[int]] = {}
    for evictor in EVICTORS:
        found[evictor] = []
        for workload, pages in plays:
            cluster, engine = ClusterSpec.uniform(1, pages, QUADRATIC), EngineSpec(workload.page_size)
            simulator = Simulator(cluster, engine, evictor, "round_robin")
            simulator.reset(workload, classes=classes)
            simulator.run()
            found[evictor] += simulator.records()["hit_tokens"].tolist()
            assert simulator.totals()["evicted"][0] > 200
    alike = [(a, b) for a, b in itertools.combinations(EVICTORS, 2) if found[a] == found[b]]
    assert alike == []


def test_tail_lru_without_constants_is_lru(monkeypatch):
    """SGLang's `tlru` with the defaults of its constructor, 0 and 0: all of a session that grows is needed."""
    monkeypatch.setattr(keyed, "NEXT_PROMPT_TOKENS", 0)
    monkeypatch.setattr(keyed, "SPARED_TOKENS", 0)
    prompts = [range(100 * s, 100 * s + 3 * turn) for turn in range(1, 9) for s in (0, 1, 2, turn)]
    requests = [
        reference.RefRequest(tuple(prompt), (-1 - q,), 10_000 * q, session=prompt.start)
        for q, prompt in enumerate(prompts)
    ]
    cost, engine = reference.RefCost([100] * 65, 0.0, 0.0, 0.0, 0), reference.RefEngine(1, "mixed", 64, 8)
    played = (reference.simulate(requests, [(60, cost)], engine, name, [0] * 32) for name in ("lru", "tail_lru"))
    lru, tail_lru = (result.evictions for result in played)
    assert tail_lru == lru and len(lru[0]) > 100


@pytest.mark.parametrize("evictor", EVICTORS)
def test_nothing_goes_while_there_is_room(evictor):
    assert hits(evictor, letters("ABCDABCD"), 8) == [0, 0, 0, 0, 1, 1, 1, 1]


def test_the_docs_have_them_all():
    text = (Path(__file__).resolve().parents[2] / "docs" / "evictors.md").read_text(encoding="utf-8")
    tables = [re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE) for part in re.split("^## ", text, flags=re.MULTILINE)]
    assert tables == [[*EVICTORS]] * 3
