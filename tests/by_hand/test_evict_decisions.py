"""EVICT decisions (rules D6 and D7) against cases computed by hand."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from tests.by_hand.hand import SIMPLE, Script, engine, one_by_one, request, run
from tests.reference import RefCost, RefRequest


def offered(question):
    """The leaf pages of a question's slots."""
    return [None if slot is None else slot.page for slot in question.slots]


def ask(requests, pages, script, candidates, draws=None, **kwargs):
    """Simulate on one worker, the script being asked."""
    log = None if draws is None else [iter(draws)]
    result = run(requests, pages, evictor="agent", evict=script, candidates=candidates, draws=log, **kwargs)
    assert not script.answers
    return result


def test_a_question_and_its_tails():
    # Worker of 6. [1 2 3 4] enters and ends at 140, [5 6] at 10_120, all marked. [7 8 9] wants 3 at 20_000: no unmarked
    # leaf, the marks are cleared, nothing of the requester is there. Leaves 4 and 6, both draws find them: first 6.
    # Slot 1 is 6, whose tail is 6 5: 2 of the 3 go. Then 4 is alone, slots 1 and 3 are empty; slot 2 frees only 1 of 4.
    script = Script(1, 2)
    draws = [(2, (1, 1)), (1, (0, 3)), (1, (0, 3))]
    result = ask(one_by_one([1, 2, 3, 4], [5, 6], [7, 8, 9]), 6, script, 4, draws)
    assert result.evictions == [[(1, 1), (1, 0), (0, 3)]]
    first, second = script.questions
    assert (first.time_ps, first.request, first.worker) == (20_000, 2, 0)
    assert (first.wanted, first.decisions_left, first.free, first.locked, first.unmarked) == (3, 3, 0, 0, 6)
    assert offered(first) == [(0, 3), (1, 1), (1, 1), (0, 3)]
    # Page 4: its tail are 4 tokens after 0, 4 x 260 / 16 = 65 ps; 20_000 - 140 since its stamp and entry.
    assert astuple(first.slots[0]) == (
        *((0, 3), False, False, 4, 4, pytest.approx(65e-12), 19_860, 19_860),
        *(0, 0, 0, 1, 0, 20_000, 1),
    )
    assert astuple(first.slots[2]) == (
        *((1, 1), True, False, 2, 2, pytest.approx(32.5e-12), 9_880, 9_880),
        *(0, 0, 0, 1, 0, 10_000, 1),
    )
    assert (second.wanted, second.decisions_left, second.free, second.locked, second.unmarked) == (1, 1, 2, 0, 4)
    assert offered(second) == [(0, 3), None, (0, 3), None]


def amounts(script):
    """Of each question the pages still wanted, and the decisions that may be left."""
    return [(question.wanted, question.decisions_left) for question in script.questions]


def test_quantum_one_asks_for_each_page():
    # The same with quantum 1: 6 by slot 1, then 5, then 4 by slot 0.
    script = Script(1, 1, 0)
    result = ask(one_by_one([1, 2, 3, 4], [5, 6], [7, 8, 9]), 6, script, 4, quantum=1)
    assert result.evictions == [[(1, 1), (1, 0), (0, 3)]]
    assert amounts(script) == [(3, 3), (2, 2), (1, 1)]


def test_quantum_one_has_no_bound():
    # 11 of 12 pages are wanted: 11 decisions, each for one page of the chain or, slot 1, for 20.
    script = Script(0, 0, 0, 1, *[0] * 7)
    result = ask(one_by_one(range(1, 12), [20], range(30, 41)), 12, script, 4, quantum=1)
    assert result.evictions == [[(0, 10), (0, 9), (0, 8), (1, 0), *((0, page) for page in range(7, 0, -1))]]
    assert amounts(script) == [(left, left) for left in range(11, 0, -1)]


def countdown(wanted):
    """What `amounts` gives if each of an allocation's decisions, as many as it may take, frees one page."""
    return [(wanted - taken, 8 - taken) for taken in range(8)]


