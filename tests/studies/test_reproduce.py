"""The claims of the paper: Table 1 comes out again, and what is made of episodes is what it says."""

import math
import re

import numpy as np
import pytest

from agents import make_agent
from kvgym.evaluation import files, play
from studies.reproduce import __main__ as command
from studies.reproduce import page, probes, table1
from studies.reproduce.claims import ABSTRACT, CODE, ONE, TWO
from studies.reproduce.jobs import Kept, job, play_jobs
from studies.reproduce.measures import Extreme, Mean, Quotient, times
from studies.reproduce.probes import Examined, accuracy
from studies.reproduce.results import PARTS, Plan
from studies.reproduce.settings import CA_LRU, CA_RLT, LBGR_LRU, LBGR_RLT

INDEPENDENT = {CA_LRU: 0.264, CA_RLT: 0.297, LBGR_LRU: 0.338, LBGR_RLT: 0.370}
"""Hit rates of another simulation of the same setting, means over three seeds; a seed's varies by about 0.02."""
BRIEF = {"faults": {}, "episode_requests": 60, "warmup_requests": 0}


@pytest.mark.slow
def test_hit_rates_and_order():
    rows = table1(range(4))
    assert {row.pair: row.ours["hit_rate"].mean for row in rows} == pytest.approx(INDEPENDENT, abs=0.03)
    ttft = [row.ours["ttft_p50"].mean for row in rows]
    assert ttft == sorted(ttft, reverse=True)
    assert ttft[0] / ttft[-1] > 5


def fake(seed, *, name):
    raise AssertionError("nobody plays it")


class Fake:
    """Something whose numbers are made up, one per seed."""

    def __init__(self, name, *values):
        self.name, self.values = name, values

    def job(self, seed, short=None):
        return job(fake, seed, name=self.name)

    def found(self):
        return {self.job(seed): {"x": value} for seed, value in enumerate(self.values)}


def test_quotients_are_taken_seed_by_seed():
    slow, fast = Fake("slow", 2.0, 8.0, 4.0), Fake("fast", 1.0, 2.0, 4.0)
    found = slow.found() | fast.found()
    one = times(slow, fast, "x")
    assert one.jobs(range(2)) == [slow.job(0), slow.job(1), fast.job(0), fast.job(1)]
    ours = one.of(found, range(3))
    assert ours.mean == pytest.approx(2.0)  # of 2, 4, 1
    assert (ours.least, ours.most, ours.n) == (1.0, 4.0, 3)
    assert ours.low < 1.0 and ours.high > 4.0
    alone = Quotient(((slow, "x"),)).of(found, range(3))
    assert alone.mean == pytest.approx(4.0)
    assert math.isnan(times(slow, fast, "x").of(found, range(2)).low)


def test_a_quotient_over_nothing_has_no_bound():
    hits, none = Fake("hits", 0.4, 0.3), Fake("none", 0.0, 0.1)
    ours = times(hits, none, "x").of(hits.found() | none.found(), range(2))
    assert ours.mean == math.inf
    assert page.ours(files._finite(ours.as_dict()), "x") == ("no bound", "-")


def test_a_mean_leaves_out_episodes_without_the_number():
    some = Fake("some", 1.0, math.nan, 3.0)
    ours = Mean(some, "x").of(some.found(), range(3))
    assert (ours.mean, ours.n) == (2.0, 2)
    assert math.isnan(Mean(some, "x").of(some.found(), [1]).mean)


def test_an_extreme_is_chosen_on_other_seeds_than_it_is_measured_on():
    lucky, good = Fake("lucky", 9.0, 1.0, 9.0, 1.0), Fake("good", 5.0, 4.0, 5.0, 4.0)
    unit, none = Fake("unit", 1.0, 1.0, 1.0, 1.0), Fake("none", 0.0, 0.0, 0.0, 0.0)
    found = lucky.found() | good.found() | unit.found() | none.found()
    among = tuple(
        (f"{one.name}/{below.name}", times(one, below, "x")) for one in (lucky, good) for below in (unit, none)
    )
    largest = Extreme(among).of(found, range(4))
    assert (largest.where, largest.mean, largest.n) == ("lucky/unit", pytest.approx(1.0), 2)
    smallest = Extreme(among[::2], largest=False).of(found, range(4))
    assert (smallest.where, smallest.mean) == ("good/unit", pytest.approx(4.0))
    assert Extreme(among).of(found, [0]).mean == pytest.approx(9.0)


