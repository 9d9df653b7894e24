"""Columns, times, links, parts of workloads, and what is refused."""

import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

from kvgym.workload import NODE, REQUEST, Workload

THREE = {"prompts": [[1, 2], [1, 3], [4]], "outputs": [1, 2, 3], "arrivals": [0.0, 0.5, 1.0], "page_size": 1}


def three(**changes):
    return Workload.from_tokens(**{**THREE, **changes})


def chains():
    """Two chains: 0 -> 2 -> 4 and 0 -> 5; 1 -> 3."""
    return Workload.from_tokens(
        [[1], [2], [1, 5], [2, 6], [1, 5, 7], [1, 8]],
        [1] * 6,
        [0.0, 1.0, None, None, math.nan, None],
        1,
        predecessors=[-1, -1, 0, 1, 2, 0],
        think_times=[0.0, 0.0, 0.25, 0.0, 1e-12, 2.0],
    )


def test_dtypes():
    w = three()
    assert (w.requests.dtype, w.nodes.dtype, w.paths.dtype) == (REQUEST, NODE, np.int32)
    assert REQUEST.isalignedstruct and NODE.isalignedstruct
    assert len(w) == 3


def test_times_are_rounded_to_picoseconds_once():
    w = three(arrivals=[0.1, 0.3, 1e-12 * 0.6 + 0.3])
    assert w.requests["arrival_ps"].tolist() == [100_000_000_000, 300_000_000_000, 300_000_000_001]


def test_successors_are_listed_in_index_order():
    w = chains()
    assert w.requests["first_successor"].tolist() == [2, 3, 4, -1, -1, -1]
    assert w.requests["next_successor"].tolist() == [-1, -1, 5, -1, -1, -1]
    assert w.requests["arrival_ps"].tolist() == [0, 10**12, -1, -1, -1, -1]
    assert w.requests["think_ps"].tolist() == [0, 0, 250_000_000_000, 0, 1, 2 * 10**12]


def test_sessions_and_turns_follow_the_chains_by_default():
    assert chains().requests["session"].tolist() == [0, 1, 0, 1, 0, 0]
    assert chains().requests["turn"].tolist() == [0, 0, 1, 1, 2, 1]
    assert three().requests["session"].tolist() == [0, 1, 2]


def test_none_stands_for_the_default():
    names = ("predecessors", "think_times", "sessions", "turns", "tenants", "service_classes")
    assert three(**dict.fromkeys(names)).content_hash() == three().content_hash()


def test_given_labels_are_kept():
    w = three(sessions=[7, 7, 8], turns=[0, 1, 0], tenants=[1, 2, 3], service_classes=[0, 1, 0], name="x")
    assert w.requests["session"].tolist() == [7, 7, 8]
    assert w.requests["turn"].tolist() == [0, 1, 0]
    assert w.requests["tenant"].tolist() == [1, 2, 3]
    assert w.requests["service_class"].tolist() == [0, 1, 0]
    assert w.name == "x"


def test_hashes_of_prefixes_and_sessions():
    long = list(range(0, 900, 3))
    w = three(prompts=[[*long, 1], [*long, 2], long[:255]], sessions=[3, 4, 3])
    prefix, session = w.requests["prefix_u"], w.requests["session_u"]
    assert prefix[0] == prefix[1] != prefix[2]
    assert session[0] == session[2] != session[1]
    many = Workload.from_tokens([[i] for i in range(2000)], [1] * 2000, np.zeros(2000), 1).requests
    for column in ("prefix_u", "session_u"):
        assert many[column].min() >= 0 and many[column].max() < 1
        assert len(np.unique(many[column])) > 1990
        assert abs(many[column].mean() - 0.5) < 0.03


def test_an_output_segment_is_found_by_a_later_prompt():
    def build(**more):
        return Workload.from_segments(
            [0, 1, 4], [5, 5, 9, 6], [0, 0, 0, 0], [4, 4, 3, 2], [3, 1], [0.0, 0.0], 1, **more
        )

    assert build(output_segments=[9, -1]).nodes["n_pages"].tolist() == [4, 1, 1, 3]
    assert build().nodes["n_pages"].tolist() == [4, 2, 5]


