"""Groups that share a prefix, asked in cyclic order, one at a time: where LRU falls off a cliff and RLT does not.

The expected figures come from an independent simulation of the same setting; W / B is the number of tokens of one round
over that of the cache.
"""

import pytest

from studies.theory.measure import group_hit_rate
from studies.theory.values import GROUPS
from studies.theory.workloads import group_lengths

TOLERANCE = 0.015


@pytest.mark.parametrize("ratio", GROUPS)
def test_whole_node_lru(ratio):
    assert group_hit_rate(group_lengths(ratio, mixed=False), "lru_node") == pytest.approx(
        GROUPS[ratio][0], abs=TOLERANCE
    )


@pytest.mark.parametrize("mixed", [False, True], ids=["equal", "mixed"])
@pytest.mark.parametrize("ratio", GROUPS)
def test_rlt(ratio, mixed):
    measured = group_hit_rate(group_lengths(ratio, mixed), "rlt_code", seeds=5)
    assert measured == pytest.approx(GROUPS[ratio][1 + mixed], abs=TOLERANCE)