def test_lru_frees_what_the_last_decision_leaves():
    # Worker of 20, [1 2] .. [19 20]; 19 are wanted. Slot 1 of 4, the second oldest, eight times: 4 3 .. 18 17. 3 are
    # wanted still: lru takes 2 and 1, then 20. Each decision draws two leaves, of 10, 9 .. 3; lru draws none.
    script = Script(*[1] * 8)
    draws = [draw for left in range(10, 2, -1) for draw in ((left, (9, 1)), (left - 1, (0, 1)))]
    prompts = [[first, first + 1] for first in range(1, 20, 2)]
    settings = engine(chunk_tokens=20)
    result = ask(one_by_one(*prompts, range(30, 49)), 20, script, 4, draws, settings=settings)
    chosen = [(number, page) for number in range(1, 9) for page in (1, 0)]
    assert result.evictions == [[*chosen, (0, 1), (0, 0), (9, 1)]]
    assert amounts(script) == [(19, 8), (17, 7), (15, 6), (13, 5), (11, 4), (9, 3), (7, 2), (5, 1)]


def test_lru_goes_page_by_page_from_leaf_to_leaf():
    # Worker of 13: [1 2 3], [50], [1 2 4], [60] .. [67]; 12 are wanted. Slot 3 of the oldest four takes 60 .. 67. Then
    # lru: 3, 50, 4, and 2, which only now is a leaf.
    script = Script(*[3] * 8)
    prompts = [[1, 2, 3], [50], [1, 2, 4], *([page] for page in range(60, 68)), range(70, 82)]
    result = ask(one_by_one(*prompts), 13, script, 8)
    assert result.evictions == [[*((number, 0) for number in range(3, 11)), (0, 2), (1, 0), (2, 2), (0, 1)]]
    assert amounts(script) == countdown(12)


def test_decisions_left_are_no_more_than_the_pages_wanted():
    # Worker of 13: [1], [2], [3], [10 .. 19]. 9 are wanted: 1 goes, then seven at most may follow; 2; then the tail of
    # 19 has all 7 that are wanted, and the other decisions aren't needed.
    script = Script(0, 0, 1)
    result = ask(one_by_one([1], [2], [3], range(10, 20), range(20, 29)), 13, script, 4)
    assert result.evictions == [[(0, 0), (1, 0), *((3, page) for page in range(9, 2, -1))]]
    assert amounts(script) == [(9, 8), (8, 7), (7, 6)]
    # 9 are wanted of [1 .. 6], [7 .. 10]: 6 go, and the 3 pages that are left can take three decisions.
    script = Script(0, 0)
    result = ask(one_by_one(range(1, 7), range(7, 11), range(20, 29)), 10, script, 4)
    assert result.evictions == [[*((0, page) for page in range(5, -1, -1)), (1, 3), (1, 2), (1, 1)]]
    assert amounts(script) == [(9, 8), (3, 3)]
    # 3 are wanted of [1 2], [3 4]: three decisions at most, then the one page that is left can take one.
    script = Script(0, 0)
    assert ask(one_by_one([1, 2], [3, 4], [5, 6, 7]), 4, script, 2).evictions == [[(0, 1), (0, 0), (1, 1)]]
    assert amounts(script) == [(3, 3), (1, 1)]


def test_lru_opens_no_phase():
    # Worker of 12: [1] .. [12], all marked. [20]: a new phase, 1 goes. [3] .. [12] again are marked; 2 isn't. 10 are
    # wanted: slot 1, the second oldest and marked, takes 20, 3 .. 9. lru: 2, then 10, though no unmarked leaf is left:
    # no phase. So at [40] 11, 12 and the 10 pages are marked, and it opens one: 11 goes.
    script = Script(0, *[1] * 8, 0)
    again = [[page] for page in range(3, 13)]
    result = ask(one_by_one([1], [2], *again, [20], *again, range(30, 40), [40]), 12, script, 8)
    chosen = [(12, 0), *((page - 1, 0) for page in range(3, 10))]
    assert result.evictions == [[(0, 0), *chosen, (1, 0), (9, 0), (10, 0)]]
    assert amounts(script) == [(1, 1), *countdown(10), (1, 1)]
    for question in script.questions[1:-1]:
        assert (question.slots[1].marked, question.slots[1].tail_pages) == (True, 1)
        assert offered(question)[4:] == [(1, 0), None, None, None]
    assert [question.unmarked for question in script.questions] == [12, *[1] * 8, 12]


