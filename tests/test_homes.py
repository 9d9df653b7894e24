"""Names of the project's other packages mean the same in a checkout and in an installed wheel."""

import subprocess
import sys
from pathlib import Path

import pytest

from kvgym import _homes

ROOT = Path(__file__).parents[1]


def test_in_a_checkout():
    assert _homes.home("agents.train") == "agents.train"
    assert _homes.home("theory.values") == "studies.theory.values"
    assert _homes.home("agentsmith.train") == "agentsmith.train"
    assert _homes.load("agents").make_agent("lru").environment == "KVGym/Evict-v0"


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A folder as a wheel leaves it, beside a package of somebody else's that is called agents."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "kvgym").mkdir()
    for part in (ROOT / "kvgym").iterdir():
        (folder / "kvgym" / part.name).symlink_to(part)
    (folder / "kvgym" / "agents").symlink_to(ROOT / "agents")
    (folder / "kvgym" / "theory").symlink_to(ROOT / "studies" / "theory")
    (folder / "envs_registry.py").symlink_to(ROOT / "envs_registry.py")
    (folder / "agents").mkdir()
    (folder / "agents" / "__init__.py").write_text("raise ImportError('somebody else')")
    return folder


def run(folder, code):
    code = f"import sys; sys.path[:] = [{str(folder)!r}] + [p for p in sys.path if p != {str(ROOT)!r}]; {code}"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_in_a_wheel(installed):
    code = "from kvgym import _homes; print(_homes.home('agents.train'), _homes.load('theory.values').harmonic(2))"
    assert run(installed, code) == "kvgym.agents.train 1.5\n"


@pytest.mark.slow
def test_a_router_by_name_in_a_wheel(installed):
    code = """import gymnasium, kvgym
env = gymnasium.make("KVGym/Evict-v0", scenario="sanity", router="agents:lbgr")
from kvgym import agents
print(type(agents.make_agent("pair", router="lbgr_code", evictor="rlt").router).__module__)"""
    assert run(installed, code).splitlines()[-1] == "kvgym.agents.routing.lbgr_code"


@pytest.mark.slow
def test_a_leaderboard_in_a_wheel(installed):
    """Its processes import agents by name as well."""
    code = """from kvgym.agents.leaderboard.__main__ import main
sys.exit(main("--track evict --scenario sanity --seeds 1 --evictor lru --agent lru --workers 2".split()))"""
    assert "agents:lru" in run(installed, code)


@pytest.mark.slow
def test_policies_of_the_hyper_parameters_in_a_wheel(installed):
    pytest.importorskip("sb3_contrib")
    code = """from kvgym import _homes
from kvgym.agents.learned.hyperparams import load
found = load("ppo", "KVGym/Route-v0").policy.rpartition(".")
print(getattr(_homes.load(found[0]), found[2]).__module__)"""
    assert run(installed, code) == "kvgym.agents.learned.policies\n"