def counted(seed, *, folder):
    with open(f"{folder}/played", "a") as file:
        file.write(f"{seed}\n")
    return {"x": float(seed), "none": math.nan}


def test_what_was_played_is_kept(tmp_path):
    jobs = [job(counted, seed, folder=str(tmp_path)) for seed in (0, 1, 0)]
    first = play_jobs(jobs[:1], Kept(tmp_path / "kept"))
    again = play_jobs(jobs, Kept(tmp_path / "kept"))
    assert again[jobs[0]]["x"] == first[jobs[0]]["x"] == 0.0 and again[jobs[1]]["x"] == 1.0
    assert (tmp_path / "played").read_text() == "0\n1\n"
    assert len(list((tmp_path / "kept").iterdir())) == 1
    (file,) = (tmp_path / "kept").iterdir()
    assert files.read(file)["seeds"] == {"0": {"x": 0.0, "none": None}, "1": {"x": 1.0, "none": None}}
    assert math.isnan(Mean(Once(tmp_path), "none").of(play_jobs(jobs, Kept(tmp_path / "kept")), [0]).mean)


class Once:
    def __init__(self, folder):
        self.folder = folder

    def job(self, seed, short=None):
        return job(counted, seed, folder=str(self.folder))


def test_the_latency_that_is_known_is_the_one_that_comes():
    """Of the last request: nobody comes after it."""
    examined = Examined(make_agent("lbgr"), 1)
    episode = play(examined, "straggler", 3, overrides=BRIEF, split="validation")
    progress = examined.env.simulator.tables["progress"]
    (last,) = np.flatnonzero(progress["decision"] == len(examined.chosen) - 1)
    took_s = progress["finish_ps"][last] * 1e-12 - examined.times[-1]
    assert examined.latencies[-1][examined.chosen[-1]] == pytest.approx(took_s, abs=1e-9)
    plain = play(make_agent("lbgr"), "straggler", 3, overrides=BRIEF, split="validation")
    assert episode.records_sha256 == plain.records_sha256  # looking changes nothing
    # A request alone on an idle fleet of equal workers takes as long everywhere.
    assert np.ptp(examined.latencies[0]) < 1e-9


def test_accuracy_by_window(monkeypatch):
    monkeypatch.setattr(probes, "EVERY", 4)
    monkeypatch.setattr(probes, "WINDOWS", {"before": (0.0, 1.0), "later": (1e3, 2e3)})
    found = accuracy(0, agent="random", args={}, overrides=BRIEF)
    assert 0.0 < found["right before"] <= 1.0 and found["lost before"] >= 0.0
    assert 0.25 <= found["chance before"] <= 1.0
    assert math.isnan(found["right later"])


def test_claims_say_how_sure_they_are():
    for part in PARTS.values():
        for claim in part.claims:
            assert claim.sure in (ABSTRACT, TWO, ONE, CODE) if claim.theirs else claim.sure == "", claim.name
            assert claim.setting or isinstance(claim.measure, Extreme), claim.name


def test_quick_plans_are_short():
    for name, part in PARTS.items():
        jobs = Plan(part, quick=True).jobs()
        assert len(set(jobs)) < 120, name
        assert all('"episode_requests": 128' in one.arguments for one in jobs), name


@pytest.mark.parametrize(("words", "message"), [(["--quick", "--docs"], "--docs"), (["--workers", "0"], "--workers")])
def test_bad_options(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main([*words, "--out", str(tmp_path)])
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_the_page_is_what_its_json_says():
    assert (command.DOCS / "reproduction.md").read_text(encoding="utf-8") == page.text(files.read(page.FILE))


def test_a_page_of_one_part():
    """`--part`: figures that are not there are shown as such, and no other part has a heading."""
    parts = {"headlines": {"title": "The headline ratios", "claims": [], "sweeps": []}}
    text = page.text({"parts": parts, "seeds": 10, "sweep_seeds": 6, "split": "validation"})
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["The headline ratios"]
    assert "at most nan times" in text and "{" not in text
    assert max(len(line) for line in text.splitlines() if "http" not in line and not line.startswith("|")) <= 120
