"""The reader of agent sessions, on made-up sessions and on the real ones where there are any."""

import copy
import io
import json
import math

import numpy as np
import pytest

from kvgym.workload import TraceError, poisson_arrivals, read_agent_sessions
from tests.workload.samples import agent_sessions, write

BASE = {"a": 0, "out": 10, "api": 2.0, "think": None, "tr": 0}
SESSION = {
    "id": "x",
    "bs": 4,
    "tool": 6,
    "sys": 2,
    "reqs": [
        {**BASE, "t": 0.0, "in": 13, "keep": 0, "add": [[1, 3]]},
        {**BASE, "t": 5.0, "in": 22, "keep": 2, "add": [[7, 2], [20, 1]]},
        {**BASE, "t": 6.0, "in": 8, "keep": 0, "add": [[50, 2]], "a": 1},
        {**BASE, "t": 9.0, "in": 8, "keep": 1, "add": [[60, 1]], "a": 1, "think": 0.5},
        {**BASE, "t": 9.0, "in": 20, "keep": 5, "add": [], "out": 0},
    ],
}


def text(*sessions):
    return io.StringIO("".join(json.dumps(session) + "\n" for session in sessions))


def read(*sessions, page_size=1, **arguments):
    return read_agent_sessions(text(*sessions), page_size, **arguments)


def test_requests_follow_their_agent():
    r = read(SESSION).requests
    assert r["prompt_tokens"].tolist() == [13, 22, 8, 8, 20]
    assert r["output_tokens"].tolist() == [10, 10, 10, 10, 1]
    # Request 2 opens the sub-agent: it follows the main agent's request before it.
    assert r["predecessor"].tolist() == [-1, 0, 1, 2, 1]
    assert r["arrival_ps"].tolist() == [0, -1, -1, -1, -1]
    # Gaps: 5 - (0 + 2); 6 - (5 + 2) < 0; given; 9 - (5 + 2).
    assert (r["think_ps"] / 1e12).tolist() == [0.0, 3.0, 0.0, 0.5, 2.0]
    assert r["session"].tolist() == [0, 0, 1, 1, 0]
    assert r["turn"].tolist() == [0, 1, 0, 1, 2]


def test_block_lists_are_cut_back_and_grow():
    w = read(SESSION, shared_prefixes=False)
    depth = {}
    for r, request in enumerate(w.requests):
        for node in w.paths[request["path_start"] : request["path_start"] + request["path_nodes"]]:
            depth.setdefault(int(node), []).append(r)

    def common(a, b):
        return sum(int(w.nodes["n_pages"][node]) for node, users in depth.items() if {a, b} <= set(users))

    assert common(0, 1) == 8  # two kept blocks
    assert common(1, 4) == 20  # five kept blocks
    assert common(2, 3) == 4
    assert common(0, 2) == 0


def test_equal_system_prompts_are_shared():
    other = {**copy.deepcopy(SESSION), "reqs": [{**BASE, "t": 0.0, "in": 13, "keep": 0, "add": [[100, 1], [300, 2]]}]}
    third = {**other, "sys": 3}
    w = read(SESSION, other, third)
    assert w.requests["tenant"].tolist() == [0] * 5 + [0, 1]
    # (6 + 2) // 4 blocks are common to the first two sessions, none with the third.
    first = w.nodes[w.nodes["start_page"] == 0]
    pages = {int(n["first_request"]): int(n["n_pages"]) for n in first if n["n_requests"] > 1}
    assert pages[0] == 8
    alone = read(SESSION, other, third, shared_prefixes=False)
    assert alone.nodes["n_pages"].sum() == w.nodes["n_pages"].sum() + 8


def test_a_renamed_block_stays_shared_when_it_is_added_again():
    again = copy.deepcopy(SESSION)
    again["reqs"] = [
        {**BASE, "t": 0.0, "in": 12, "keep": 0, "add": [[1, 3]]},
        {**BASE, "t": 1.0, "in": 12, "keep": 0, "add": [[1, 3]]},
    ]
    w = read(again)
    assert w.infinite_hit_rate() == 11 / 24


