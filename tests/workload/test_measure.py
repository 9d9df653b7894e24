"""The figures of a workload against plain simulations of caches, page by page."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvgym.workload import Workload, coding_agents, figures, gsp, multi_turn, nominal_arrivals, poisson_arrivals
from kvgym.workload.measure import continued, dispersion, quantiles

PAGE = 2


def pages(workload, i):
    """Names of the pages of a request's path, and how many of them its prompt could hit."""
    row = workload.requests[i]
    path = workload.paths[row["path_start"] : row["path_start"] + row["path_nodes"]]
    held = [(int(v), k) for v in path for k in range(workload.nodes["n_pages"][v])]
    return held, (int(row["prompt_tokens"]) - 1) // workload.page_size


def lru_hits(requests, capacity):
    stack, hits = [], 0  # most recent first
    for held, asked in requests:
        hits += sum(page in stack for page in held[:asked])
        stack = (held + [page for page in stack if page not in held])[:capacity]
    return hits


def optimal_hits(requests, capacity):
    """Page by page, with the same freedom not to keep a page."""
    cache, hits = set(), 0
    for r, (held, asked) in enumerate(requests):
        hits += sum(page in cache for page in held[:asked])

        def next_use(page, now=r):
            for later in range(now + 1, len(requests)):
                path, could_hit = requests[later]
                if page in path:
                    return (later, path.index(page)) if path.index(page) < could_hit else (math.inf, 0)
            return math.inf, 0

        useful = [page for page in cache | set(held) if next_use(page)[0] < math.inf]
        cache = set(sorted(useful, key=next_use)[:capacity])
    return hits


prompts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=2, max_size=12)


@given(prompts, st.integers(1, 30), st.randoms(use_true_random=False))
def test_hits_are_those_of_caches_that_are_simulated(rows, capacity, random):
    outputs = [[random.randrange(3) for _ in range(random.randint(1, 4))] for _ in rows]
    workload = Workload.from_tokens(rows, outputs, np.arange(len(rows)), PAGE)
    requests = [pages(workload, i) for i in range(len(rows))]
    tokens = sum(len(row) for row in rows)
    found = figures(workload, capacities=[capacity, 10**6])
    assert found.lru[capacity] * tokens / PAGE == pytest.approx(lru_hits(requests, capacity // PAGE))
    assert found.opt[capacity] * tokens / PAGE == pytest.approx(optimal_hits(requests, capacity // PAGE))
    assert found.lru[10**6] == pytest.approx(found.infinite_hit) == found.opt[10**6]
    assert found.infinite_hit == pytest.approx(workload.infinite_hit_rate())
    assert found.infinite_hit == pytest.approx(
        np.average(hits_of_each(requests) / lengths(rows), weights=lengths(rows))
    )
    assert found.request_hit.mean == pytest.approx(np.mean(hits_of_each(requests) / lengths(rows)))


def lengths(rows):
    return np.array([len(row) for row in rows])


def hits_of_each(requests):
    seen, hits = set(), []
    for held, asked in requests:
        hits.append(PAGE * sum(page in seen for page in held[:asked]))
        seen |= set(held)
    return np.array(hits)


def test_reuse():
    """The same two pages at 0, 3 and 10 s, others in between: three tokens more than the pages that can hit."""
    again = [1, 2, 3, 4, 5]
    workload = Workload.from_tokens([again, [7] * 6, again, again], [1] * 4, [0.0, 1.0, 3.0, 10.0], PAGE)
    found = figures(workload, capacities=[4, 10])
    assert found.reuse_s.p10 == 3.0 and found.reuse_s.p90 == 7.0 and found.reuse_s.mean == 5.0
    assert found.reuse_tokens.p90 == 2 * (3 + 1.5)  # after the three others, the mean of the first and the second page
    assert found.lru == {4: 4 / 21, 10: 8 / 21} and found.opt == {4: 8 / 21, 10: 8 / 21}
    assert found.distinct_tokens == 10 and found.used_once == 3 / 5
    assert (found.requests, found.span_s, found.rate) == (4, 10.0, 0.4)


def test_dispersion():
    assert dispersion(np.arange(1000.0), 10) == 0.0
    assert math.isnan(dispersion(np.arange(15.0), 10))
    poisson = poisson_arrivals(3, 20_000, 10.0)
    assert dispersion(poisson, 10) == pytest.approx(1.0, rel=0.3)
    assert dispersion(np.repeat(poisson, 5), 10) == pytest.approx(5.0, rel=0.3)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 5)), min_size=1, max_size=30))
def test_weighted_quantiles_are_those_of_repeated_values(pairs):
    values, weights = np.array(pairs).T
    repeated = np.sort(np.repeat(values, weights))
    found = quantiles(values, weights)
    assert found.mean == pytest.approx(repeated.mean())
    for share, value in ((0.1, found.p10), (0.5, found.p50), (0.9, found.p90), (0.99, found.p99)):
        assert value == np.quantile(repeated, share, method="inverted_cdf")


def test_times_of_a_closed_loop():
    workload = multi_turn(0, 16, conversations=3, turns=(3,), output_tokens=10)
    times = nominal_arrivals(workload, seconds_per_token=0.5)
    for i, row in enumerate(workload.requests):
        if row["predecessor"] < 0:
            assert times[i] == 0
        else:
            assert times[i] == pytest.approx(times[row["predecessor"]] + 5.0 + row["think_ps"] * 1e-12)


def test_sessions():
    recorded = figures(coding_agents(0, 512, requests=300)).sessions
    assert recorded.recorded and recorded.turns.mean > 5
    assert figures(gsp(0, 16, groups=4, prompts_per_group=4)).sessions.number == 16  # a prefix alone is no session


@pytest.mark.parametrize("page_size", [16, 512])
def test_conversations_are_found_where_none_are_recorded(page_size):
    chat = [9, *range(100, 110)]  # blocks of 512 tokens; the first one is everybody's
    blocks = [chat[:5], [9, 1, 2], chat[:8], [9, 3, 4], chat, chat[:4]]
    ends = [100, 511, 200, 300, 400, 500]  # and a last block that is not full, and one's own
    n = len(blocks)
    workload = Workload.from_segments(
        np.append(0, np.cumsum([len(row) + 1 for row in blocks])),
        np.concatenate([[*row, 1000 + i] for i, row in enumerate(blocks)]),
        np.zeros(sum(map(len, blocks)) + n, int),
        np.concatenate([[512] * len(row) + [end] for row, end in zip(blocks, ends, strict=True)]),
        np.ones(n, int),
        np.arange(n),
        page_size,
    )
    assert continued(workload, np.arange(6.0)).tolist() == [-1, -1, 0, -1, 2, 0]
    sessions = figures(workload).sessions
    assert not sessions.recorded and sessions.number == 3 and sessions.multi_turn == pytest.approx(4 / 6)
    assert sessions.growth_tokens.mean == pytest.approx(512 * np.mean([3, 3, -1]) + np.mean([100, 200, 400]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"capacities": [0]}, "capacities must be an integer >= 1, got 0"),
        ({"arrivals": [1.0]}, "arrivals must be 16 finite numbers"),
        ({"arrivals": np.full(16, np.nan)}, "arrivals must be 16 finite numbers"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        figures(gsp(0, 16, groups=4, prompts_per_group=4), **arguments)
