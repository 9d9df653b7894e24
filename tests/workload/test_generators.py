"""The generators: the paper's figures, golden hashes, what a parameter leaves alone, refusals."""

import numpy as np
import pytest

from kvgym.workload import Workload, equal_requests, gsp, long_documents, multi_turn

GOLDEN = {
    "gsp": "c289dd98a2bcfa96",
    "gsp grouped": "3c99aa09d5bba4b4",
    "gsp worst": "4abaa765593bafdf",
    "multi_turn": "4913a3379e2c3fc6",
    "long_documents": "8596b4bae6432186",
    "equal_requests": "a6311db3ad94fcd8",
}


@pytest.mark.parametrize("name", ["gsp", "gsp grouped", "gsp worst", "multi_turn", "long_documents", "equal_requests"])
def test_golden(name):
    """A seed gives the same workload for good: a change here changes every published result."""
    make = {
        "gsp": lambda: gsp(1, 16),
        "gsp grouped": lambda: gsp(1, 16, order="grouped"),
        "gsp worst": lambda: gsp(1, 1, order="worst"),
        "multi_turn": lambda: multi_turn(1, 16, system_tokens=100, template_tokens=7),
        "long_documents": lambda: long_documents(1, 16),
        "equal_requests": lambda: equal_requests(1, 16),
    }[name]
    assert make().content_hash()[:16] == GOLDEN[name]
    assert make().content_hash() == make().content_hash()


@pytest.mark.parametrize("make", [gsp, multi_turn, long_documents, equal_requests])
def test_seeds_and_streams(make):
    a, b = make(1, 16), make(np.random.SeedSequence(1), 16)
    assert a.content_hash() == b.content_hash()
    assert make(2, 16).content_hash() != a.content_hash()
    assert a.name == make.__name__


def test_gsp_has_the_figures_of_the_paper():
    w = gsp(1, 1)
    prompt = w.requests["prompt_tokens"]
    assert len(w) == 4096
    assert prompt.mean() == pytest.approx(3128, abs=0.5)
    assert prompt.sum() == pytest.approx(12.81e6, rel=1e-3)
    assert w.nodes["n_pages"][w.nodes["n_requests"] > 1].sum() == 200_192
    assert w.nodes["n_pages"].sum() - 3 * 4096 == pytest.approx(6.61e6, rel=1e-3)
    assert w.infinite_hit_rate() == pytest.approx(0.4844, abs=1e-4)
    assert w.n_shared == 128
    assert w.requests["arrival_ps"][0] == 0
    assert w.requests["arrival_ps"][-1] / 1e12 == pytest.approx(341, rel=0.06)


def test_gsp_orders():
    small = {"groups": 3, "prompts_per_group": 2, "lengths": [4, 8]}
    assert gsp(1, 1, order="grouped", **small).requests["tenant"].tolist() == [0, 0, 1, 1, 2, 2]
    assert gsp(1, 1, order="worst", **small).requests["tenant"].tolist() == [0, 1, 2, 0, 1, 2]
    assert sorted(gsp(1, 1, **small).requests["tenant"].tolist()) == [0, 0, 1, 1, 2, 2]
    assert gsp(1, 1, order="worst", **small).requests["prompt_tokens"].tolist() == [4, 8, 4, 4, 8, 4]


@pytest.mark.parametrize(("ratio", "shared"), [(0.0, 0), (0.3, 3 + 6), (1.0, 10 + 20)])
def test_gsp_ratio_is_rounded_to_tokens(ratio, shared):
    w = gsp(1, 1, groups=2, prompts_per_group=2, lengths=[10, 20], prefix_ratio=ratio)
    assert w.nodes["n_pages"][w.nodes["n_requests"] > 1].sum() == shared


def test_gsp_parameters_leave_other_draws_alone():
    base = gsp(1, 16, groups=8).requests
    assert gsp(1, 16, groups=8, rate=24.0).requests["tenant"].tolist() == base["tenant"].tolist()
    for more in ({"order": "worst"}, {"output_tokens": 100}, {"prefix_ratio": 0.2}, {"lengths": [64]}):
        assert gsp(1, 16, groups=8, **more).requests["arrival_ps"].tolist() == base["arrival_ps"].tolist()
    longer = gsp(1, 16, groups=16).requests["arrival_ps"]
    assert longer[: len(base)].tolist() == base["arrival_ps"].tolist()


def test_multi_turn_has_the_figures_of_the_paper():
    w = multi_turn(1, 1)
    assert len(w) == 640
    assert w.requests["prompt_tokens"].mean() == pytest.approx(3584, rel=0.005)
    assert w.requests["prompt_tokens"].sum() == pytest.approx(2.29e6, rel=0.01)
    assert w.nodes["n_pages"].sum() == pytest.approx(0.66e6, rel=0.005)
    assert w.infinite_hit_rate() == pytest.approx(0.71, abs=0.01)


def test_multi_turn_is_a_closed_loop():
    r = multi_turn(1, 16, conversations=40).requests
    first = r["turn"] == 0
    assert np.count_nonzero(first) == 40
    assert set(r["arrival_ps"][first].tolist()) == {0}
    assert set(r["arrival_ps"][~first].tolist()) == {-1}
    assert r["session"][r["predecessor"][~first]].tolist() == r["session"][~first].tolist()
    assert r["turn"][r["predecessor"][~first]].tolist() == (r["turn"][~first] - 1).tolist()
    assert np.bincount(r["session"])[:5].tolist() == [2, 4, 6, 8, 2]
    assert multi_turn(1, 16).requests["think_ps"].sum() / 512 / 1e12 == pytest.approx(1 / 12, rel=0.15)


