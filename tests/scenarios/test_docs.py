"""The code of docs/own_scenarios.md runs, in its order, in one folder; so do the commands of the leaderboard."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kvgym.scenarios import SCENARIOS
from kvgym.scenarios.recipes import RECIPES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "own_scenarios.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(?:python|yaml)\n(.+?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"^    python -m (.+)$", TEXT, re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which all blocks have run; one that begins with the name of a file is that file."""
    pytest.importorskip("yaml", reason="the extra train is not installed")
    path = tmp_path_factory.mktemp("own")
    before, registries = Path.cwd(), [(held, dict(held)) for held in (SCENARIOS, RECIPES)]
    sys.path.insert(0, str(path))
    os.chdir(path)
    try:
        names = {"__name__": "own_scenarios"}
        for block in BLOCKS:
            if named := re.match(r"# (\w+\.\w+)\n", block):
                (path / named[1]).write_text(block, encoding="utf-8")
            else:
                exec(block, names)
        yield path
    finally:
        os.chdir(before)
        sys.path.remove(str(path))
        sys.modules.pop("my_cluster", None)
        for held, what in registries:
            held.clear()
            held.update(what)


@pytest.mark.slow
def test_the_code_runs(folder):
    assert len(BLOCKS) == 15
    assert {path.name for path in folder.iterdir()} >= {"my_cluster.py", "my_trace.yml", "requests.jsonl", "desk.json"}


@pytest.mark.slow
def test_the_commands_of_the_leaderboard_run(folder):
    rush, own = (shown(scenarios, folder) for scenarios in ("rush_hour.yml", "my_cluster:desk my_trace.yml"))
    assert "early_rejection" in rush and "rush-hour (version 0, not of the suite): chats and batch jobs" in rush
    assert "desk (version 0, not of the suite): questions about five products" in own
    assert "my-trace (version 0, not of the suite): our requests of Monday" in own


def shown(scenarios, folder):
    """What the command with these scenarios prints; it goes well."""
    command = next(command for command in COMMANDS if f"--scenario {scenarios}" in command)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", *shlex.split(command), "--workers", "2"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "FAILED" not in done.stdout
    return done.stdout