def test_head_cuts_successors_and_counts_anew():
    w = chains().head(3)
    assert w.requests["first_successor"].tolist() == [2, -1, -1]
    assert w.requests["next_successor"].tolist() == [-1, -1, -1]
    assert w.nodes["n_requests"].tolist() == [2, 1, 1]
    assert w.nodes["slot"].tolist() == [0, 1, 2]
    assert (w.n_shared, w.n_dropped) == (1, 0)


def test_head_of_everything_is_the_same():
    assert chains().head(6).content_hash() == chains().content_hash()


@pytest.mark.parametrize("n", [0, 4, 1.5])
def test_head_refuses(n):
    with pytest.raises(ValueError, match=r"^n must be"):
        three().head(n)


def test_fits_and_drop_oversized():
    w = three(prompts=[[1, 2, 3, 4], [1, 2], [1, 2, 3]], outputs=[1, 1, 2], page_size=2)
    assert w.fits(2) and not w.fits(1)
    left = w.drop_oversized(1)
    assert left.requests["prompt_tokens"].tolist() == [2]
    assert left.nodes.tolist() == [(-1, 0, 1, 0, 0, 1)]
    assert left.n_dropped == 2
    assert w.drop_oversized(2) is w
    with pytest.raises(ValueError, match="kv_pages must be large enough"):
        three(prompts=[[1, 2], [1, 3], [4, 5]]).drop_oversized(1)


def test_dropping_takes_successors_along_and_numbers_by_first_appearance():
    w = Workload.from_tokens(
        [[1, 2, 3, 4, 5], [6, 7], [8], [6, 9], [1, 2]],
        [1] * 5,
        [0.0, 1.0, None, 2.0, 3.0],
        1,
        predecessors=[-1, -1, 0, -1, -1],
    )
    left = w.drop_oversized(4)
    assert left.requests["arrival_ps"].tolist() == [10**12, 2 * 10**12, 3 * 10**12]
    assert left.nodes[["parent", "start_page", "n_pages", "first_request", "n_requests"]].tolist() == [
        (-1, 0, 1, 0, 2),
        (0, 1, 1, 0, 1),
        (0, 1, 1, 1, 1),
        (-1, 0, 2, 2, 1),
    ]
    assert left.paths.tolist() == [0, 1, 0, 2, 3]
    assert left.n_dropped == 2


def test_infinite_hit_rate_counts_full_pages_and_at_most_all_but_one_token():
    w = three(prompts=[[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 9]], outputs=[1, 1, 1], page_size=2)
    assert w.infinite_hit_rate() == (2 + 2) / 11  # the repeated prompt hits one page, not both


def test_infinite_hit_rate_counts_identified_outputs():
    w = three(prompts=[[1, 2], [1, 2, 3, 4, 5], [9]], outputs=[[3, 4, 5], 1, 1], page_size=1)
    assert w.infinite_hit_rate() == 4 / 8


def test_content_hash_sees_every_column():
    base = three().content_hash()
    changed = [
        three(arrivals=[0.0, 0.5, 1.1]),
        three(outputs=[1, 2, 4]),
        three(tenants=[0, 0, 1]),
        three(page_size=2),
        three(prompts=[[1, 2], [1, 3], [5]]),
    ]
    assert len({base, *(w.content_hash() for w in changed)}) == 6
    assert three(name="other").content_hash() == base


def test_pickle():
    assert pickle.loads(pickle.dumps(chains())).content_hash() == chains().content_hash()