def test_multi_turn_prompts_hold_messages_answers_and_templates():
    w = multi_turn(
        1, 1, conversations=2, turns=[3], message_tokens=10, output_tokens=4, system_tokens=5, template_tokens=2
    )
    assert w.requests["prompt_tokens"].tolist() == [17, 17, 33, 33, 49, 49]
    # All share system prompt and first template; each turn shares the whole path of the one before, answer included.
    shared = w.nodes[w.nodes["n_requests"] > 1]
    assert shared["n_pages"][0] == 5 + 2
    assert w.infinite_hit_rate() == pytest.approx((0 + 7 + 2 * 20 + 2 * 36) / 198)


def test_more_conversations_leave_the_first_ones_alone():
    few, more = multi_turn(1, 16, conversations=20).requests, multi_turn(1, 16, conversations=30).requests
    same = more[more["session"] < 20]
    for column in ("session", "turn", "think_ps", "prefix_u"):
        assert same[column].tolist() == few[column].tolist()


def test_long_documents():
    w = long_documents(1, 1)
    assert len(w) == 105 * 19
    documents = w.nodes[w.nodes["n_requests"] > 1]
    assert sorted(set(documents["n_pages"].tolist())) == [1024, 2048, 4096, 8192 - 64 - 4 - 32]
    assert set(documents["n_requests"].tolist()) == {19}
    assert np.bincount(w.requests["tenant"]).tolist() == [19] * 105
    rate = long_documents(1, 1, rate=1.0).requests
    assert rate["tenant"].tolist() == w.requests["tenant"].tolist()


def test_equal_requests():
    w = equal_requests(1, 16, requests=100, prompt_tokens=32, output_tokens=3, slot_s=0.5)
    assert len(w.nodes) == 100
    assert w.n_shared == 0
    assert set(w.requests["prompt_tokens"].tolist()) == {32}
    assert set((w.requests["arrival_ps"] % (5 * 10**11)).tolist()) == {0}
    longer = equal_requests(1, 16, requests=150, prompt_tokens=32, output_tokens=3, slot_s=0.5)
    assert longer.head(100).content_hash() == w.content_hash()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gsp(1, 16, groups=0), "groups must be an integer >= 1, got 0"),
        (lambda: gsp(1, 16, prompts_per_group=0), "prompts_per_group must be"),
        (lambda: gsp(1, 16, prefix_ratio=1.1), "prefix_ratio must be a finite number from 0 to 1"),
        (lambda: gsp(1, 16, lengths=[]), "number of lengths must be"),
        (lambda: gsp(1, 16, lengths=[0]), r"lengths\[0\] must be in 1"),
        (lambda: gsp(1, 16, output_tokens=0), "output_tokens must be"),
        (lambda: gsp(1, 16, rate=0.0), "rate must be > 0"),
        (lambda: gsp(1, 16, order="best"), "order must be one of random, grouped, worst; got 'best'"),
        (lambda: gsp(1, 0), "page_size must be an integer >= 1, got 0"),
        (lambda: multi_turn(1, 16, conversations=0), "conversations must be"),
        (lambda: multi_turn(1, 16, turns=[2, 0]), r"turns\[1\] must be in 1"),
        (lambda: multi_turn(1, 16, turns=[]), "number of turns must be"),
        (lambda: multi_turn(1, 16, message_tokens=0), "message_tokens must be"),
        (lambda: multi_turn(1, 16, output_tokens=0), "output_tokens must be"),
        (lambda: multi_turn(1, 16, system_tokens=-1), "system_tokens must be"),
        (lambda: multi_turn(1, 16, template_tokens=-1), "template_tokens must be"),
        (lambda: multi_turn(1, 16, rate=0), "rate must be > 0"),
        (lambda: long_documents(1, 16, documents=0), "documents must be"),
        (lambda: long_documents(1, 16, questions=0), "questions must be"),
        (lambda: long_documents(1, 16, lengths=[]), "number of lengths must be"),
        (lambda: long_documents(1, 16, question_tokens=0), "question_tokens must be"),
        (lambda: long_documents(1, 16, context_tokens=100), "context_tokens must be an integer >= 101, got 100"),
        (lambda: long_documents(1, 16, reserve_tokens=-1), "reserve_tokens must be"),
        (lambda: equal_requests(1, 16, requests=0), "requests must be"),
        (lambda: equal_requests(1, 16, prompt_tokens=0), "prompt_tokens must be"),
        (lambda: equal_requests(1, 16, output_tokens=0), "output_tokens must be"),
        (lambda: equal_requests(-1, 16), "seed must be"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_generators_return_workloads():
    assert isinstance(gsp(1, 16, groups=1, prompts_per_group=1), Workload)


def test_gsp_makes_no_more_than_is_asked_for():
    whole = gsp(5, 16, groups=12, prompts_per_group=9, rate=3.0)
    for requests in (1, 40, 108, 500):
        part = gsp(5, 16, groups=12, prompts_per_group=9, rate=3.0, requests=requests)
        n = min(requests, 108)
        assert len(part) == n
        for name in ("arrival_ps", "prompt_tokens", "output_tokens", "tenant", "prefix_u"):
            assert (part.requests[name] == whole.requests[name][:n]).all()
    with pytest.raises(ValueError, match="requests must be"):
        gsp(5, 16, requests=0)
