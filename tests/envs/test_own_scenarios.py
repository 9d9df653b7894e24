"""Scenarios of one's own in environments: specs stay JSON, other processes find them, and hints at what goes where."""

import json
import re
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

import kvgym
from envs_registry import ENVIRONMENTS
from kvgym import wrappers
from kvgym.envs.route import RouteEnv
from kvgym.evaluation import play as play_episode
from tests.envs.helpers import digest, play, small
from tests.evaluation.players import Turns
from tests.scenarios import own

PLACE = "tests.scenarios.own:shop"
FIELDS = json.loads(json.dumps(own.shop.to_dict()))
FORMS = ["name", "path", "mapping", "module:name", "object"]


@pytest.fixture
def given(tmp_path):
    """The same scenario in every form, but "name", which is one of the suite."""
    (tmp_path / "shop.json").write_text(json.dumps(FIELDS), encoding="utf-8")
    path = str(tmp_path / "shop.json")
    return {"name": "sanity", "path": path, "mapping": FIELDS, "module:name": PLACE, "object": own.shop}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("id", ENVIRONMENTS)
def test_the_spec_stays_json(given, form, id):
    env = gym.make(id, scenario=given[form], scenario_overrides={"episode_requests": 30})
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.scenario == env.unwrapped.scenario
    assert (again.spec == env.spec) == (form != "object")  # an object comes back as its fields, which are the same
    assert gym.make(EnvSpec.from_json(again.spec.to_json())).spec == again.spec
    assert digest(play(again, seed=3)) == digest(play(env, seed=3))
    assert (env.unwrapped.scenario.name == "shop") == (form != "name")


@pytest.mark.parametrize("form", FORMS)
def test_specs_of_vector_forms_stay_json(given, form):
    env = kvgym.make_vec("KVGym/Route-v0", 2, scenario=given[form], autoreset_mode="SameStep")
    again = gym.make_vec(EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.autoreset_mode == env.unwrapped.autoreset_mode
    assert again.unwrapped.envs[1].scenario == env.unwrapped.envs[1].scenario
    np.testing.assert_array_equal(again.reset(seed=1)[0], env.reset(seed=1)[0])


@pytest.mark.slow
@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_processes_find_it(given, context):
    """Each process plays what a single environment plays, in whatever form it is given."""
    overrides = {"episode_requests": 6}
    made = [
        partial(gym.make, "kvgym:KVGym/Route-v0", scenario=given[form], scenario_overrides=overrides)
        for form in FORMS[1:]
    ]
    envs = gym.vector.AsyncVectorEnv(made, context=context)
    try:
        observations, _ = envs.reset(seed=7)
        singles = [make() for make in made]
        for i, single in enumerate(singles):
            np.testing.assert_array_equal(observations[i], single.reset(seed=7 + i)[0])
        for _ in range(6):
            observations, rewards, terminated, *_ = envs.step(np.array([2, 1, 0, 2]))
            for i, single in enumerate(singles):
                observation, reward, end, *_ = single.step((2, 1, 0, 2)[i])
                np.testing.assert_array_equal(observations[i], observation)
                assert (rewards[i], terminated[i]) == (reward, end)
        assert terminated.all()
    finally:
        envs.close()


@pytest.mark.parametrize("form", FORMS[1:])
def test_make_vec_and_the_evaluation_take_it(given, form):
    for mode in ("native", "sync"):
        envs = kvgym.make_vec("KVGym/Joint-v0", 2, mode=mode, scenario=given[form])
        assert envs.reset(seed=0)[0].shape == (2, 14 + 22 * 3)
    episode = play_episode(Turns(), given[form], 0)
    assert episode.metrics["n"] == 60
    assert episode.J == play_episode(Turns(), PLACE, 0).J


def test_wrappers_take_it():
    env = wrappers.RepeatWorkload(wrappers.RewardVector(gym.make("KVGym/Route-v0", scenario=own.shop)), k=2)
    assert env.reset(seed=0)[0].shape == (14 + 22 * 3,)


def test_stable_baselines3_takes_it(given):
    pytest.importorskip("stable_baselines3", reason="the extra train is not installed")
    from stable_baselines3.common.env_util import make_vec_env

    from kvgym.integrations.sb3 import make_sb3

    for form in FORMS[1:]:
        observation = make_sb3("KVGym/Route-v0", 2, scenario=given[form]).reset()
        assert observation.shape == (2, 14 + 22 * 3)
    assert make_vec_env(lambda: RouteEnv(own.shop), 2).reset().shape == (2, 14 + 22 * 3)


WHERE = "got an unexpected keyword argument 'n_workers': the scenario has it, give it as scenario_overrides="


@pytest.mark.parametrize("id", ENVIRONMENTS)
def test_fields_of_the_scenario_are_shown_to_their_place(id):
    for make in (
        lambda **more: gym.make(id, **more),
        lambda **more: gym.make_vec(id, 2, **more),
        lambda **more: kvgym.make_vec(id, 2, mode="sync", **more),
        lambda **more: kvgym.make_vec(f"kvgym:{id}", 2, **more),
    ):
        with pytest.raises(TypeError, match=re.escape(WHERE + "{'n_workers': 7}")):
            make(n_workers=7)
        with pytest.raises(TypeError, match=re.escape("give it as scenario_overrides={'engine': {'page_size': 1}}")):
            make(engine={"page_size": 1})
        with pytest.raises(TypeError, match="unexpected keyword argument 'speed'; allowed are scenario, scenario_over"):
            make(speed=7)


def test_an_evictor_is_not_to_be_had_by_an_override():
    """Where the agent evicts the scenario's evictor has nothing to say: no hint that would do nothing."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'evictor'; allowed are scenario, "):
        gym.make("KVGym/Evict-v0", evictor="lru")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (5, "options must be a mapping of names to values, got 5"),
        ("abc", "options must be a mapping of names to values, got 'abc'"),
        ([], "options must be a mapping of names to values, got []"),
        ({"seed": 1}, "options key must be one of workload_seed, policy_seed; got 'seed'"),
        ({5: 1}, "options key must be one of workload_seed, policy_seed; got 5"),
        ({"workload_seed": "x"}, "workload_seed must be an integer >= 0, got 'x'"),
        ({"policy_seed": -1}, "policy_seed must be an integer >= 0, got -1"),
        ({"policy_seed": None}, "policy_seed must be an integer >= 0, got None"),
    ],
)
@pytest.mark.parametrize("id", ENVIRONMENTS)
def test_options_that_are_refused(id, options, message):
    settings = {"scenario_overrides": small("gsp-stable")}
    env = gym.make(id, **settings)
    for one in (env.unwrapped, kvgym.make_vec(id, 2, **settings), wrappers.RepeatWorkload(env.unwrapped, k=2)):
        with pytest.raises(ValueError, match=re.escape(message)):
            one.reset(seed=0, options=options)