def test_only_the_full_blocks_of_a_prompt_are_shared():
    w = read(SESSION, page_size=1)
    assert w.infinite_hit_rate() == (8 + 0 + 4 + 19) / (13 + 22 + 8 + 8 + 20)


def test_order_is_by_recorded_time_and_starts_are_spaced():
    w = read(SESSION, SESSION, sessions_per_s=0.2, starts="fixed")
    r = w.requests
    assert r["session"].tolist() == [0, 0, 2, 1, 1, 0, 2, 3, 3, 2]
    first = r["predecessor"] < 0
    assert r["arrival_ps"][first].tolist() == [0, 5 * 10**12]
    assert all(r["predecessor"][~first] < np.flatnonzero(~first))


def test_poisson_starts():
    r = read(*[SESSION] * 4, seed=3, sessions_per_s=0.1).requests
    np.testing.assert_allclose(r["arrival_ps"][r["predecessor"] < 0] / 1e12, poisson_arrivals(3, 4, 0.1), atol=1e-11)


def test_rate_scale_divides_starts_and_think_times():
    slow = read(SESSION, SESSION, starts="fixed").requests
    fast = read(SESSION, SESSION, starts="fixed", rate_scale=2.0).requests
    assert (fast["think_ps"] * 2).tolist() == slow["think_ps"].tolist()
    first = slow["predecessor"] < 0
    assert (fast["arrival_ps"][first] * 2).tolist() == slow["arrival_ps"][first].tolist()


def test_parts_of_a_trace():
    sessions = agent_sessions()
    assert len(read(*sessions, max_requests=7)) == 7
    part = read(*sessions, first_session=2, max_sessions=2)
    assert len(part) == sum(len(s["reqs"]) for s in sessions[2:4])
    assert np.count_nonzero(part.requests["predecessor"] < 0) == 2
    assert read(*sessions[2:4]).content_hash() == part.content_hash()