def test_the_shortest_tail_again_and_again():
    # Worker of 16: [1], [2], [3 .. 6], [7 8], [9], [10 11 12], [13] .. [16]; 12 are wanted. 1, 2, 9, 13, 14, 15, 16,
    # then 8 7. The rest by lru: 6 5 4.
    questions = []

    def shortest(question):
        questions.append(question)
        tails = [(slot.tail_pages, number) for number, slot in enumerate(question.slots) if slot is not None]
        return min(tails)[1]

    prompts = [[1], [2], range(3, 7), [7, 8], [9], [10, 11, 12], [13], [14], [15], [16], range(20, 32)]
    result = run(one_by_one(*prompts), 16, evictor="agent", evict=shortest)
    alone = [(number, 0) for number in (0, 1, 4, 6, 7, 8, 9)]
    assert result.evictions == [[*alone, (3, 1), (3, 0), (2, 3), (2, 2), (2, 1)]]
    assert [(question.wanted, question.decisions_left) for question in questions] == countdown(12)


def test_each_allocation_has_its_own_decisions():
    # Worker of 20, [1] .. [20]. Two requests of 9 pages come together and start in one iteration. Slot 1 of 4: the
    # first takes 2 .. 9, lru 1; the second begins to count again: 11 .. 18, lru 10.
    script = Script(*[1] * 16)
    pair = [request(range(30, 39), at=300_000), request(range(40, 49), at=300_000)]
    requests = one_by_one(*([page] for page in range(1, 21))) + pair
    result = ask(requests, 20, script, 4, settings=engine(chunk_tokens=20))
    assert result.evictions == [[(page - 1, 0) for page in (*range(2, 10), 1, *range(11, 19), 10)]]
    assert amounts(script) == countdown(9) * 2
    assert [(question.time_ps, question.request) for question in script.questions] == [(300_000, 20)] * 8 + [
        (300_000, 21)
    ] * 8


@pytest.mark.parametrize(
    ("pages", "arrival", "unmarked"), [(8, 5_000, 3), (8, 10_050, 3), (8, 10_150, 4), (9, 10_270, 6)]
)
def test_a_marked_leaf_goes_with_all_that_is_above_it(pages, arrival, unmarked):
    # [7 8 6], [9] and a long one, which computes 1 2 until 10_120, then decodes a, b and c, a page each, until 10_230,
    # 10_340 and 10_450 if it is alone. Two pages of another request come
    # - first: at 10_120 the long one opens a phase, which leaves 1 2 marked. All of 1 2 a b c is, 9 and 20 21 are not;
    # - at 10_120: it opens the phase, 1 2 are unmarked, what enters later is marked: a b c;
    # - at 10_230: 1 2 a are unmarked;
    # - at 10_340, on a worker with one page more: 1 2 a b are unmarked, and so is 7, which is there still.
    # Three pages go until then (two of 9): 6 8 7. At 20_000 the leaf c is marked, but 9 is not: no phase. c's tail is
    # c b a 2 1, whatever is marked: 5 x 260 / 16 = 81.25 ps; the 4 wanted go by one decision.
    questions = []

    def decide(question):
        questions.append(question)
        return offered(question).index((long, 4)) if question.request == 4 else 0

    requests = [request([7, 8, 6]), request([9], at=1_000)]
    requests += [request([1, 2], output=4, at=10_000), request([20, 21], at=arrival)]
    requests = [*sorted(requests, key=lambda one: one.arrival_ps), request([30, 31, 32, 33], at=20_000)]
    long = 2 if arrival > 10_000 else 3
    result = run(requests, pages, evictor="agent", evict=decide, candidates=8)
    before = [(0, 2), (0, 1), (0, 0)][: 11 - pages]
    assert result.evictions == [[*before, *((long, page) for page in range(4, 0, -1))]]
    last = questions[-1]
    assert (last.request, last.wanted, last.decisions_left, last.free, last.unmarked) == (4, 4, 4, 0, unmarked)
    leaf = last.slots[offered(last).index((long, 4))]
    assert (leaf.marked, leaf.tail_pages, leaf.depth, leaf.siblings) == (True, 5, 5, 0)
    assert leaf.recompute_s == pytest.approx(81.25e-12)


