"""The native vector form is bit for bit what Gymnasium's own makes of the single environments."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import kvgym
from kvgym.envs.evict import EvictEnv, EvictVectorEnv
from kvgym.envs.joint import JointEnv, JointVectorEnv
from kvgym.envs.route import RouteEnv, RouteVectorEnv
from tests import often
from tests.envs.helpers import small

MODES = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)
TIGHT = [{"kv_tokens": 4096, "cost": {"c0": 20.0}}] * 2
FORMS = {
    "route": (RouteEnv, RouteVectorEnv, {}),
    "route physical": (RouteEnv, RouteVectorEnv, {"observation": "physical", "evictor": "random"}),
    "route admission": (RouteEnv, RouteVectorEnv, {"admission": True}),
    "evict leaf": (EvictEnv, EvictVectorEnv, {"candidates": 4}),
    "evict rule": (EvictEnv, EvictVectorEnv, {"action": "rule"}),
    "evict adapter": (EvictEnv, EvictVectorEnv, {"router": "agents:lbgr_code"}),
    "joint rule": (JointEnv, JointVectorEnv, {"reward": "ttft"}),
    "joint leaf": (JointEnv, JointVectorEnv, {"action": "leaf", "candidates": 4, "quantum": 1}),
}


def settings(more=None, **kwargs):
    overrides = small("gsp-stable", workers=TIGHT, episode_requests=12, warmup_requests=4, **(more or {}))
    return {"scenario_overrides": overrides, **kwargs}


def assert_same(one, other, path="info"):
    """Two infos: the same keys, the same types, the same bits."""
    assert type(one) is type(other), path
    if isinstance(one, dict):
        assert sorted(one) == sorted(other), path
        for key in one:
            assert_same(one[key], other[key], f"{path}.{key}")
    elif one.dtype == object:
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert (a is None and b is None) or np.array_equal(a, b), f"{path}[{i}]"
    else:
        assert one.dtype == other.dtype, path
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f"), path


@pytest.mark.parametrize(("form", "mode"), often.diagonals(FORMS, MODES, share=2))
def test_it_is_what_gymnasium_makes_of_single_ones(form, mode):
    single, vector, kwargs = FORMS[form]
    kwargs = settings(**kwargs)
    n = 4
    sync = SyncVectorEnv([lambda: single(**kwargs)] * n, autoreset_mode=mode)
    natives = [vector(n, autoreset_mode=mode, num_threads=threads, **kwargs) for threads in (1, 3)]
    for native in natives:
        assert native.single_action_space == sync.single_action_space and native.action_space == sync.action_space
        assert native.observation_space == sync.observation_space
    for seed in (3, None, [7, 1, None, 2], 3):
        theirs = sync.reset(seed=seed)
        for native in natives:
            ours = native.reset(seed=seed)
            if seed == 3:
                assert np.array_equal(ours[0], theirs[0])
                assert_same(ours[1], theirs[1])
    natives[0].action_space.seed(1)
    ended = 0
    for _ in range(900 if "quantum" in kwargs else 60):
        actions = natives[0].action_space.sample()
        theirs, masks = sync.step(actions), np.array(sync.call("action_masks"))
        for native in natives:
            ours = native.step(actions)
            for a, b in zip(ours[:4], theirs[:4], strict=True):
                assert a.dtype == b.dtype and np.array_equal(a, b)
            assert_same(ours[4], theirs[4])
            assert np.array_equal(native.action_masks(), masks)
        ended += int((theirs[2] | theirs[3]).sum())
    assert ended >= 3
    for envs in (sync, *natives):
        envs.close()


def test_disabled():
    single, vector, kwargs = FORMS["joint leaf"]
    kwargs = settings(**kwargs)
    sync = SyncVectorEnv([lambda: single(**kwargs)] * 3, autoreset_mode=AutoresetMode.DISABLED)
    native = vector(3, autoreset_mode="Disabled", **kwargs)
    native.reset(seed=5), sync.reset(seed=5)
    native.action_space.seed(1)
    resets = 0
    for _ in range(900):
        actions = native.action_space.sample()
        ours, theirs = native.step(actions), sync.step(actions)
        for a, b in zip(ours[:4], theirs[:4], strict=True):
            assert np.array_equal(a, b)
        assert_same(ours[4], theirs[4])
        ended = ours[2] | ours[3]
        if ended.any():
            with pytest.raises(RuntimeError, match="have ended"):
                native.step(actions)
            options = {"reset_mask": ended}
            ours = native.reset(options=options)
            assert options == {"reset_mask": ended}  # read, not popped
            theirs = sync.reset(options=options)
            assert np.array_equal(ours[0], theirs[0])
            for key in theirs[1]:
                assert np.array_equal(ours[1][key][ended], theirs[1][key][ended])
            resets += 1
    assert resets > 1


def test_what_is_returned_belongs_to_the_caller():
    native = RouteVectorEnv(3, **settings())
    kept = [native.reset(seed=0)[0]]
    first = kept[0].copy()
    for _ in range(4):
        kept.append(native.step(np.zeros(3, int))[0])
        kept[-2][:] = -1.0
    again = RouteVectorEnv(3, **settings())
    assert np.array_equal(again.reset(seed=0)[0], first)


def test_staggered_batches_are_not_in_phase():
    native = RouteVectorEnv(4, stagger=True, autoreset_mode="SameStep", **settings())
    native.reset(seed=0)
    ends = []
    for step in range(1, 25):
        _, _, terminated, _, _ = native.step(np.zeros(4, int))
        ends += [(step, int(i)) for i in np.flatnonzero(terminated)]
    assert ends == [(3, 0), (6, 1), (9, 2), (12, 3), (15, 0), (18, 1), (21, 2), (24, 3)]


def test_make_vec_finds_it():
    env = gym.make_vec("kvgym:KVGym/Evict-v0", num_envs=2, **settings())
    assert isinstance(env.unwrapped, EvictVectorEnv)
    assert env.unwrapped.spec.id == "KVGym/Evict-v0"
    env.reset(seed=[4, None])
    env.close()
    env = gym.make_vec("kvgym:KVGym/Evict-v0", num_envs=2, vectorization_mode="sync", **settings())
    assert isinstance(env.unwrapped, SyncVectorEnv)
    env.close()


@pytest.mark.parametrize("mode", ["native", "sync", "async"])
def test_one_spelling_for_all_modes(mode):
    env = kvgym.make_vec("KVGym/Route-v0", 2, mode=mode, autoreset_mode="SameStep", **settings())
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    observation, _ = env.reset(seed=1)
    expected = [RouteEnv(**settings()).reset(seed=seed)[0] for seed in (1, 2)]
    assert np.array_equal(observation, expected)
    env.close()


def test_what_only_the_native_form_has():
    with pytest.raises(ValueError, match='num_threads is for mode="native"'):
        kvgym.make_vec("KVGym/Route-v0", 2, mode="sync", num_threads=2)
    with pytest.raises(ValueError, match="mode must be one of native, sync, async"):
        kvgym.make_vec("KVGym/Route-v0", 2, mode="fast")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_envs": 0}, "num_envs must be"),
        ({"autoreset_mode": "Never"}, "autoreset_mode must be one of NextStep, SameStep, Disabled"),
        ({"num_threads": 0}, "num_threads must be"),
        ({"stagger": 1}, "stagger must be"),
        ({"scenario": "nowhere"}, "scenario must be one of"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        RouteVectorEnv(**{"num_envs": 2, **change})


def test_bad_calls_are_named():
    native = RouteVectorEnv(2, **settings())
    with pytest.raises(RuntimeError, match="call reset"):
        native.step(np.zeros(2, int))
    with pytest.raises(ValueError, match="the first reset"):
        native.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ValueError, match="2 of them, got 3"):
        native.reset(seed=[1, 2, 3])
    native.reset(seed=1)
    for actions in (np.zeros(3, int), np.array([0, 2]), np.array([0, -1]), np.zeros(2)):
        with pytest.raises(ValueError, match="actions must be integers in"):
            native.step(actions)
    for mask in (np.zeros(2, bool), np.ones(2), [True, True]):
        with pytest.raises(ValueError, match="reset_mask must be"):
            native.reset(options={"reset_mask": mask})


def test_environments_of_a_batch_may_differ():
    """Other scenarios, evictors and reward scales side by side; what they observe and are paid for is one thing."""
    short = {"episode_requests": 12, "warmup_requests": 4}
    variants = [
        {"scenario": "gsp-stable"},
        {"scenario": "chat", "evictor": "lfu"},
        {"scenario": "straggler", "scenario_overrides": {**short, "rate_scale": 0.5}},
    ]
    common = {"horizon": "truncate", "scenario_overrides": short}
    envs = kvgym.make_vec("KVGym/Route-v0", 3, autoreset_mode="SameStep", variants=variants, **common)
    singles = [RouteEnv(**{**common, **given}) for given in variants]
    observations, _ = envs.reset(seed=3)
    for i, env in enumerate(singles):
        assert np.array_equal(env.reset(seed=3 + i)[0], observations[i])
    for worker in range(11):
        observations, rewards, *_ = envs.step(np.full(3, worker % 4))
        for i, env in enumerate(singles):
            seen, reward, *_ = env.step(worker % 4)
            assert np.array_equal(seen, observations[i]) and reward == rewards[i]
    envs.close()


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ([{}], r"variants must be 2 mappings, .* got 1"),
        ([{}, {"scenario": "chat-70b"}], "variants must agree in what they observe"),
        ([{}, {"reward": "ttft"}], "variants must agree in the form of observations, or the reward"),
        ([{}, {"admission": True}], "variants must agree in what they may do"),
    ],
)
def test_variants_that_are_no_batch_are_refused(variants, message):
    with pytest.raises(ValueError, match=message):
        RouteVectorEnv(2, variants=variants)
