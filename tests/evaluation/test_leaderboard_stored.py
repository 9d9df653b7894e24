"""Results that are there: tables of several folders, episodes played again, an archive."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from agents.leaderboard import __main__ as leaderboard
from agents.leaderboard import run as leaderboard_run
from kvgym.evaluation import files

FAST = ["--scenario", "sanity", "--set", "episode_requests=60", "warmup_requests=5", "--workers", "1"]
TIMED = ("decision_us", "env_s")
DRAWS = """
import random


class Draws:
    observation = "physical"

    def reset(self, env, seed):
        self.random, self.n = random.Random(seed), env.action_space.n

    def act(self, observation, info):
        return self.random.randrange(self.n)
"""


def call(*words):
    return leaderboard.main([str(word) for word in words])


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A folder of results, and the tables that were printed."""
    folder = tmp_path_factory.mktemp("played")
    assert call("run", *FAST, "--seeds", 3, "--agent", "power_of_two", "--out", folder) == 0
    return folder


def contents(folder, timings=True):
    """Its files; without timings what is left of episodes when these are left out, and no tables."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    if timings:
        return found
    kept = {}
    for name, content in found.items():
        if name.startswith("runs/"):
            value = json.loads(content)
            for episode in value["episodes"]:
                for key in TIMED:
                    episode.pop(key)
            kept[name] = value["identity"], value["episodes"]
    return kept


def test_tables_of_what_is_there_are_those_of_the_run(played, tmp_path, capsys):
    out = tmp_path / "again"
    assert call("aggregate", played, "--out", out) == 0
    assert contents(out) == contents(played)
    capsys.readouterr()


def test_runs_of_several_machines_make_one_table(played, tmp_path):
    one, two, both = (tmp_path / name for name in ("one", "two", "both"))
    call(*FAST, "--seeds", 1, "--agent", "power_of_two", "--out", one)
    call(*FAST, "--seeds", "1-2", "--agent", "power_of_two", "--out", two)
    assert call("aggregate", two, one, "--out", both) == 0
    assert contents(both, timings=False) == contents(played, timings=False)


def test_an_interrupted_run_goes_on_to_the_same_results(played, tmp_path, monkeypatch):
    """The same bytes, but for what was measured in seconds."""
    out, n = tmp_path / "out", []
    real = leaderboard_run.record

    def record(*args, **options):
        n.append(1)
        if len(n) == 5:
            raise KeyboardInterrupt
        return real(*args, **options)

    argv = [*FAST, "--seeds", 3, "--agent", "power_of_two", "--out", out]
    with monkeypatch.context() as patch:
        patch.setattr(leaderboard_run, "record", record)
        assert call(*argv) == leaderboard.INTERRUPTED
    before = {path.name: path.read_bytes() for path in (out / "runs").iterdir()}
    assert before
    assert call(*argv) == 0
    assert contents(out, timings=False) == contents(played, timings=False)
    for name, content in before.items():  # what was finished was not played again, so that not even timings differ
        kept, now = json.loads(content)["episodes"], json.loads((out / "runs" / name).read_text())["episodes"]
        assert now[: len(kept)] == kept
    with monkeypatch.context() as patch:
        patch.setattr(leaderboard_run, "record", lambda *args, **options: pytest.fail("played again"))
        whole = contents(out)
        assert call(*argv) == 0
        assert contents(out) == whole


def change(path, edit):
    """Edits the first episode of a result file, and signs it again."""
    value = json.loads(path.read_text())
    edit(value["episodes"][0])
    value["run_id"] = files.digest({name: item for name, item in value.items() if name != "run_id"})
    path.write_text(json.dumps(value))


def test_what_comes_out_otherwise_is_named(played, tmp_path, capsys):
    assert call("verify", played, "--episodes", 5, "--workers", 1) == 0
    assert "5 episodes played again, 0 came out otherwise" in capsys.readouterr().out
    other = tmp_path / "other"
    shutil.copytree(played, other)
    (path,) = (other / "runs").glob("*power_of_two*")
    change(path, lambda episode: episode.update(J=0.1, records_sha256="0"))
    assert call("verify", other, "--episodes", 9, "--workers", 1) == 1
    out = capsys.readouterr().out
    assert "9 episodes played again, 1 came out otherwise\n" in out
    assert "power_of_two, sanity, seed 0: J, records of its requests\n" in out


def test_the_same_episode_twice_has_to_be_the_same(played, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(played, other)
    (path,) = (other / "runs").glob("*power_of_two*")
    change(path, lambda episode: episode.update(decision_us=99.0))
    assert call("aggregate", played, other) == 0
    change(path, lambda episode: episode.update(actions_sha256="0"))
    with pytest.raises(SystemExit):
        call("aggregate", played, other)
    assert "seed 0 is there already with other actions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda plan: plan.update(split="validation"), "split is 'validation', that of"),
        (lambda plan: plan["cases"][0]["overrides"].update(episode_requests=61), "is not the scenario of that name"),
        (
            lambda plan: plan["identities"][0][2].update(code_sha256="0"),
            "has another code_sha256 than in",
        ),
        (lambda plan: plan.pop("seeds"), "not as plans are written"),
        (lambda plan: plan.update(schema_version=0), "schema_version is 0, not 1"),
    ],
)
def test_what_does_not_fit_together_is_refused(played, tmp_path, capsys, edit, message):
    other = tmp_path / "other"
    shutil.copytree(played, other)
    plan = json.loads((other / "plan.json").read_text())
    edit(plan)
    (other / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(SystemExit):
        call("aggregate", played, other)
    assert message in capsys.readouterr().err


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    for command in ("aggregate", "verify", "submit"):
        with pytest.raises(SystemExit):
            call(command, tmp_path)
        assert "is no folder of results" in capsys.readouterr().err


@pytest.mark.slow
def test_an_archive_has_all_that_it_takes_to_play_its_rows_again(tmp_path, capsys):
    source, out = tmp_path / "draws.py", tmp_path / "out"
    source.write_text(DRAWS)
    assert call(*FAST, "--seeds", 2, "--agent", f"{source}:Draws", "--out", out) == 0
    assert call("submit", out) == 0
    first = (out / "submission.zip").read_bytes()
    assert call("submit", out, "--out", tmp_path / "again.zip") == 0
    assert (tmp_path / "again.zip").read_bytes() == first
    with zipfile.ZipFile(out / "submission.zip") as archive:
        names = set(archive.namelist())
        summary = json.loads(archive.read("submission.json"))
        assert archive.read("files/draws.py").decode() == DRAWS
        entries = json.loads(archive.read("plan.json"))["entries"]
    assert entries[-1]["agent"] == "files/draws.py:Draws"
    assert "draws.py:Draws" in summary["command"]  # what was read, not where it lay
    assert names == {"files/draws.py", "plan.json", "submission.json"} | {
        f"runs/{path.name}" for path in (out / "runs").iterdir()
    }
    assert summary["command"][:2] == ["--scenario", "sanity"]
    assert {row["agent"] for row in summary["rows"]} == {"random", "lbgr_code", "draws.py:Draws"}
    capsys.readouterr()
    source.unlink()  # the archive has it
    archive_path = Path(shutil.move(out / "submission.zip", tmp_path / "rows.zip"))
    assert call("verify", archive_path, "--workers", 1) == 0
    assert "6 episodes played again, 0 came out otherwise" in capsys.readouterr().out


@pytest.mark.slow
def test_an_archive_that_was_changed_is_refused(played, tmp_path, capsys):
    assert call("submit", played, "--out", tmp_path / "rows.zip") == 0
    with zipfile.ZipFile(tmp_path / "rows.zip") as archive, zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        for name in archive.namelist():
            content = archive.read(name)
            other.writestr(name, content.replace(b"power_of_two", b"round_robin") if name == "plan.json" else content)
    with pytest.raises(SystemExit):
        call("verify", tmp_path / "other.zip")
    assert "plan.json was changed after it was packed" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        call("verify", Path(__file__))
    assert "is no archive of `leaderboard submit`" in capsys.readouterr().err
