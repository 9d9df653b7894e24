"""`agents.zoo`: its table, what is asked of `agents.train`, that it goes on, and what it says of curves and scores."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from agents.zoo import __main__ as zoo
from agents.zoo import curves, entry, page, scoring, training
from agents.zoo.table import Row, read_table
from agents.zoo.training import Budget
from kvgym.evaluation.scoring import Results
from kvgym.evaluation.statistics import t_interval

SCORES = [{"scenario": "sanity", "J": 2.0, "reference_ratio": {"mean": 1.5, "low": None, "high": None, "worst": 1.2}}]


def test_the_table_has_every_algorithm_and_environment():
    table = read_table()
    assert {row.algorithm for row in table.values()} == {"ppo", "ppo_mask", "dqn", "smdp"}
    assert {row.environment[6:11] for row in table.values()} == {"Route", "Evict", "Joint"}
    assert set(zoo.QUICK_ENTRIES) <= set(table)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ('algorithm = "sac"', "mine: algorithm must be one of"),
        ('scenarios = ["sanity", "chat"]', "mine: scenarios must be one for ppo"),
        ("scenarios = []", "mine: scenarios must be one for ppo"),
        ('scenarios = ["drift"]', "mine: scenario drift is held out"),
        ('scenarios = "sanity"', "mine: scenarios must be a list of strings, got 'sanity'"),
        ("minutes = 0", "mine: minutes must be above 0, got 0"),
        ("steps = 0", "mine: steps must be"),
        ('environment = "CartPole-v1"', "mine: environment must be one of"),
        ('evictor = "lru"', "mine: evictor is for smdp"),
        ('algorithm = "smdp"\nevictor = "none"', "mine: evictor must be one of"),
        ('algorithm = "smdp"\nenvironment = "KVGym/Evict-v0"', "mine: environment must be KVGym/Route-v0 for smdp"),
        ("seeds = 3", "mine: an entry must have"),
        ("options = [1]", "mine: options must be a list of strings"),
    ],
)
def test_what_a_table_may_not_have(tmp_path, changes, message):
    fields = {"algorithm": '"ppo"', "scenarios": '["sanity"]', "minutes": "1"}
    fields |= dict(line.split(" = ") for line in changes.splitlines())
    path = tmp_path / "mine.toml"
    path.write_text("[mine]\n" + "\n".join(f"{name} = {value}" for name, value in fields.items()))
    with pytest.raises(ValueError) as error:
        read_table(path)
    assert str(error.value).startswith(message)
    for text in ("[mine", ""):
        path.write_text(text)
        with pytest.raises(ValueError, match="--table"):
            read_table(path)


def test_what_is_asked_of_training():
    ppo = Row("a", "ppo", ("sanity",), minutes=5, options=("--threads", "2"))
    words = "ppo --scenario sanity --seed 3 --env KVGym/Route-v0 --threads 2"
    assert training.command(ppo, 3, Budget()) == [*words.split(), "--minutes", "5"]
    assert training.command(ppo, 3, Budget(minutes=0.5)) == [*words.split(), "--minutes", "0.5"]
    assert training.command(ppo, 3, Budget(steps=9)) == [*words.split(), "--total-steps", "9"]
    assert training.trained(ppo, 3, Path("x")) == Path("x/ppo-sanity-3.pt")
    assert training.command(Row("a", "dqn", ("sanity",), steps=7), 0, Budget())[-2:] == ["--total-steps", "7"]
    own = Row("b", "smdp", ("sanity", "chat"), evictor="lfu", minutes=5)
    words = "smdp --scenario sanity chat --seed 0 --evictor lfu --total 9 --minutes 1"
    assert training.command(own, 0, Budget(1, 9)) == words.split()
    assert training.trained(own, 0, Path("x")) == Path("x/policy.pt")


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Runs that a zoo of two entries trained, in a world where training takes no time; and its command line."""
    runs = []

    def train(words):
        folder = Path(words[words.index("--out") + 1])
        folder.mkdir(exist_ok=True)
        (folder / "config.json").touch()
        runs.append((folder.parent.name, folder.name, "--resume" in words))
        place = tmp_path / "stop"
        if place.exists() and runs[-1][:2] == ("one", "seed-1"):
            try:
                raise {"interrupt": KeyboardInterrupt, "wrong": ValueError}[place.read_text()]
            except (KeyboardInterrupt, ValueError):
                raise SystemExit("agents.train: stopped") from None
        (folder / "curve.jsonl").write_text(json.dumps({"steps": 8, "seconds": 1.5, "J": 2.0}) + "\n")

    monkeypatch.setattr(training.train, "main", train)
    monkeypatch.setattr(entry.scoring, "score", lambda words, folder: [{**SCORES[0], "frontier_ratio": None}])
    monkeypatch.setattr(curves, "can_draw", lambda: False)
    monkeypatch.setattr(zoo, "find_spec", lambda name: True)
    rows = [f'[{name}]\nalgorithm = "ppo"\nscenarios = ["sanity"]\nminutes = 1\n' for name in ("one", "two")]
    (tmp_path / "table.toml").write_text("".join(rows))
    return runs, ["--table", str(tmp_path / "table.toml"), "--out", str(tmp_path / "zoo"), "--seeds", "2"]