def test_import_does_not_load_numba():
    code = "import sys, kvgym.workload; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": [], "outputs": [], "arrivals": []}, "number of requests must be an integer >= 1, got 0"),
        ({"prompts": [[1], [], [2]]}, "prompt 1 is empty"),
        ({"prompts": [[1], [-1], [2]]}, r"prompts\[1\]\[0\] must be in 0 .. "),
        ({"prompts": [[1], [0.5], [2]]}, r"prompts\[1\] must be a flat sequence of integers"),
        ({"prompts": [[1], [True], [2]]}, r"prompts\[1\] must be a flat sequence of integers"),
        ({"prompts": [[1], [2]]}, "outputs must have length 2, got 3"),
        ({"outputs": [1, 0, 1]}, r"outputs\[1\] must be an integer >= 1, got 0"),
        ({"outputs": [1, True, 1]}, r"outputs\[1\] must be an integer >= 1, got True"),
        ({"outputs": [1, [], 1]}, r"length of outputs\[1\] must be an integer >= 1, got 0"),
        ({"arrivals": [0.0, 1.0]}, "arrivals must have length 3, got 2"),
        ({"arrivals": [0.0, 2.0, 1.0]}, r"arrivals must be sorted by time, but arrivals\[2\]"),
        ({"arrivals": [0.0, -1.0, 1.0]}, r"arrivals\[1\] must be seconds in 0 .. 4e\+06, got -1.0"),
        ({"arrivals": [0.0, None, 1.0]}, r"arrivals\[1\] must be seconds in 0 .. 4e\+06, got nan"),
        ({"arrivals": [0.0, 1.0, math.inf]}, r"arrivals\[2\] must be seconds"),
        ({"arrivals": ["a", 1.0, 2.0]}, "arrivals must be a flat sequence of seconds"),
        ({"arrivals": [[0.0, 1.0, 2.0]]}, "arrivals must be a flat sequence of seconds, got shape"),
        ({"page_size": 0}, "page_size must be an integer >= 1, got 0"),
        ({"page_size": 2**31}, "page_size must be at most"),
        ({"page_size": 1.5}, "page_size must be an integer"),
        ({"predecessors": [-1, 1, -1]}, r"predecessors\[1\] must be smaller than the request's own index, got 1"),
        ({"predecessors": [-1, -2, -1]}, r"predecessors\[1\] must be in -1 .. "),
        ({"predecessors": [-1, 0, -1]}, r"arrivals\[1\] must be NaN or None"),
        (
            {"predecessors": [-1, 0, -1], "arrivals": [0.0, None, 1.0], "think_times": [0.0, -1.0, 0.0]},
            r"think_times\[1\] must be seconds",
        ),
        ({"sessions": [0, -1, 0]}, r"sessions\[1\] must be in 0 .. "),
        ({"turns": [0, 0]}, "turns must have length 3, got 2"),
        ({"tenants": [0, 0, 2**31]}, r"tenants\[2\] must be in"),
        ({"service_classes": "abc"}, "service_classes must be a flat sequence of integers"),
    ],
)
def test_bad_tokens_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        three(**changes)


SEGMENTS = {
    "row_splits": [0, 1, 2],
    "segments": [0, 1],
    "offsets": [0, 0],
    "lengths": [4, 4],
    "output_tokens": [1, 1],
    "arrivals": [0.0, 1.0],
    "page_size": 1,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"row_splits": [0, 2, 1]}, "row_splits must ascend from 0 to 2"),
        ({"row_splits": [0, 1, 1]}, "row_splits must ascend from 0 to 2"),
        ({"row_splits": [0, 2]}, "row_splits must have length 3, got 2"),
        ({"segments": [0, -1]}, r"segments\[1\] must be in 0"),
        ({"offsets": [0, -1]}, r"offsets\[1\] must be in 0"),
        ({"offsets": [0]}, "offsets must have length 2, got 1"),
        ({"lengths": [4, -1]}, r"lengths\[1\] must be in 0"),
        ({"lengths": [4, 0]}, "prompt 1 is empty"),
        ({"lengths": [2**31 - 1, 4]}, r"prompt \+ output tokens must be at most"),
        ({"output_tokens": [1, 0]}, r"output_tokens\[1\] must be in 1"),
        ({"output_segments": [0, -2]}, r"output_segments\[1\] must be in -1"),
    ],
)
def test_bad_segments_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Workload.from_segments(**{**SEGMENTS, **changes})


def test_unknown_columns_are_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'session'; allowed are predecessors"):
        three(session=[0, 0, 0])
