"""Ids: specs survive JSON, and the prefixed id works where kvgym was not imported."""

import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

import envs_registry
import kvgym
from envs_registry import ENVIRONMENTS
from kvgym.envs.settings import V0_RULES
from tests.envs.helpers import FORMS, SMALL, digest, play, pressed, small

ROOT = Path(__file__).parents[2]


def run_python(code):
    """Runs code in a fresh interpreter, warnings being errors; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


FORM_ARGUMENTS = {
    "route": {"evictor": "random"},
    "evict": {"router": "prefix_affinity", "candidates": 6, "quantum": 1},
    "evict-rule": {"rules": ["gdsf", "lru", "rlt"]},
    "joint": {"rules": ["gdsf", "lru", "rlt"]},
    "joint-leaf": {"candidates": 2, "quantum": "leaf"},
}


@pytest.mark.parametrize("form", FORMS)
def test_an_environment_made_from_its_spec_as_json_is_the_same(form):
    name, arguments = FORMS[form]
    settings = {
        "scenario": "long-doc",
        "scenario_overrides": pressed("long-doc", engine={"max_running": 4}, view="exact"),
        "observation": "physical",
        "reward": "ttft",
        "horizon": "truncate",
        "split": "validation",
        "render_mode": "ansi",
        **arguments,
        **FORM_ARGUMENTS.get(form, {}),
    }
    env = gym.make(name, **settings)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.spec == env.spec
    assert again.unwrapped.scenario == env.unwrapped.scenario
    assert digest(play(env, seed=5)) == digest(play(again, seed=5))
    if not form.startswith("route"):
        assert env.unwrapped.rules == again.unwrapped.rules == tuple(settings.get("rules", V0_RULES))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_entry_points_are_strings(name):
    """They keep specs JSON-able, and kvgym cheap to import."""
    assert isinstance(gym.spec(name).entry_point, str)


def test_the_prefixed_id_needs_no_import():
    """In one process, which forgets each time what `gymnasium.make` has imported and registered."""
    code = f"""
import sys, gymnasium
for name in {[*ENVIRONMENTS]}:
    assert "kvgym" not in sys.modules and name not in gymnasium.registry
    print(gymnasium.make("kvgym:" + name).unwrapped.spec.id)
    del sys.modules["kvgym"], sys.modules["envs_registry"]
    for registered in [one for one in gymnasium.registry if one.startswith("KVGym/")]:
        del gymnasium.registry[registered]
"""
    assert run_python(code).split() == [*ENVIRONMENTS]


def test_register_envs_line():
    code = "import gymnasium, kvgym; gymnasium.register_envs(kvgym)\n"
    code += f"for name in {[*ENVIRONMENTS]}: print(gymnasium.spec(name).id)"
    assert run_python(code).split() == [*ENVIRONMENTS]


def test_registering_twice_is_silent():
    before = {name: gym.registry[name] for name in ENVIRONMENTS}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kvgym.register_envs()
        envs_registry.register_envs()
    assert all(gym.registry[name] is spec for name, spec in before.items())
    code = "import sys, kvgym; del sys.modules['kvgym'], sys.modules['envs_registry']; import kvgym; print('fine')"
    assert run_python(code) == "fine"


@pytest.mark.slow
@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_async_vector_env(context):
    """Each process plays what a single environment plays."""
    settings = {"scenario_overrides": small("gsp-stable", episode_requests=6)}
    envs = gym.make_vec(
        "kvgym:KVGym/Route-v0",
        num_envs=2,
        vectorization_mode="async",
        vector_kwargs={"context": context},
        **settings,
    )
    try:
        observations, infos = envs.reset(seed=7)
        singles = [gym.make("KVGym/Route-v0", **settings) for _ in range(2)]
        for i, single in enumerate(singles):
            observation, info = single.reset(seed=7 + i)
            np.testing.assert_array_equal(observations[i], observation)
            np.testing.assert_array_equal(infos["action_mask"][i], info["action_mask"])
        for t in range(6):
            observations, rewards, terminated, *_ = envs.step(np.array([t % 4, 1]))
            for i, single in enumerate(singles):
                observation, reward, end, *_ = single.step((t % 4, 1)[i])
                np.testing.assert_array_equal(observations[i], observation)
                assert (rewards[i], terminated[i]) == (reward, end)
        assert terminated.all()
    finally:
        envs.close()


def test_every_scenario_is_reachable_by_id():
    for scenario in SMALL:
        env = gym.make("KVGym/Route-v0", scenario=scenario, scenario_overrides=small(scenario))
        env.reset(seed=0)
        assert env.unwrapped.scenario.name == scenario
