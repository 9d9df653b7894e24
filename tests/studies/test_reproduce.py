"""The claims of the paper: Table 1 comes out again, and what is made of episodes is what it says."""

import pytest

from studies.reproduce import table1
from studies.reproduce.settings import CA_LRU, CA_RLT, LBGR_LRU, LBGR_RLT

INDEPENDENT = {CA_LRU: 0.264, CA_RLT: 0.297, LBGR_LRU: 0.338, LBGR_RLT: 0.370}
"""Hit rates of another simulation of the same setting, means over three seeds; a seed's varies by about 0.02."""


@pytest.mark.slow
def test_hit_rates_and_order():
    rows = table1(range(4))
    assert {row.pair: row.ours["hit_rate"].mean for row in rows} == pytest.approx(INDEPENDENT, abs=0.03)
    ttft = [row.ours["ttft_p50"].mean for row in rows]
    assert ttft == sorted(ttft, reverse=True)
    assert ttft[0] / ttft[-1] > 5
