"""The generator of sessions, and what is made of several workloads."""

from itertools import pairwise

import numpy as np
import pytest

from kvgym.workload import Part, gsp, kind, mix, multi_turn, nominal_arrivals, sessions
from kvgym.workload.laws import law, mean

GROWING = {
    "prefixes": 4,
    "prefix_tokens": 64,
    "first": 100,
    "growth": {"uniform": [30, 60]},
    "output": 20,
    "turns": 5,
    "gap_s": 2.0,
}


def test_prompts_of_a_session_grow_by_what_was_said():
    made = sessions(1, 4, requests=400, rate=20.0, kinds=[GROWING], system_tokens=32)
    rows = made.requests
    assert np.all(np.diff(nominal_arrivals(made)) >= 0)
    assert set(rows["prompt_tokens"][rows["turn"] == 0]) == {32 + 64 + 100}
    for session in np.unique(rows["session"]):
        own = rows[rows["session"] == session]
        assert own["turn"].tolist() == list(range(len(own)))
        growth = np.diff(own["prompt_tokens"])
        assert ((growth >= 30) & (growth <= 60)).all()
        # The pages of a prompt and its answer are those with which the next prompt begins.
        for before, after in pairwise(own):
            held = made.paths[before["path_start"] :][: before["path_nodes"]]
            assert made.paths[after["path_start"] :][: before["path_nodes"]].tolist() == held.tolist()
    assert np.unique(rows["tenant"]).tolist() == [0, 1, 2, 3]


def test_an_answer_longer_than_the_growth_is_not_said_again():
    made = sessions(1, 1, requests=50, kinds=[{**GROWING, "output": 500, "turns": 3}])
    again = sessions(1, 1, requests=50, kinds=[{**GROWING, "output": 1, "turns": 3}])
    assert (made.requests["prompt_tokens"] == again.requests["prompt_tokens"]).all()
    assert made.infinite_hit_rate() <= again.infinite_hit_rate()


def test_closed_loop():
    made = sessions(2, 4, requests=300, rate=20.0, loop="closed", kinds=[GROWING])
    rows = made.requests
    later = np.flatnonzero(rows["turn"] > 0)
    assert (rows["predecessor"][later] >= 0).all()
    assert (rows["think_ps"][later] == 2 * 10**12).all()
    assert (rows["session"][rows["predecessor"][later]] == rows["session"][later]).all()
    assert (rows["turn"][rows["predecessor"][later]] == rows["turn"][later] - 1).all()


def test_questions_on_a_document():
    made = sessions(1, 1, requests=200, kinds=[{"keep": "first", "first": 1000, "growth": 10, "turns": 4}])
    assert set(made.requests["prompt_tokens"]) == {1000, 1010}
    nodes, counts = np.unique(made.paths, return_counts=True)
    assert made.nodes["n_pages"][nodes[counts > 1]].max() == 1000


def test_a_session_that_began_before():
    made = sessions(1, 1, requests=100, rate=5.0, lead_s=100.0, kinds=[{"turns": {"geometric": 4.0}, "gap_s": 20.0}])
    assert (made.requests["turn"][:10] > 0).any()
    assert made.requests["arrival_ps"].min() >= 0


def test_restarts():
    one = {**GROWING, "turns": 40, "max_context": 400, "restart": 7}
    made = sessions(1, 1, requests=500, kinds=[one])
    assert made.requests["prompt_tokens"].max() <= 64 + 400
    assert (made.requests["prompt_tokens"] == 64 + 7).any()


@pytest.mark.parametrize("loop", ["open", "closed"])
def test_more_requests_leave_the_first_ones(loop):
    few, many = (sessions(9, 4, requests=n, rate=30.0, loop=loop, kinds=[GROWING], lead_s=5.0) for n in (50, 700))
    columns = ["arrival_ps", "think_ps", "predecessor", "prompt_tokens", "output_tokens", "session", "turn", "tenant"]
    assert (few.requests[columns] == many.requests[:50][columns]).all()


def test_popularity_drifts_and_topics_shift():
    pool = {"prefixes": 8, "zipf": 3.0, "prefix_tokens": 256, "first": 10}
    still, drift, topic = (
        sessions(1, 16, requests=2000, rate=10.0, kinds=[pool], **change)
        for change in ({}, {"drift_s": 30.0}, {"topic_s": 20.0})
    )
    early, late = drift.requests["tenant"][:150], drift.requests["tenant"][-150:]
    assert np.bincount(early).argmax() != np.bincount(late).argmax()
    assert np.bincount(still.requests["tenant"][-150:]).argmax() == np.bincount(early).argmax()
    assert still.n_shared <= 8
    assert topic.n_shared > 24


def test_sessions_become_longer():
    made = sessions(1, 16, requests=20_000, rate=10.0, longer_per_hour=4.0, kinds=[{"turns": 3, "gap_s": 5.0}])
    rows = made.requests
    turns = np.bincount(rows["session"])
    assert turns[:100].mean() < 3.5
    assert turns[3000:4000].mean() > 5


def test_clients_have_prefixes_of_their_own():
    arrivals = {"process": "clients", "clients": 7, "cv": 1.0, "cv_p90": 1.0}
    made = sessions(1, 16, requests=500, arrivals=arrivals, kinds=[{"prefix_tokens": 160, "first": 5}])
    assert set(made.requests["tenant"]) == set(range(7))
    assert made.n_shared == 7


