"""RepeatWorkload and GroupWorkloads: who plays the same workload, and who doesn't."""

import itertools

import numpy as np
import pytest

import kvgym
from kvgym.wrappers import GroupWorkloads, RepeatWorkload
from tests.envs.helpers import digest, make, make_form, play, random_policy, small
from tests.wrappers.batches import native


def workload(env):
    requests = env.unwrapped.workload.requests
    return requests["arrival_ps"].tobytes() + requests["prompt_tokens"].tobytes()


def played(env, n, **first):
    """Workloads of n episodes."""
    out = []
    for number in range(n):
        env.reset(**(first if number == 0 else {}))
        out.append(workload(env))
    return out


def test_k_episodes_play_one_workload_and_then_another():
    env = RepeatWorkload(make(), k=3)
    found = played(env, 7, seed=5)
    assert [len(list(same)) for _, same in itertools.groupby(found)] == [3, 3, 1]
    assert len(set(found)) == 3
    assert played(env, 7, seed=5) == found
    assert played(env, 1, seed=6)[0] not in found


def test_the_first_episode_is_that_of_the_bare_environment():
    assert digest(play(RepeatWorkload(make(), k=2), seed=5)) == digest(play(make(), seed=5))


def test_policy_seeds_differ_within_a_workload():
    """The evictor draws: the same actions on the same workload lead elsewhere."""
    env = RepeatWorkload(make_form("route", evictor="random"), k=2)
    first, second = (play(env, random_policy(3), **reset) for reset in ({"seed": 1}, {}))
    sessions = [[step[4]["session"] for step in episode] for episode in (first, second)]
    assert sessions[0] == sessions[1]
    assert digest(first) != digest(second)


def test_without_a_seed_it_draws_one():
    found = played(RepeatWorkload(make(), k=2), 3)
    assert found[0] == found[1] != found[2]
    assert played(RepeatWorkload(make(), k=2), 1)[0] != found[0]


def test_options():
    env = RepeatWorkload(make(), k=2)
    env.reset(seed=0)
    given = played(env, 3, options={"workload_seed": 9})
    assert given[0] == given[1] != given[2]
    assert given[0] == played(make(), 1, seed=9)[0]
    assert env.repeat == 0
    env.reset(options={"policy_seed": 4})
    assert env.repeat == 1
    with pytest.raises(ValueError, match="options key"):
        env.reset(options={"seed": 1})


@pytest.mark.parametrize("k", [0, 1.5, True, "2"])
def test_k_is_checked(k):
    with pytest.raises(ValueError, match="k must be an integer >= 1"):
        RepeatWorkload(make(), k=k)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_a_group_plays_one_workload_side_by_side(mode):
    envs = GroupWorkloads(native("route", mode, 6), k=3)
    envs.reset(seed=8)
    seen = set()
    for _ in range(35):
        times = envs.step(np.array([0, 1, 0, 1, 0, 1]))[4]["time"]
        now = [workload(env) for env in envs.unwrapped.envs]
        assert now[0] == now[1] == now[2] != now[3] == now[4] == now[5]
        assert times[0] == times[1] == times[2]  # decisions of KVGym/Route-v0 are arrivals
        seen |= set(now)
    assert len(seen) >= 6  # three episodes at least
    envs.close()


def test_group_seeds():
    envs = GroupWorkloads(native("route", "SameStep"), k=2)
    for seed in (None, 3, None):
        observation, _ = envs.reset(seed=seed)
        assert np.array_equal(observation[0], observation[1]) and np.array_equal(observation[2], observation[3])
        assert not np.array_equal(observation[0], observation[2])
    bare = native("route", "SameStep")
    assert np.array_equal(envs.reset(seed=3)[0], bare.reset(seed=[3, 3, 4, 4])[0])
    envs.close()


def test_groups_are_reset_as_a_whole():
    envs = GroupWorkloads(native("route", "Disabled"), k=2)
    envs.reset(seed=3)
    envs.reset(options={"reset_mask": np.array([True, True, False, False])})
    assert [env._episode for env in envs.unwrapped.envs] == [1, 1, 0, 0]
    with pytest.raises(ValueError, match="reset_mask must have whole groups of 2"):
        envs.reset(options={"reset_mask": np.array([True, False, False, False])})


def test_what_groups_refuse():
    with pytest.raises(ValueError, match="k must divide num_envs = 4, got 3"):
        GroupWorkloads(native("route", "SameStep"), k=3)
    staggered = kvgym.make_vec("KVGym/Route-v0", 2, stagger=True, scenario_overrides=small("gsp-stable"))
    with pytest.raises(ValueError, match="stagger=False"):
        GroupWorkloads(staggered, k=2)
    with pytest.raises(ValueError, match="seed must be an integer >= 0"):
        GroupWorkloads(native("route", "SameStep"), k=2).reset(seed=[1, 2])
