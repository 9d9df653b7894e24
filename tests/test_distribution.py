"""The source distribution holds the whole repository, so that tests, gate and notebooks run from it."""

import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALWAYS = {"pyproject.toml", "README.md", "LICENSE", ".gitignore"}
"""What the build backend adds by itself."""


def test_everything_in_the_repository_is_in_the_source_distribution():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    tracked = {name.split("/")[0] for name in done.stdout.splitlines()}
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert sorted(build["targets"]["sdist"]["only-include"]) == sorted(tracked - ALWAYS)