LONG = range(1, 6)


@pytest.mark.parametrize(
    ("prompts", "choice", "more", "gone", "last", "siblings"),
    [
        ([[9], [8], LONG], 0, [[1, 2]], (0, 0), (1, 0), 0),  # 2 is locked
        ([[1, 2, 6], [9], LONG], 0, [], (0, 2), (1, 0), 0),  # 2 is a seen boundary, though 6 is gone
        ([[1, 2, 6], [9], LONG], 1, [], (1, 0), (0, 2), 1),  # 2 has another resident child, 6
    ],
)
def test_what_ends_the_tail_of_a_marked_leaf(prompts, choice, more, gone, last, siblings):
    # Worker of 7, a_s = 2. 7 pages, all marked; [20] opens a phase, one goes. [1 .. 5] again are marked. [30 .. 33]
    # wants 4; a request that comes with it may lock 1 2 first. Slot 2 is 5, marked as is all above it: its tail is
    # 5 4 3, 3 tokens after 2: 3 x 16.25 + 2 x 3 x (2 + 2) = 72.75 ps. Then slot 0, the leaf that isn't marked.
    cost = RefCost(SIMPLE.g, 2.0, 0.0, 0.0, 0)
    script = Script(choice, 2, 0)
    requests = one_by_one(*prompts, [20], LONG) + [request(prompt, at=60_000) for prompt in [*more, range(30, 34)]]
    result = ask(requests, 7, script, 6, cost=cost)
    assert result.evictions == [[gone, (2, 4), (2, 3), (2, 2), last]]
    assert amounts(script) == [(1, 1), (4, 4), (1, 1)]
    question = script.questions[1]
    assert offered(question)[:3] == [last, (3, 0), (2, 4)]
    assert [slot.marked for slot in question.slots[:3]] == [False, True, True]
    leaf = question.slots[2]
    assert (leaf.tail_pages, leaf.depth, leaf.siblings) == (3, 5, siblings)
    assert leaf.recompute_s == pytest.approx(72.75e-12)


def test_features_of_a_shared_branch():
    # a_s = 2. Request 0, session 7: [1 2 3] ends at 100 + 30 + 2 x 3 x 2 = 142. Request 1, session 8: [1 2 4] hits 1 2,
    # one token after 2: 110 + 2 x 3, ends at 10_116. Request 2, session 8 again: [1 2 3] until 20_116 touches 3.
    # Request 3 wants 1 of 6 pages at 30_000: leaves 4, 3; all was marked: a new phase. 4: tail 1 since 2 has another
    # child, one sibling; 1 token after 2 costs 16.25 + 2 x 3 ps; session 8 was routed last at 20_000, twice. 3: one hit
    # at 20_000 after the stamp of 142, by another session than its entry. Slot 1, 3, goes. Request 4: 4 is unmarked, 12
    # marked. 2 stays a seen boundary, so 4's tail is 1; no sibling is left.
    cost = RefCost(SIMPLE.g, 2.0, 0.0, 0.0, 0)
    prompts = [([1, 2, 3], 7), ([1, 2, 4], 8), ([1, 2, 3], 8), ([10, 11, 12], 9), ([20], 9)]
    requests = [request(prompt, at=10_000 * i, session=session) for i, (prompt, session) in enumerate(prompts)]
    script = Script(1, 0)
    result = ask(requests, 6, script, 2, [(2, (0, 2)), (1, (1, 2))], cost=cost)
    assert result.evictions == [[(0, 2), (1, 2)]]
    first, second = script.questions
    four, three = first.slots
    assert astuple(four) == (
        *((1, 2), False, False, 1, 3, pytest.approx(22.25e-12), 19_884, 19_884),
        *(0, 0, 0, 1, 1, 10_000, 2),
    )
    assert astuple(three) == (
        *((0, 2), True, False, 1, 3, pytest.approx(22.25e-12), 9_884, 29_858),
        *(1, 19_858, 0, 2, 1, 10_000, 2),
    )
    assert three.mean_gap_s == pytest.approx(19_858e-12) and four.mean_gap_s == 0.0
    assert (first.free, first.locked, first.unmarked, second.unmarked) == (2, 0, 4, 3)
    assert offered(second) == [(1, 2), (1, 2)]
    assert (second.slots[0].tail_pages, second.slots[0].siblings) == (1, 0)


