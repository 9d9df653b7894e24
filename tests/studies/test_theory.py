"""What theory says about RLT and LRU comes out of the simulator, and the command that shows it works.

`python -m studies.theory` measures the same with larger k and longer runs.
"""

import json

import numpy as np
import pytest

from studies.theory import __main__ as theory
from studies.theory import plots as theory_plots
from studies.theory.measure import misses, ratios
from studies.theory.values import code_form_on_cycle, expected, harmonic
from studies.theory.workloads import PREFIX, leaf_order, leaf_workload

SIZES = (8, 16, 32, 64, 128)
DEMAND = ("lru", "lru_node", "fifo", "lfu", "random", "rlt", "rlt_code")
# rlt_code on the cyclic order in an independent simulation, with evictions of the shortfall
INDEPENDENT = {8: 2.47, 16: 3.05, 32: 3.68, 64: 4.31, 128: 4.99}
QUICK = ["--quick", "--k", "4", "--length", "20", "--phases", "4", "--rounds", "2"]


def ratio(order, k, evictor, length, seeds=1):
    (row,) = ratios(order, k, length, seeds, [evictor])
    return row.ratio


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("evictor", ["lru", "lru_node", "fifo", "lfu"])
def test_cyclic_order_costs_recency_and_frequency_exactly_k(evictor, k):
    assert ratio("cyclic", k, evictor, 20) == k


@pytest.mark.parametrize("k", SIZES)
def test_cyclic_order_costs_the_optimum_a_miss_in_k_requests(k):
    assert misses(leaf_workload(leaf_order("cyclic", k, 20)), k, "belady", 0) == 20


@pytest.mark.parametrize("k", [*SIZES, 256])
def test_cyclic_order_costs_rlt_the_harmonic_number(k):
    assert ratio("cyclic", k, "rlt", 1000) == pytest.approx(harmonic(k), rel=0.05)


@pytest.mark.parametrize("k", SIZES)
def test_cyclic_order_costs_the_code_form_less(k):
    measured = ratio("cyclic", k, "rlt_code", 1000)
    assert measured == pytest.approx(code_form_on_cycle(k), rel=0.05)
    assert measured == pytest.approx(INDEPENDENT[k], rel=0.05)
    assert measured < harmonic(k)


@pytest.mark.parametrize("k", SIZES)
def test_cyclic_order_costs_random_less_than_two(k):
    assert ratio("cyclic", k, "random", 1000) == pytest.approx(2 * k / (k + 1), rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("k", SIZES)
def test_random_order_costs_everybody_the_harmonic_number(k):
    for row in ratios("random", k, 4000 if k < 64 else 2000, 3, DEMAND):  # times k requests
        assert row.ratio == pytest.approx(harmonic(k), rel=0.06), row.evictor


@pytest.mark.parametrize("k", [8, 16])
def test_a_stale_prompt_costs_random_k_and_rlt_the_harmonic_number(k):
    found = {row.evictor: row.ratio for row in ratios("stale", k, 300, 3, DEMAND)}
    assert found["lru"] == found["lru_node"] == found["lfu"] == 1
    assert found["fifo"] == pytest.approx((k + 1) / 2, rel=0.01)
    assert found["random"] == pytest.approx(k, rel=0.1)
    assert found["rlt"] == pytest.approx(harmonic(k), rel=0.1)
    assert found["rlt_code"] < 2 * harmonic(k)


@pytest.mark.parametrize("k", [2, 3, 7])
def test_the_chain_of_the_code_form_agrees_with_playing_it(k):
    """The rule of `code_form_on_cycle` played with sets of prompts instead of solved."""
    random = np.random.default_rng(1)
    cached, marked, missed, n = set(range(k)), set(), 0, 40_000
    for prompt in (i % (k + 1) for i in range(k, k + n)):
        if prompt not in cached:
            missed += 1
            if 1 + len(marked) >= k:
                marked = set()
            cached.remove(random.choice(sorted(cached - marked)))
            cached.add(prompt)
        marked.add(prompt)
        if len(marked) == k:
            marked = {prompt}
    assert code_form_on_cycle(k) == pytest.approx(missed / n * k, rel=0.02)


def test_orders():
    assert leaf_order("cyclic", 2, 2).tolist() == [0, 1, 2, 0, 1, 2, 0]
    stale = leaf_order("stale", 3, 2)
    assert stale[:4].tolist() == [0, 1, 2, 3]
    assert stale[4:].reshape(2, 9, 3).tolist() == [[[3, 1, 2]] * 9, [[0, 1, 2]] * 9]
    drawn = leaf_order("random", 4, 50, seed=3)
    assert sorted(drawn[:5]) == sorted(set(drawn.tolist())) == [0, 1, 2, 3, 4]
    assert np.array_equal(drawn, leaf_order("random", 4, 50, seed=3))
    assert not np.array_equal(drawn, leaf_order("random", 4, 50, seed=4))


def test_the_cold_requests_are_not_counted():
    workload = leaf_workload(leaf_order("cyclic", 4, 1))
    assert misses(workload, 4, "lru", 0) == 4
    assert workload.requests["prompt_tokens"].tolist() == [PREFIX + 1] * 9


def test_expected_is_silent_where_nothing_is_known():
    assert expected("stale", "rlt_code", 8) is None
    assert expected("stale", "belady", 8) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--k", "1"], "--k must be an integer >= 2, got 1"),
        (["--length", "0"], "--length must be an integer >= 1, got 0"),
        (["--rounds", "1"], "--rounds must be an integer >= 2, got 1"),
        (["--seeds", "-1"], "--seeds must be an integer >= 1, got -1"),
        (["--k", "4096"], "k = 4096 with length 4000 makes 16384000 cyclic requests"),
        (["--figures"], "--figures needs --out"),
        (["--evictors", "mru"], "invalid choice: 'mru'"),
    ],
)
def test_options_that_are_not_allowed(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        theory.main(arguments)
    assert stop.value.code == theory.USAGE
    assert message in capsys.readouterr().err


def test_an_out_that_is_a_file(tmp_path, capsys):
    (tmp_path / "taken").touch()
    with pytest.raises(SystemExit):
        theory.main([*QUICK, "--out", str(tmp_path / "taken")])
    assert "taken" in capsys.readouterr().err


def test_figures_without_matplotlib(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(theory_plots, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        theory.main([*QUICK, "--out", str(tmp_path), "--figures"])
    assert 'pip install "kvgym[plot]"' in capsys.readouterr().err


def test_tables_json_and_figures(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert theory.main([*QUICK, "--out", str(tmp_path / "new"), "--figures"]) == 0
    printed = capsys.readouterr().out
    for name in (*theory.EVICTORS, "H_k", "rlt_code (theory)", "rlt_code (independent)", "W/B = 1.05"):
        assert name in printed
    written = json.loads((tmp_path / "new" / "theory.json").read_text())
    assert len(written["ratios"]) == 3 * len(theory.EVICTORS)
    assert len(written["groups"]) == 10 * len(theory.EVICTORS)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["hit_rates.png", "ratios.png", "theory.json"]


def test_the_same_seeds_give_the_same_numbers():
    assert ratios("random", 4, 100, 2, ["rlt"]) == ratios("random", 4, 100, 2, ["rlt"])


def test_parts_and_evictors_can_be_chosen(capsys):
    assert theory.main([*QUICK, "--parts", "groups", "--evictors", "rlt"]) == 0
    printed = capsys.readouterr().out
    assert "rlt" in printed
    assert "belady" not in printed
    assert "H_k" not in printed
