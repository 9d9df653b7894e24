"""The prefix tree: each rule on a small case, and all of them against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvgym.workload import Workload
from tests.workload.brute import brute_tree


def build(prompts, outputs, page_size=1, **columns):
    predecessors = columns.get("predecessors", [-1] * len(prompts))
    arrivals = [0.0 if p < 0 else None for p in predecessors]
    return Workload.from_tokens(prompts, outputs, arrivals, page_size, **columns)


def spans(workload):
    """(start_page, n_pages, n_requests) of all nodes."""
    return [tuple(row) for row in workload.nodes[["start_page", "n_pages", "n_requests"]].tolist()]


def paths(workload):
    starts, counts = workload.requests["path_start"], workload.requests["path_nodes"]
    return [workload.paths[s : s + n].tolist() for s, n in zip(starts, counts, strict=True)]


def test_a_private_request_is_one_node_across_its_prompts_end():
    w = build([[1, 2, 3]], [4])
    assert spans(w) == [(0, 6, 1)]
    assert w.n_shared == 0
    assert w.nodes["parent"].tolist() == [-1]


def test_the_last_output_token_leaves_nothing():
    w = build([[1, 2, 3]], [1], page_size=1)
    assert w.requests["path_pages"].tolist() == [3]
    w = build([[1, 2, 3]], [2], page_size=2)
    assert w.requests[["prompt_pages", "path_pages"]].tolist() == [(1, 2)]


def test_paths_part():
    w = build([[1, 2, 3], [1, 2, 4]], [1, 1])
    assert spans(w) == [(0, 2, 2), (2, 1, 1), (2, 1, 1)]
    assert w.nodes["parent"].tolist() == [-1, 0, 0]
    assert paths(w) == [[0, 1], [0, 2]]


def test_a_path_ends():
    w = build([[1, 2, 3, 4], [1, 2]], [1, 1])
    assert spans(w) == [(0, 2, 2), (2, 2, 1)]
    assert paths(w) == [[0, 1], [0]]


def test_a_page_that_is_not_full_is_not_shared():
    w = build([[1, 2, 3, 4], [1, 2, 3, 9]], [1, 1], page_size=2)
    assert spans(w) == [(0, 1, 2), (1, 1, 1), (1, 1, 1)]
    w = build([[1, 2, 3], [1, 2, 3]], [1, 1], page_size=2)
    assert spans(w) == [(0, 1, 2)]


def test_equal_tokens_after_different_prefixes_are_different_pages():
    w = build([[1, 7, 8], [2, 7, 8]], [1, 1])
    assert spans(w) == [(0, 3, 1), (0, 3, 1)]


def test_a_shared_node_is_cut_where_a_prompt_ends():
    # Request 1 is a successor, so the output pages of request 0 stay one node; its prompt ends at page 2.
    w = build([[1, 2], [1, 2, 3, 4, 5]], [[3, 4, 9], 1], predecessors=[-1, 0])
    assert spans(w) == [(0, 2, 2), (2, 2, 2), (4, 1, 1)]


def test_output_pages_shared_with_a_stranger_are_single():
    w = build([[1, 2], [1, 2, 3, 4, 5]], [[3, 4, 9], 1])
    assert spans(w) == [(0, 2, 2), (2, 1, 2), (3, 1, 2), (4, 1, 1)]


def test_two_requests_with_the_same_output_share_single_pages():
    w = build([[1], [1]], [[2, 3, 4], [2, 3, 4]])
    assert spans(w) == [(0, 1, 2), (1, 1, 2), (2, 1, 2)]


def test_two_successors_may_share_their_predecessors_output():
    prompts = [[1], [1, 2, 3, 4], [1, 2, 3, 5]]
    w = build(prompts, [[2, 3, 9], 1, 1], predecessors=[-1, 0, 0])
    assert spans(w) == [(0, 1, 3), (1, 2, 3), (3, 1, 1), (3, 1, 1)]


def test_a_predecessor_is_a_stranger_to_its_successors_output():
    # Request 1's output begins with a page of request 0's prompt.
    w = build([[1, 2, 3], [1]], [1, [2, 3, 9]], predecessors=[-1, 0])
    assert spans(w) == [(0, 1, 2), (1, 1, 2), (2, 1, 2)]


def test_shared_nodes_come_first_in_slots():
    w = build([[9, 9], [1, 2, 3], [1, 2, 4]], [1, 1, 1])
    assert w.nodes["n_requests"].tolist() == [1, 2, 1, 1]
    assert w.nodes["slot"].tolist() == [1, 0, 2, 3]
    assert w.n_shared == 1


def test_a_request_without_a_full_page_has_no_path():
    w = build([[1, 2], [1, 2, 3, 4]], [1, 1], page_size=4)
    assert paths(w) == [[], [0]]


def test_private_outputs_are_private():
    w = build([[1, 2], [1, 2]], [3, 3])
    assert spans(w) == [(0, 2, 2), (2, 2, 1), (2, 2, 1)]


@st.composite
def token_workloads(draw):
    """Requests whose prompts often go on from earlier ones, in all the ways that matter to the tree."""
    page_size = draw(st.integers(1, 3))
    token = st.integers(0, 2)
    known, prompts, outputs, predecessors = [[]], [], [], []
    for i in range(draw(st.integers(1, 8))):
        base = draw(st.sampled_from(known))
        prompt = base[: draw(st.integers(0, len(base)))] + draw(st.lists(token, max_size=6))
        prompt = prompt or [draw(token)]
        output = draw(st.one_of(st.integers(1, 6), st.lists(token, min_size=1, max_size=6)))
        known.append(prompt + (output if isinstance(output, list) else []))
        prompts.append(prompt)
        outputs.append(output)
        predecessors.append(draw(st.integers(-1, i - 1)))
    return page_size, prompts, outputs, predecessors


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(token_workloads())
def test_tree_equals_brute_force(case):
    page_size, prompts, outputs, predecessors = case
    w = build(prompts, outputs, page_size, predecessors=predecessors)
    private = [[(r, k) for k in range(o)] if isinstance(o, int) else o for r, o in enumerate(outputs)]
    tokens = [p + o for p, o in zip(prompts, private, strict=True)]
    nodes, expected = brute_tree(tokens, [len(p) for p in prompts], page_size, predecessors)
    assert w.nodes[["parent", "start_page", "n_pages", "first_request", "n_requests"]].tolist() == [
        (n.parent, n.start_page, n.n_pages, n.first_request, n.n_requests) for n in nodes
    ]
    assert paths(w) == expected
    shared = [i for i, node in enumerate(nodes) if node.n_requests > 1]
    private_nodes = [i for i, node in enumerate(nodes) if node.n_requests == 1]
    assert np.argsort(w.nodes["slot"]).tolist() == shared + private_nodes
    assert w.n_shared == len(shared)

    starts, requests = w.prompt_uses()
    for k, node in enumerate(nodes):
        end = node.start_page + node.n_pages
        users = [r for r, path in enumerate(expected) if k in path and end <= len(prompts[r]) // page_size]
        assert requests[starts[k] : starts[k + 1]].tolist() == (users if node.n_requests > 1 else [])


def page_users(workload):
    """Per request the number of users of each page of its path."""
    nodes = workload.nodes[["n_requests", "n_pages"]].tolist()
    return [[users for node in path for users in [nodes[node][0]] * nodes[node][1]] for path in paths(workload)]


@settings(max_examples=100, deadline=None)
@given(token_workloads(), st.data())
def test_a_head_has_the_pages_of_a_fresh_build(case, data):
    page_size, prompts, outputs, predecessors = case
    n = data.draw(st.integers(1, len(prompts)))
    head = build(prompts, outputs, page_size, predecessors=predecessors).head(n)
    fresh = build(prompts[:n], outputs[:n], page_size, predecessors=predecessors[:n])
    assert page_users(head) == page_users(fresh)
    assert head.infinite_hit_rate() == fresh.infinite_hit_rate()
    columns = [name for name in fresh.requests.dtype.names if name not in ("path_start", "path_nodes")]
    assert head.requests[columns].tolist() == fresh.requests[columns].tolist()
    parent_ends = head.nodes["start_page"] + head.nodes["n_pages"]
    inner = head.nodes["parent"] >= 0
    assert np.array_equal(parent_ends[head.nodes["parent"][inner]], head.nodes["start_page"][inner])
    keys = head.nodes[["first_request", "start_page"]].tolist()
    assert keys == sorted(keys)


@settings(max_examples=100, deadline=None)
@given(token_workloads(), st.randoms(use_true_random=False))
def test_tokens_do_not_depend_on_how_they_are_cut_into_runs(case, random):
    page_size, prompts, outputs, predecessors = case
    outputs = [o if isinstance(o, int) else len(o) for o in outputs]
    arrivals = [0.0 if p < 0 else None for p in predecessors]
    splits, runs = [0], []
    for prompt in prompts:
        position = 0
        while position < len(prompt):
            end = position + 1
            while end < len(prompt) and prompt[end] == prompt[end - 1] + 1 and random.random() < 0.5:
                end += 1
            runs.append((0, prompt[position], end - position))
            if random.random() < 0.3:
                runs.append((random.randrange(5), random.randrange(5), 0))
            position = end
        splits.append(len(runs))
    segments, offsets, lengths = np.array(runs).T
    w = Workload.from_segments(
        splits, segments, offsets, lengths, outputs, arrivals, page_size, predecessors=predecessors
    )
    assert w.content_hash() == build(prompts, outputs, page_size, predecessors=predecessors).content_hash()


@pytest.mark.parametrize("page_size", [1, 16, 100])
def test_large_random_trees_are_exact(page_size):
    """Many nodes in one hash table: page counts against sets of page contents."""
    rng = np.random.default_rng(page_size)
    prompts = []
    for _ in range(400):
        base = prompts[rng.integers(len(prompts))] if prompts and rng.random() < 0.8 else []
        prompts.append(base[: rng.integers(len(base) + 1)] + rng.integers(0, 3, rng.integers(1, 300)).tolist())
    w = build(prompts, [1] * 400, page_size)
    distinct = {tuple(p[: (i + 1) * page_size]) for p in prompts for i in range(len(p) // page_size)}
    assert w.nodes["n_pages"].sum() == len(distinct)
    assert w.n_shared > 50 / page_size