def test_a_marked_leaf_can_be_chosen_but_is_not_drawn():
    # Worker of 3: [1], [2], [3] enter marked. [4]: phase, draw; 2 goes. 4 enters marked. [5]: the oldest is 1,
    # unmarked, 4 is the youngest: 6 slots hold 1 3 4, and the draws 1, 3. Slot 2 is the marked 4.
    script = Script(1, 2)
    draws = [(3, (0, 0)), (2, (2, 0)), (1, (1, 0)), (2, (0, 0)), (1, (2, 0))]
    result = ask(one_by_one([1], [2], [3], [4], [5]), 3, script, 6, draws)
    assert result.evictions == [[(1, 0), (3, 0)]]
    second = script.questions[1]
    assert offered(second) == [(0, 0), (2, 0), (3, 0), (0, 0), (2, 0), None]
    assert [slot.marked for slot in second.slots if slot] == [False, False, True, False, False]
    assert second.unmarked == 2


def test_the_phase_keeps_the_requesters_path():
    # Worker of 3 with [1 2], [3]. [1 4] locks 1 and wants 1: the marks of 2 and 3 go, that of 1 stays. Page 2's tail
    # ends below the locked 1, which has no other child by now.
    script = Script(0)
    result = ask(one_by_one([1, 2], [3], [1, 4]), 3, script, 2)
    assert result.evictions == [[(0, 1)]]
    question = script.questions[0]
    assert (question.wanted, question.free, question.locked, question.unmarked) == (1, 0, 1, 2)
    assert (question.slots[0].tail_pages, question.slots[0].siblings) == (1, 0)


def test_only_the_requesters_path_to_offer():
    # As for `rlt` (C6): the unlocked leaves 2 3 4 all lie on the requester's own path; nothing stays marked, the
    # locked page 1 included. The tail of 4 is 4 3 2, 2 are wanted.
    script = Script(1)
    requests = [request([1, 2, 3, 4]), request([1, 2, 3, 4])]
    result = ask(requests, 5, script, 2, [(1, (0, 3))], settings=engine(chunk_tokens=5, max_running=5))
    assert result.evictions == [[(0, 3), (0, 2)]]
    question = script.questions[0]
    assert (question.request, question.wanted, question.free, question.locked, question.unmarked) == (1, 2, 1, 1, 4)
    assert question.slots[0].tail_pages == 3


def test_nothing_is_asked_if_the_pages_are_not_there():
    # Worker of 5: request 0 has 3 + 3 tokens (5 pages in all), request 1 has 3. Request 1 comes while 0 runs: 2 free
    # pages, nothing evictable, refused without a question. After the end of 0 it wants 3 with 0 free: the tail is its
    # 5.
    script = Script(0)
    result = ask([RefRequest((1, 2, 3), (4, 5, 6), 0), request([7, 8, 9], at=50)], 5, script, 2)
    assert result.evictions == [[(0, 4), (0, 3), (0, 2)]]
    assert [question.time_ps for question in script.questions] == [result.records[0].finish_ps]


