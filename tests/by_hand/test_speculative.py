"""The view of what is resident and in flight (rule D2 Speculative) against cases computed by hand; D = 100 + 10 T."""

from __future__ import annotations

import pytest

from tests.by_hand.hand import LINK, A, B, engine, play, request, run
from tests.reference import RefCrash, RefRequest, prefix_affinity

TURN = RefRequest(A, (11, 12, 13, 14), 0)  # 0 .. 180, then three decodes of 110 until 510
LATER = (*A, 11, 12, 13, 14, 9)


def hits(result):
    """Per decision the visible hit on each worker."""
    return [row[2] for row in result.visible]


def test_a_prompt_counts_from_its_decision_on():
    # A is computed in 0 .. 180. Equal prompts meet at 0 and at 50, and the last token is always a miss.
    requests = [request(A), request(A), request(A, at=50), request((*A, 9), at=50), request(B, at=50)]
    assert hits(run(requests, 40, speculative=True)) == [(0,), (7,), (7,), (8,), (0,)]
    assert hits(run(requests, 40)) == [(0,)] * 5


def test_a_router_follows_what_is_in_flight():
    # The second A is sent after the first one, though worker 1 is idle.
    requests = [request(A), request(A, at=50)]
    assert [row.worker for row in play(requests, [40, 40], prefix_affinity, speculative=True).records] == [0, 0]
    assert [row.worker for row in play(requests, [40, 40], prefix_affinity).records] == [0, 1]


@pytest.mark.parametrize(
    ("at", "there"),
    [
        (50, 8),  # while the prompt is computed: it alone
        (300, 9),  # two tokens emitted, the first of them computed
        (509, 10),
        (510, 11),  # done: all but the last token
    ],
)
def test_outputs_count_when_they_are_computed(at, there):
    # The next turn arrives while the one before it runs.
    assert hits(run([TURN, request(LATER, at=at)], 40, speculative=True)) == [(0,), (there,)]


def test_a_prompt_within_another_s_output():
    # A 11 12 counts beyond the prompt of the first one, and a whole prompt for an equal one.
    requests = [TURN, request((*A, 11, 12), at=20), request(LATER, at=30), request(LATER, at=30)]
    assert hits(run(requests, 60, speculative=True)) == [(0,), (8,), (10,), (12,)]


def test_full_pages_of_the_prompt():
    # Pages of 4: six tokens in flight are one page; an equal prompt's last page is a miss.
    requests = [request(A[:6]), request(A, at=10), request(A, at=20), request((*A, 9), at=20)]
    assert hits(run(requests, 20, engine(page_size=4), speculative=True)) == [(0,), (4,), (4,), (8,)]


def test_in_flight_until_the_finish():
    # Worker of 8. A is done at 180, B takes its pages in 200 .. 380: at 250 A is gone. At 300 the second A waits.
    requests = [request(A), request(B, at=200), request(A, at=250), request(A, at=300)]
    assert hits(run(requests, 8, speculative=True)) == [(0,), (0,), (0,), (7,)]


def test_nothing_is_in_flight_on_a_worker_that_crashed():
    # Both A on worker 0 come back at 100 and see nothing, but the second sees the first on worker 1. At 300, worker 0
    # is up again, cold.
    requests = [request(A, output=9), request(A), request(A, at=300)]
    result = play(requests, [40, 40], [0, 0, 0], faults=[RefCrash(0, 100, 200)], speculative=True)
    assert hits(result) == [(0, 0), (7, 0), (0, 0), (0, 7), (0, 7)]


def test_a_request_that_was_refused_is_not_in_flight():
    # It comes back at the crash at 100 and is refused.
    requests = [request(A), request(A, at=110)]
    result = play(requests, [40, 40], [0, 0], faults=[RefCrash(0, 100, 105)], refuse={0: 1}, speculative=True)
    assert hits(result) == [(0, 0), (0, 0), (0, 0)]


def test_offers_of_what_is_in_flight():
    # Worker 0 computes A until 180. At 50 the view offers it, but the transfer looks at what is resident.
    result = play([request(A), request((*A, 9), at=50)], [40, 40], [0, 1], LINK, speculative=True)
    assert result.offers[1] == ((0, 0), (8, 26))
    assert result.links == {}
    # Of two that are in flight, nothing is offered to either.
    result = play([request(A), request(A), request((*A, 9), at=50)], [40, 40], [0, 1, 1], LINK, speculative=True)
    assert result.offers[1] == ((0, 0), (7, 24)) and result.offers[2] == ((0, 0), (0, 0))
