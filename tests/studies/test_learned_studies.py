"""Studies of what routers learn: the formula, multi-turn's first turns, and the table of what helps."""

import numpy as np
import pytest

from studies import multi_turn_study
from studies.router_looks import differs, looks, watch


def test_going_round_gives_one_worker_all_long_conversations(monkeypatch):
    monkeypatch.setattr(multi_turn_study, "SEEDS", (1000,))
    found = {}
    for spread in multi_turn_study.SPREADS:
        _, J, share = multi_turn_study.row("", multi_turn_study.Sticky(spread))
        found[spread] = float(J), share
    assert found["in turn"][1] == "40%" and found["all on one"][1] == "100%"
    assert found["all on one"][0] > 20 > found["in turn"][0] > 1.4 * found["in turn, each round shuffled"][0]


def test_a_formula_is_found_again_from_its_decisions():
    torch = pytest.importorskip("torch", reason="needs the extra train")
    from kvgym.envs.features import N_WORKER, WORKER
    from studies.router_looks import formula

    torch.manual_seed(0)
    blocks = 4 * torch.rand(4000, 4, N_WORKER)
    blocks[:, :, WORKER.speed] = 0.3 + 0.7 * torch.rand(4000, 4)
    made = formula.Constants(8.0, 3.0, 300.0, 0.5, {"is_prev": 1.5})
    scores = formula.score(blocks, *formula._tensors(made))
    actions = torch.distributions.Categorical(logits=scores).sample()
    found, _, alike = formula.fit((blocks, torch.ones(4000, 4, dtype=torch.bool), actions), ["is_prev"], steps=400)
    assert np.allclose(found[:4], made[:4], rtol=0.25) and abs(found.terms["is_prev"] - 1.5) < 0.3 and alike > 0.6
    assert "`is_prev`" in str(found)


def test_tables_of_features_and_of_rules(monkeypatch):
    monkeypatch.setattr(looks, "SCENARIOS", ("multi-turn",))
    monkeypatch.setattr(differs, "SCENARIOS", ("multi-turn",))
    table = looks.importance("router", [1000])
    assert "`miss`" in table.splitlines()[2] and "`request's prompt`" in table
    monkeypatch.setattr(differs, "RULES", ("lmetric",))
    assert "`lmetric`" in differs.agreement("router", [1000])
    alone = watch.watch("router", "multi-turn", 1000)
    beside = watch.watch("router", "multi-turn", 1000, advisers=("lbgr", "lmetric"))
    assert alone.J == beside.J and beside.advice.shape == (640, 2)


@pytest.mark.slow
def test_smallest_forms(tmp_path, capsys, monkeypatch):
    pytest.importorskip("torch", reason="needs the extra train")
    from studies import learning_study
    from studies.router_looks import __main__

    monkeypatch.setattr(learning_study, "SEEDS", range(1000, 1003))
    argv = ["--variant", "recipe", "es", "loads", "--seeds", "1", "--decisions", "7000", "--out", str(tmp_path)]
    learning_study.main(argv)
    printed = capsys.readouterr().out
    assert printed.count("**") >= 16 and "the rule alone" in printed
    learning_study.main(argv)  # nothing is trained again
    assert "trained file" not in capsys.readouterr().out
    __main__.main(["--part", "map", "--out", str(tmp_path)])
    assert (tmp_path / "router-map.png").stat().st_size > 10_000