def test_what_is_done_is_kept_and_what_was_interrupted_goes_on(trained, tmp_path, capsys):
    runs, command = trained
    (tmp_path / "stop").write_text("interrupt")
    assert zoo.main(command) == 130
    assert runs == [("one", "seed-0", False), ("one", "seed-1", False)]
    (tmp_path / "stop").unlink()
    runs.clear()
    assert zoo.main(command) == 0
    assert runs == [("one", "seed-1", True), ("two", "seed-0", False), ("two", "seed-1", False)]
    assert "2 entries, 4 runs, 1 of them done, at most 4:00 of training" in capsys.readouterr().out
    runs.clear()
    assert zoo.main([*command[:-1], "3", "--entry", "two"]) == 0
    assert runs == [("two", "seed-2", False)]
    written = json.loads((tmp_path / "zoo" / "zoo.json").read_text())["entries"]
    assert [(one["row"]["name"], len(one["runs"])) for one in written] == [("one", 2), ("two", 3)]
    assert "| two     | ppo" in (tmp_path / "zoo" / "zoo.md").read_text()


def test_a_run_of_something_else_is_refused_before_anything_is_trained(trained, capsys):
    runs, command = trained
    zoo.main([*command, "--entry", "two"])
    runs.clear()
    with pytest.raises(SystemExit):
        zoo.main([*command, "--minutes", "2"])
    assert not runs and "seed-0 was another one" in capsys.readouterr().err


def test_where_a_run_fails_the_others_go_on(trained, tmp_path, capsys):
    runs, command = trained
    (tmp_path / "stop").write_text("wrong")
    assert zoo.main(command) == 1
    assert [name for name, *_ in runs] == ["one", "one", "two", "two"]
    assert "FAILED one: agents.train: stopped" in capsys.readouterr().out
    (only,) = json.loads((tmp_path / "zoo" / "zoo.json").read_text())["entries"]
    assert only["row"]["name"] == "two"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--entry", "three"], "--entry must be one of"),
        (["--seeds", "0"], "--seeds must be"),
        (["--test-seeds", "1"], "--test-seeds must be at least --seeds, 2"),
        (["--minutes", "0"], "--minutes must be above 0"),
        (["--steps", "0"], "--steps must be"),
        (["--workers", "0"], "--workers must be"),
    ],
)
def test_options_are_checked(trained, capsys, more, message):
    runs, command = trained
    with pytest.raises(SystemExit):
        zoo.main([*command, *more])
    assert not runs and message in capsys.readouterr().err


