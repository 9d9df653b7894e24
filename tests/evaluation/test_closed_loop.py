"""Closed loops against answers worked out by hand."""

import math

import pytest

from kvgym.cluster import EngineSpec, IterationCost, WorkerSpec
from kvgym.evaluation.closed_loop import closed_loop

FLAT = WorkerSpec(1000, IterationCost(c0=10.0))  # every iteration takes 10 ms
PER_TOKEN = WorkerSpec(1000, IterationCost(c0=1.0, k=0.5, p=1.0))


def test_one_client_prefills_and_decodes_alone():
    # Prefill of 100 tokens: 51 ms; each decode: 1.5 ms.
    found = closed_loop(PER_TOKEN, 1, 100, 5)
    assert (found.ttft_ms, found.tpot_ms) == (pytest.approx(51), pytest.approx(1.5))


def test_clients_that_start_at_once_stay_together():
    # All four prompts in one iteration of 400 tokens, then four decodes in each.
    found = closed_loop(PER_TOKEN, 4, 100, 5)
    assert (found.ttft_ms, found.tpot_ms) == (pytest.approx(201), pytest.approx(3))


def test_a_prompt_longer_than_the_budget_takes_more_iterations():
    found = closed_loop(FLAT, 1, 100, 5, engine=EngineSpec(chunk_tokens=40, max_running=8))
    assert (found.ttft_ms, found.tpot_ms) == (pytest.approx(30), pytest.approx(10))


def test_spread_clients_share_iterations_with_each_other():
    # Two clients, 6 iterations a request, the second 3 iterations later: each joins at a boundary, at once.
    found = closed_loop(FLAT, 2, 100, 6, spread_s=0.06)
    assert (found.ttft_ms, found.tpot_ms) == (pytest.approx(10), pytest.approx(10))
    # Each prefill falls into a decode of the other client: of the 5 times between tokens, one holds a prefill. What
    # ends when the other client is done would be faster, and is not counted.
    apart = closed_loop(PER_TOKEN, 2, 100, 6, spread_s=2 * 0.06)
    assert apart.tpot_ms == pytest.approx((4 * 2 + 1 + 0.5 * 101) / 5)


def test_one_token_has_no_time_per_token():
    assert math.isnan(closed_loop(FLAT, 1, 10, 1).tpot_ms)


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ((0, 10, 5), {}, "concurrency must be an integer >= 1, got 0"),
        ((1, 0, 5), {}, "prompt_tokens must be an integer >= 1, got 0"),
        ((1, 10, 0), {}, "output_tokens must be an integer >= 1, got 0"),
        ((1, 10, 5), {"rounds": 1}, "rounds must be an integer >= 2, got 1"),
        ((1, 10, 5), {"spread_s": -1.0}, "spread_s must be a finite number >= 0, got -1.0"),
        ((1, 20_000, 5), {}, "request 0"),
    ],
)
def test_bad_arguments_are_named(arguments, settings, message):
    with pytest.raises(ValueError, match=message):
        closed_loop(FLAT, *arguments, **settings)