def test_evict_full_request_is_what_is_wanted():
    # 2 of 8 pages are free, 4 are needed: all 4 are asked for.
    script = Script(0)
    result = ask(one_by_one(range(6), range(10, 14)), 8, script, 2, settings=engine(evict_full_request=True))
    assert result.evictions == [[(0, 5), (0, 4), (0, 3), (0, 2)]]
    assert amounts(script) == [(4, 4)]


def test_the_decisions_of_all_that_evict_full_request_wants():
    # Worker of 12, [1] .. [10]; 9 pages with 2 free: all 9 are wanted. Slot 1: 2 .. 9; lru 1. Two stay free.
    script = Script(*[1] * 8)
    requests = one_by_one(*([page] for page in range(1, 11)), range(20, 29))
    result = ask(requests, 12, script, 4, settings=engine(evict_full_request=True))
    assert result.evictions == [[*((number, 0) for number in range(1, 9)), (0, 0)]]
    assert amounts(script) == countdown(9)
    assert len(result.resident[0]) == 10


def test_rule_form():
    # Worker of 10, [1 2 3 4] and [1 2 5 6] leave 4 free pages after 6; 7 more need 3. One question; lru_node
    # overshoots.
    requests = one_by_one([1, 2, 3, 4], [1, 2, 5, 6], range(10, 17))
    script = Script("lru_node")
    assert ask(requests, 10, script, 0, []).evictions == [[(0, 3), (0, 2), (1, 3), (1, 2)]]
    question = script.questions[0]
    # Nothing is drawn and no phase begins before a rule is named.
    assert (question.slots, question.wanted, question.free, question.unmarked) == ((), 3, 4, 0)
    assert question.decisions_left == 1
    assert ask(requests, 10, Script("mru"), 0, []).evictions == [[(1, 3), (1, 2), (0, 3)]]


def test_a_rule_frees_all_that_is_wanted():
    # Worker of 6, [1] .. [6]; 5 are wanted: one decision, and the rule takes them all.
    script = Script("mru")
    result = ask(one_by_one([1], [2], [3], [4], [5], [6], range(10, 15)), 6, script, 0)
    assert result.evictions == [[(5, 0), (4, 0), (3, 0), (2, 0), (1, 0)]]
    assert amounts(script) == [(5, 1)]


def test_rules_share_their_books():
    # Worker of 3. 1 is hit once, 2 and 3 are not. [4] by lfu: 2 goes. [5] by rlt: 1, 3, 4 are marked, a new phase: a
    # draw among 3 leaves, 1. 5 enters marked. [6] by random: among 3, 4, 5: 5. [7] by rlt: 3 and 4 are unmarked still,
    # 6 is not: a draw among 2: 4. [8] by slru: 3, 6, 7 have no hit: 3, the oldest.
    requests = one_by_one([1], [1], [2], [3], [4], [5], [6], [7], [8])
    names = ["lfu", "rlt", "random", "rlt", "slru"]
    draws = [(3, (0, 0)), (3, (5, 0)), (2, (4, 0))]
    expected = [[(2, 0), (0, 0), (5, 0), (4, 0), (3, 0)]]
    assert ask(requests, 3, Script(*names), 0, draws).evictions == expected
    rules = [None] * 4 + names
    assert run(requests, 3, evictor="fifo", rules=rules, draws=[iter(draws)]).evictions == expected
    assert run(requests, 3, rules=rules.__getitem__, draws=[iter(draws)]).evictions == expected


def test_a_request_evicts_by_its_rule_when_it_decodes():
    # Worker of 4 with [1], [2]. Request 2 has 1 + 3 tokens: page 3 and its first decode page fill the worker, the
    # second evicts 2 by its rule mru. Without a rule lru takes 1.
    requests = [*one_by_one([1], [2]), RefRequest((3,), (4, 5, 6), 20_000)]
    assert run(requests, 4, rules=[None, None, "mru"]).evictions == [[(1, 0)]]
    assert run(requests, 4).evictions == [[(0, 0)]]