def test_curves_of_runs_and_their_band(tmp_path):
    lines = [[(0, 4.0), (10, 2.0)], [(5, 1.0), (20, 7.0)]]
    for number, points in enumerate(lines):
        (tmp_path / str(number)).mkdir()
        text = [json.dumps({"steps": at, "seconds": at / 2, "J": {"sanity+lfu": J}}) for at, J in points]
        (tmp_path / str(number) / "curve.jsonl").write_text("\n".join(text))
    row = Row("a", "smdp", ("sanity",), evictor="lfu")
    found = curves.curves_of(row, [tmp_path / "0", tmp_path / "1"])
    assert found == {"sanity": [[{"steps": s, "seconds": s / 2, "J": J} for s, J in points] for points in lines]}
    assert curves.end(tmp_path / "1") == {"steps": 20, "seconds": 10.0}
    assert curves.end(tmp_path) == {} and curves.curves_of(row, [tmp_path]) == {}
    # At 5 the first is half way down, at 10 the second a third of the way up.
    assert curves.band(found["sanity"]).tolist() == [[5, 10], [2, 2.5], [1, 2], [3, 3]]
    assert curves.band([[{"steps": 1, "J": 2.0}], [{"steps": 2, "J": 2.0}]]).shape == (4, 0)


def test_a_picture_is_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    curve = [{"steps": 1, "seconds": 1.0, "J": 2.0}, {"steps": 2, "seconds": 2.0, "J": 1.0}]
    curves.draw({name: [curve, curve] for name in "ab"}, "title", tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def played(factor):
    """A scenario with ten test seeds on which training seed k of five is 2 ** k x `factor` as fast as the reference."""
    seeds = np.arange(10)
    reference = np.linspace(1.0, 2.0, 10)
    cost = reference / (factor * 2.0 ** (seeds % 5))
    return Results(9 * reference, reference, reference / 4, {"it": cost}, {"it": seeds % 5})


def test_ratios_have_intervals_over_training_seeds():
    found = scoring._ratios([played(1.0)])
    ends = np.exp(t_interval(np.log(2.0) * np.arange(5)))
    assert [found["reference_ratio"][name] for name in ("mean", "low", "high")] == pytest.approx(ends)
    assert found["reference_ratio"]["worst"] == pytest.approx(1.0)
    assert found["frontier_ratio"]["mean"] == pytest.approx(1.0) and found["frontier_ratio"]["worst"] == 0.25
    both = scoring._ratios([played(1.0), played(4.0)])
    assert both["reference_ratio"]["mean"] == pytest.approx(8.0)
    two = Results(**{**vars(played(1.0)), "frontier": None, "training": {"it": np.arange(10) % 2}})
    alone = scoring._ratios([two])
    assert alone["frontier_ratio"] is None and math.isnan(alone["reference_ratio"]["low"])
    assert page._ranged(alone["reference_ratio"]) == "4.00 [too few]"


@pytest.mark.slow
def test_the_smallest_zoo_trains_and_scores(tmp_path, capsys):
    pytest.importorskip("sb3_contrib", reason="needs the extra train")
    assert zoo.main(["--quick", "--workers", "1", "--out", str(tmp_path)]) == 0
    entries = json.loads((tmp_path / "zoo.json").read_text())["entries"]
    assert [one["row"]["name"] for one in entries] == list(zoo.QUICK_ENTRIES)
    for one in entries:
        assert [run["steps"] for run in one["runs"]] == [256, 256]
        (score,) = one["scores"]
        assert score["J"] > 0 and score["reference_ratio"]["mean"] > 0
        board = json.loads((tmp_path / one["row"]["name"] / "scores" / "leaderboard.json").read_text())
        (row,) = [row for row in board["scenarios"][0]["rows"] if row["agent"].startswith("learned")]
        assert row["J"] == score["J"]
        assert row["speed_up"]["mean"] == pytest.approx(score["reference_ratio"]["mean"])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pt")}
    assert zoo.main(["--quick", "--workers", "1", "--out", str(tmp_path)]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pt")}
    assert "4 of them done" in capsys.readouterr().out
