"""Every wrapper keeps what an environment promises: the checker, pickling, specs, masks and the keys of `info`."""

import functools
import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TransformReward

import kvgym
from kvgym import wrappers
from kvgym.wrappers import (
    GroupWorkloads,
    RepeatWorkload,
    RewardVector,
    ShuffleWorkers,
    StructuredObservation,
    VectorRewardVector,
    VectorShuffleWorkers,
    VectorStructuredObservation,
)
from tests.envs.helpers import FORMS, play, pressed, random_actions, small

SINGLE = {
    "structured": StructuredObservation,
    "vector reward": RewardVector,
    "repeat": functools.partial(RepeatWorkload, k=2),
    "shuffle": ShuffleWorkers,
    "all": lambda env: StructuredObservation(ShuffleWorkers(RepeatWorkload(RewardVector(env), k=3))),
}
NATIVE = [functools.partial(GroupWorkloads, k=2), VectorRewardVector, VectorShuffleWorkers, VectorStructuredObservation]


def made(form, **kwargs):
    name, arguments = FORMS[form]
    more = {"slo_ttft_s": 0.5, "slo_tpot_s": 0.05}
    return gym.make(name, scenario_overrides=pressed("gsp-stable", **more), **arguments, **kwargs)


def flat(value):
    """An observation as bytes."""
    return b"".join(part.tobytes() for part in value.values()) if isinstance(value, dict) else value.tobytes()


def shown(step):
    observation, reward, terminated, truncated, info = step
    mask = info["action_mask"].tolist()
    return flat(observation), np.asarray(reward).tolist(), terminated, truncated, mask, info["time"], info["session"]


def test_all_are_exported():
    assert sorted(wrappers.__all__) == wrappers.__all__
    assert len(wrappers.__all__) == 8


@pytest.mark.parametrize("form", ["route", "evict", "joint", "joint-leaf"])
@pytest.mark.parametrize("name", SINGLE)
def test_gymnasium_checks_it(name, form):
    env = SINGLE[name](made(form).unwrapped)
    if name in ("vector reward", "all"):  # only a scalar passes
        env = TransformReward(env, lambda reward: float(reward[:2].sum()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*different from the unwrapped version")
        check_env(env)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SINGLE)
def test_infos_masks_and_spaces(name, form):
    env, bare = SINGLE[name](made(form)), made(form)
    episode, plain = play(env, seed=4), play(bare, seed=4)
    assert all(step[0] in env.observation_space for step in episode)
    assert [list(step[4]) for step in (episode[0], episode[-1])] == [list(step[4]) for step in (plain[0], plain[-1])]
    env.reset(seed=4)
    masks = env.get_wrapper_attr("action_masks")()
    assert masks.dtype == bool and masks.tolist() == episode[0][4]["action_mask"].astype(bool).tolist()
    assert episode[0][4]["action_mask"].dtype == np.int8


@pytest.mark.parametrize("form", ["route", "evict", "joint-leaf"])
@pytest.mark.parametrize("name", SINGLE)
def test_a_pickled_one_goes_on_where_it_was(name, form):
    env = SINGLE[name](made(form))
    policy = random_actions(env)
    env.reset(seed=1)
    for t in range(5):
        env.step(policy(t))
    again = pickle.loads(pickle.dumps(env))
    ends = 0
    for t in range(5, 300):
        one, other = env.step(policy(t)), again.step(policy(t))
        assert shown(one) == shown(other)
        if one[2] or one[3]:
            ends += 1
            assert flat(env.reset()[0]) == flat(again.reset()[0])
    assert ends >= 1


@pytest.mark.parametrize("name", SINGLE)
def test_an_environment_made_from_its_spec_as_json_is_the_same(name):
    env = SINGLE[name](made("route"))
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.spec == env.spec
    assert [shown(step) for step in play(env, seed=5)] == [shown(step) for step in play(again, seed=5)]


@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_they_render_what_is_inside(mode):
    for wrap in SINGLE.values():
        env = wrap(made("joint-leaf", render_mode=mode))
        env.reset(seed=0)
        assert env.render_mode == mode
        assert np.array_equal(env.render(), env.unwrapped.render())
    for wrap in NATIVE:
        envs = wrap(kvgym.make_vec("KVGym/Route-v0", 2, scenario_overrides=small("gsp-stable"), render_mode=mode))
        envs.reset(seed=0)
        assert envs.render_mode == mode
        shown = envs.render()
        assert isinstance(shown, tuple) and len(shown) == 2
        assert all(np.array_equal(*both) for both in zip(shown, envs.unwrapped.render(), strict=True))


@pytest.mark.parametrize("wrapper", [*SINGLE.values(), *NATIVE])
def test_what_they_refuse(wrapper):
    with pytest.raises(ValueError, match="of kvgym"):
        wrapper(gym.make("CartPole-v1"))


@pytest.mark.parametrize("wrapper", NATIVE)
def test_sync_vector_environments_are_refused(wrapper):
    envs = kvgym.make_vec("KVGym/Route-v0", 2, mode="sync", scenario_overrides=small("gsp-stable"))
    with pytest.raises(ValueError, match="must be a native vector environment"):
        wrapper(envs)