@pytest.mark.parametrize("page_size", [1, 16, 64])
def test_made_up_sessions_against_expanded_blocks(tmp_path, page_size):
    """Hit rate of the reader's workload against sets of block prefixes, expanded from the format's description."""
    sessions = agent_sessions(12)
    seen, hit, total = set(), 0, 0
    w = read_agent_sessions(
        write(tmp_path / "s.gz", sessions, compress=True),
        page_size,
        shared_prefixes=False,
        sessions_per_s=1e-4,
        starts="fixed",
    )
    for k, session in enumerate(sessions):  # far apart, so that the order is session after session
        lists = {}
        for request in session["reqs"]:
            blocks = lists.get(request["a"], [])[: request["keep"]]
            blocks = blocks + [(k, first + i) for first, n in request["add"] for i in range(n)]
            lists[request["a"]] = blocks
            prefixes = [tuple(blocks[: i + 1]) for i in range(len(blocks))]
            known = sum(prefix in seen for prefix in prefixes) * 64
            hit += min(known, (request["in"] - 1) // page_size * page_size)
            total += request["in"]
            seen.update(prefixes)
    assert w.infinite_hit_rate() == pytest.approx(hit / total, abs=1e-12)


def change(path, value):
    session = copy.deepcopy(SESSION)
    place = session
    for key in path[:-1]:
        place = place[key]
    if value is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return session


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["bs"], 0, "line 2: expected 'bs' to be an integer >= 1, got 0"),
        (["tool"], -1, "line 2: expected 'tool' to be an integer >= 0, got -1"),
        (["sys"], KeyError, "line 2: expected a field 'sys', which is missing"),
        (["reqs"], {}, "line 2: expected 'reqs' to be a list of requests, got {}"),
        (["reqs"], [], "line 2: expected at least one request in 'reqs'"),
        (["reqs", 1], 5, "line 2, request 2: expected a JSON object, got 5"),
        (["reqs", 0, "a"], 1, "line 2, request 1: expected the first request to be the main agent's"),
        (["reqs", 1, "a"], -1, "line 2, request 2: expected 'a' to be an integer >= 0, got -1"),
        (["reqs", 1, "t"], -1.0, "line 2, request 2: expected 't' to be seconds >= 0, got -1.0"),
        (["reqs", 1, "t"], math.nan, "line 2, request 2: expected 't' to be seconds >= 0, got nan"),
        (["reqs", 1, "t"], 7.0, "line 2, request 3: expected 't' in ascending order, got 6.0 after 7.0"),
        (["reqs", 1, "in"], 0, "line 2, request 2: expected 'in' to be an integer >= 1, got 0"),
        (["reqs", 1, "in"], 24, "line 2, request 2: expected 'keep' and 'add' to make 6 blocks"),
        (["reqs", 1, "out"], -1, "line 2, request 2: expected 'out' to be an integer >= 0, got -1"),
        (["reqs", 1, "out"], KeyError, "line 2, request 2: expected a field 'out', which is missing"),
        (["reqs", 1, "api"], -0.5, "line 2, request 2: expected 'api' to be seconds >= 0, got -0.5"),
        (["reqs", 1, "think"], "1", "line 2, request 2: expected 'think' to be seconds >= 0, got '1'"),
        (["reqs", 1, "think"], math.inf, "line 2, request 2: expected 'think' to be seconds >= 0, got inf"),
        (["reqs", 1, "keep"], 4, "line 2, request 2: expected 'keep' to be at most 3"),
        (["reqs", 1, "keep"], -1, "line 2, request 2: expected 'keep' to be an integer >= 0, got -1"),
        (["reqs", 1, "add"], 3, "line 2, request 2: expected 'add' to be a list of"),
        (["reqs", 1, "add"], [[1]], "line 2, request 2: expected 'add' to hold"),
        (["reqs", 1, "add"], [[1, 0]], "line 2, request 2: expected 'add' to hold"),
        (["reqs", 1, "add"], [[-1, 2]], "line 2, request 2: expected 'add' to hold"),
        (["reqs", 1, "add"], [["1", 2]], "line 2, request 2: expected 'add' to hold"),
    ],
)
def test_wrong_values_are_named_with_line_and_request(path, value, message):
    with pytest.raises(TraceError) as caught:
        read(SESSION, change(path, value))
    assert str(caught.value).startswith(f"the file, {message}")


def test_a_truncated_gzip_file(tmp_path):
    path = write(tmp_path / "cut.gz", agent_sessions(20), compress=True)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(TraceError, match=r"cut.gz, after line \d+: expected a complete gzip file"):
        read_agent_sessions(path, 16)


def test_an_empty_file():
    with pytest.raises(TraceError, match="expected at least one record, got an empty file"):
        read()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate_scale": 0.0}, "rate_scale must be > 0"),
        ({"sessions_per_s": 0.0}, "sessions_per_s must be > 0"),
        ({"starts": "now"}, "starts must be one of poisson, fixed; got 'now'"),
        ({"shared_prefixes": 1}, "shared_prefixes must be True or False"),
        ({"first_session": -1}, "first_session must be an integer >= 0"),
        ({"first_session": 1}, "first_session must be smaller than the number of sessions, got 1"),
        ({"max_sessions": 0}, "max_sessions must be an integer >= 1"),
        ({"max_requests": 0}, "max_requests must be an integer >= 1"),
        ({"page_size": 0}, "page_size must be an integer >= 1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        read(SESSION, **arguments)


def test_the_real_sessions(trace):
    w = read_agent_sessions(trace("kv_cache_tester_agentic/sessions.jsonl.gz"), 64, max_sessions=100)
    r = w.requests
    assert np.count_nonzero(r["predecessor"] < 0) == 100
    assert w.infinite_hit_rate() > 0.9
    assert len(w.drop_oversized(1000)) < len(w)
