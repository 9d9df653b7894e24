"""Where pages move and workers fail: vector forms, Gymnasium's and Stable-Baselines3's checkers, copies, repetition."""

import copy
import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from tests import often
from tests.envs.helpers import FORMS, MOVING, digest, go_on, make_form, play, pressed, random_actions
from tests.envs.test_form_copies import half
from tests.envs.test_vector import FORMS as VECTORS
from tests.envs.test_vector import MODES, assert_same

WORKERS = [{"kv_tokens": 4096, "cost": {"c0": 20.0, "k": 0.1}, "kv_bytes_per_token": 1000}] * 3
MORE = {**MOVING, "workers": WORKERS, "warmup_requests": 4, "episode_requests": 20}
COPIES = {"pickle": lambda env: pickle.loads(pickle.dumps(env)), "deepcopy": copy.deepcopy}


def settings(**kwargs):
    return {"scenario_overrides": pressed("gsp-stable", **MORE), **kwargs}


def assert_equal_steps(ours, theirs):
    for a, b in zip(ours[:4], theirs[:4], strict=True):
        assert a.dtype == b.dtype and np.array_equal(a, b)
    assert_same(ours[4], theirs[4])


def happened(native):
    """Returns and fetched tokens in the episodes in progress."""
    records = [env.simulator.records() for env in native.envs]
    return np.array([sum(part[name].sum() for part in records) for name in ("returns", "fetched_tokens")])


# Each form in the mode in which test_vector.py does not play it, every day.
@pytest.mark.parametrize(("form", "mode"), often.diagonals(VECTORS, MODES, share=2, first=1))
def test_the_native_form_is_what_gymnasium_makes_of_single_ones(form, mode):
    single, vector, kwargs = VECTORS[form]
    kwargs = settings(**kwargs)
    sync = SyncVectorEnv([lambda: single(**kwargs)] * 4, autoreset_mode=mode)
    natives = [vector(4, autoreset_mode=mode, num_threads=threads, **kwargs) for threads in (1, 2)]
    theirs = sync.reset(seed=3)
    for native in natives:
        ours = native.reset(seed=3)
        assert np.array_equal(ours[0], theirs[0])
        assert_same(ours[1], theirs[1])
    natives[0].action_space.seed(1)
    ended, found, masked = 0, np.zeros(2), 0
    for step in range(900 if "quantum" in kwargs else 120):
        actions = natives[0].action_space.sample()
        theirs, masks = sync.step(actions), np.array(sync.call("action_masks"))
        for native in natives:
            assert_equal_steps(native.step(actions), theirs)
            assert np.array_equal(native.action_masks(), masks)
            assert [env.n_invalid for env in native.envs] == list(sync.get_attr("n_invalid"))
        ended += int((theirs[2] | theirs[3]).sum())
        found += happened(natives[0]) if step % 10 == 0 else 0
        masked += int((~masks).sum())
    assert (ended >= 3 and masked > 0) or form == "evict rule"
    assert (found > 0).all()
    for envs in (sync, *natives):
        envs.close()


@pytest.mark.parametrize("form", ["route", "joint rule", "joint leaf"])
def test_disabled(form):
    single, vector, kwargs = VECTORS[form]
    kwargs = settings(**kwargs)
    sync = SyncVectorEnv([lambda: single(**kwargs)] * 3, autoreset_mode=AutoresetMode.DISABLED)
    natives = [vector(3, autoreset_mode="Disabled", num_threads=threads, **kwargs) for threads in (1, 2)]
    for envs in (sync, *natives):
        envs.reset(seed=5)
    natives[0].action_space.seed(1)
    resets = 0
    for _ in range(900 if "quantum" in kwargs else 90):
        actions = natives[0].action_space.sample()
        theirs = sync.step(actions)
        for native in natives:
            assert_equal_steps(native.step(actions), theirs)
        ended = theirs[2] | theirs[3]
        if ended.any():
            theirs = sync.reset(options={"reset_mask": ended})
            for native in natives:
                ours = native.reset(options={"reset_mask": ended})
                assert np.array_equal(ours[0], theirs[0])
                assert np.array_equal(ours[1]["action_mask"][ended], theirs[1]["action_mask"][ended])
                assert np.array_equal(native.action_masks(), np.array(sync.call("action_masks")))
            resets += 1
    assert resets > 1
    for envs in (sync, *natives):
        envs.close()


@pytest.mark.parametrize("form", ["route", "joint rule", "joint leaf"])
def test_masks_of_the_vector_forms_exclude_workers_that_are_down(form):
    _, vector, kwargs = VECTORS[form]
    native = vector(4, autoreset_mode="SameStep", **settings(**kwargs))
    native.reset(seed=2)
    native.action_space.seed(0)
    excluded = 0
    for _ in range(100):
        masks = native.action_masks()
        for env, mask in zip(native.envs, masks, strict=True):
            routing = bool(env.simulator.tables["clock"]["request"] >= 0)
            assert mask[:3].tolist() == (env.simulator.up().tolist() if routing else [False] * 3)
            excluded += routing and not mask[:3].all()
        native.step(native.action_space.sample())
    assert excluded > 10


@pytest.mark.parametrize(("form", "shown"), often.diagonals(FORMS, ["scaled", "physical"], share=2))
def test_checkers(form, shown):
    name, arguments = FORMS[form]
    made = gym.make(name, observation=shown, **settings(**arguments)).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(made)
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason="Stable-Baselines3 is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker.check_env(gym.make(name, observation=shown, **settings(**arguments)).unwrapped)


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("form", FORMS)
def test_a_copy_in_the_middle_goes_on_as_the_original(form, how):
    env = make_form(form, "gsp-stable", MORE)
    policy = random_actions(env)
    for n in (5, 15):
        t = half(env, policy, n)
        twin, untouched = COPIES[how](env), COPIES[how](env)
        list(go_on(twin, random_actions(env, 1), t))  # does not touch the others
        assert env.action_masks().tolist() == untouched.action_masks().tolist()
        assert digest(go_on(env, policy, t)) == digest(go_on(untouched, policy, t))
        assert env.n_invalid == untouched.n_invalid
        assert env.simulator.records().tobytes() == untouched.simulator.records().tobytes()
        assert env.simulator.traffic().tolist() == untouched.simulator.traffic().tolist()
        assert digest(play(env)) == digest(play(untouched))  # and in the next episode, with other faults


@pytest.mark.parametrize("form", FORMS)
def test_an_episode_depends_on_seed_and_number_only(form):
    env, other = make_form(form, "gsp-stable", MORE), make_form(form, "gsp-stable", MORE)
    play(env, seed=99)
    first = [digest(play(env, seed=4)), digest(play(env)), digest(play(env))]
    assert len(set(first)) == 3
    other.reset(seed=4)
    assert [digest(play(other)), digest(play(other))] == first[1:]
    assert digest(play(env, seed=8, options={"workload_seed": 4, "policy_seed": 4})) == first[0]