def test_laws():
    def quantiles(given):
        from kvgym import _compile

        rows = law("x", given)
        return _compile.load("kvgym.workload.session_kernels").law_quantiles(rows, 10_001), mean(rows)

    values, average = quantiles({"lognormal": [2.0, 0.5]})
    assert np.median(values) == pytest.approx(np.exp(2.0), rel=1e-6)
    assert average == pytest.approx(np.exp(2.125), rel=0.01)
    values, average = quantiles({"geometric": 3.0})
    assert set(values) >= {1, 2, 3}
    assert (values == 1).mean() == pytest.approx(1 / 3, abs=0.01)
    assert average == pytest.approx(3.0, rel=0.01)
    values, _ = quantiles({"quantiles": [[0, 10], [0.5, 100], [1, 400]]})
    assert values[0] == pytest.approx(10, rel=0.01)
    assert values[5000] == pytest.approx(100, rel=0.01)
    assert values[2500] == pytest.approx(10 * 10**0.5, rel=0.01)
    values, average = quantiles({"mixture": [[3, 1], [1, {"uniform": [10, 20], "max": 12}]]})
    assert (values == 1).mean() == pytest.approx(0.75, abs=0.001)
    assert values.max() == 12
    values, average = quantiles({"exponential": 5.0, "min": 1.0})
    assert values.min() == 1
    assert average == pytest.approx(5 + 0.0935, rel=0.02)  # 1 - 5 (1 - exp(-1/5)) more


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loop": "half"}, "loop must be one of open, closed"),
        ({"kinds": []}, "kinds must be a list of kinds"),
        ({"kinds": [{"lengths": 3}]}, "kind 0: 'lengths' \\(given 3\\) is not known"),
        ({"kinds": [{"first": {"normal": 3}}]}, "law of first of kind 0 must be one of lognormal"),
        ({"kinds": [{"first": {"lognormal": 3}}]}, "lognormal of first of kind 0 must have 2 numbers"),
        ({"kinds": [{"turns": {"geometric": 0.5}}]}, "geometric of turns of kind 0 must be a finite number >= 1"),
        ({"kinds": [{"gap_s": {"quantiles": [[0.1, 2], [1, 3]]}}]}, "quantiles of gap_s of kind 0 must ascend"),
        ({"kinds": [{"prefixes": [0, 0]}]}, "prefixes must have a weight > 0"),
        ({"drift_s": 0.0}, "drift_s must be > 0"),
        ({"rate": -1.0}, "rate must be a finite number"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(ValueError, match=message):
        sessions(1, 16, **{"requests": 10, **change})
    assert kind()["turns"] == 1


def check_tables(made):
    """Paths go from roots to leaves and are as long as requests say; nodes are numbered by first appearance."""
    rows, nodes = made.requests, made.nodes
    seen = []
    for row in rows:
        path = made.paths[row["path_start"] :][: row["path_nodes"]]
        assert nodes["n_pages"][path].sum() == row["path_pages"]
        assert nodes["parent"][path].tolist() == [-1, *path[:-1].tolist()][: len(path)]
        seen += path.tolist()
    assert list(dict.fromkeys(seen)) == list(range(len(nodes)))
    assert np.bincount(seen).tolist() == nodes["n_requests"].tolist()
    assert made.n_shared == np.count_nonzero(nodes["n_requests"] > 1)


def test_mix():
    base = sessions(1, 4, requests=300, rate=10.0, kinds=[GROWING])
    burst = gsp(2, 4, groups=2, prompts_per_group=50, lengths=(100,), rate=50.0)
    loop = multi_turn(3, 4, conversations=5, turns=(3,), message_tokens=10)
    made = mix([Part(base), Part(burst, 5.0, 6.0), Part(loop, 2.0)])
    check_tables(made)
    at = nominal_arrivals(made)
    assert np.all(np.diff(at) >= 0)
    kept = int((burst.requests["arrival_ps"] < 10**12).sum())
    assert len(made) == 300 + kept + 15
    assert made.infinite_hit_rate() > 0
    assert len(np.unique(made.requests["session"])) == len(np.unique(base.requests["session"])) + kept + 5
    # Each part's own reuse is as it was: requests of different parts share nothing.
    pages = sum(int(one.nodes["n_pages"].sum()) for one in (base, loop))
    assert int(mix([Part(base), Part(loop)]).nodes["n_pages"].sum()) == pages
    first = mix([Part(base), Part(burst, 5.0, 6.0), Part(loop, 2.0)], requests=40)
    columns = ["arrival_ps", "prompt_tokens", "predecessor"]
    assert (first.requests[columns] == made.requests[:40][columns]).all()


def test_a_mix_of_one_is_the_workload():
    base = sessions(1, 4, requests=200, rate=10.0, loop="closed", kinds=[GROWING])
    assert mix([Part(base)]).content_hash() == base.content_hash()


def test_mix_refusals():
    one = gsp(2, 4, groups=2, prompts_per_group=5)
    with pytest.raises(ValueError, match="parts must be one or more workloads of one page size"):
        mix([Part(one), Part(gsp(2, 8, groups=2, prompts_per_group=5))])
    with pytest.raises(ValueError, match="parts must have a request before their until_s"):
        mix([Part(one, 1.0, 0.5)])
