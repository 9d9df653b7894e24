"""Sessions of coding agents: figures of the recorded ones, contexts that grow and are cut back, golden hash."""

import numpy as np
import pytest

from kvgym.workload import coding_agents
from kvgym.workload.random import Stream

GOLDEN = "f6e8970e6dbdc929"


def test_golden():
    assert coding_agents(1, 16).content_hash()[:16] == GOLDEN


def test_lognormal_numbers():
    x = Stream(3, 0).lognormal(100_000, 2.0, 0.5)
    assert np.log(x).mean() == pytest.approx(2.0, abs=0.01)
    assert np.log(x).std() == pytest.approx(0.5, abs=0.01)
    assert np.percentile(x, [0.5, 99.5]) == pytest.approx(np.exp([2 - 0.5 * 2.5758, 2 + 0.5 * 2.5758]), rel=0.03)
    # Quartiles of the normal distribution are at 0.6744897502.
    assert np.percentile(x, [25, 75]) == pytest.approx(np.exp([2 - 0.5 * 0.67449, 2 + 0.5 * 0.67449]), rel=0.01)


def test_figures_of_the_recorded_sessions():
    w = coding_agents(1, 16, requests=60_000, max_turns=2000, max_context=10_000_000, session_rate=1.0)
    r = w.requests
    turns = np.bincount(r["session"])
    assert np.median(turns) == pytest.approx(np.exp(3.67), rel=0.1)
    assert np.median(r["output_tokens"]) == pytest.approx(np.exp(5.57), rel=0.03)
    later = r[r["predecessor"] >= 0]
    assert np.median(later["think_ps"] * 1e-12) == pytest.approx(14.3, rel=0.1)  # a mixture of 12.4 and 40.4 s
    before = r[later["predecessor"]]
    grown = later["prompt_tokens"] - before["prompt_tokens"] - before["output_tokens"]
    assert np.median(grown[grown > 0]) == pytest.approx(np.exp(6.65), rel=0.05)
    assert (grown <= 0).mean() == pytest.approx(0.017, abs=0.004)
    tenants = np.bincount(r["tenant"][r["turn"] == 0]) / len(turns)
    assert tenants[0] / tenants[1] == pytest.approx(2.0, rel=0.35)


def test_a_turn_reads_the_last_one_again():
    w = coding_agents(2, 1, requests=60, prefix_tokens=50, first_tokens=20, max_context=4000)
    paths = [
        [
            (int(v), page)
            for v in w.paths[row["path_start"] :][: row["path_nodes"]]
            for page in range(w.nodes["n_pages"][v])
        ]
        for row in w.requests
    ]
    for q, row in enumerate(w.requests):
        assert row["prompt_tokens"] <= 4000
        before = int(row["predecessor"])
        if before < 0:
            assert row["turn"] == 0
            continue
        assert row["session"] == w.requests["session"][before] and row["turn"] == w.requests["turn"][before] + 1
        known = int(w.requests["prompt_tokens"][before] + w.requests["output_tokens"][before]) - 1
        same = paths[q][: int(row["prompt_tokens"])][:known] == paths[before][:known]
        cut_back = paths[q][:50] == paths[before][:50] and paths[q][50] != paths[before][50]
        assert same or cut_back


def test_contexts_that_are_full_are_cut_back():
    w = coding_agents(3, 16, requests=500, prefix_tokens=1000, first_tokens=500, max_context=8000)
    assert w.requests["prompt_tokens"].max() <= 8000
    assert w.requests["prompt_tokens"].min() > 1000


def test_more_requests_leave_the_first_sessions_alone():
    few, many = coding_agents(4, 16, requests=100), coding_agents(4, 16, requests=400)
    n = int((few.requests["session"] < few.requests["session"][-1]).sum())
    for name in ("arrival_ps", "think_ps", "prompt_tokens", "output_tokens", "session", "turn", "tenant"):
        assert few.requests[name][:n].tolist() == many.requests[name][:n].tolist()
    assert 100 <= len(few) < 100 + 64


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("requests", 0),
        ("session_rate", 0.0),
        ("prefixes", 0),
        ("prefix_tokens", -1),
        ("first_tokens", 0),
        ("max_context", 12_001),
        ("max_turns", 0),
        ("time_scale", -1.0),
    ],
)
def test_refusals(argument, value):
    with pytest.raises(ValueError, match=argument):
        coding_agents(1, 16, **{argument: value})
