"""Which actions are legal, what becomes of those that are not, and what is refused."""

import copy
import itertools

import numpy as np
import pytest

from tests.envs.helpers import FORMS, go_on, make_form, random_actions, steps


def expected_mask(env):
    """From what the simulator says."""
    clock = env.simulator.tables["clock"][0]
    asks = bool(clock["asking"] >= 0)
    slots = env.simulator.candidates()["valid"].tolist() if asks else [False] * env.layout.n_candidates
    if env.layout.routes and env.layout.evicts:
        return [not asks] * env.layout.n_workers + slots
    if env.layout.n_candidates:
        return slots
    return [True] * len(env.action_masks())


@pytest.mark.parametrize("scenario", ["gsp-stable", "long-doc"])
@pytest.mark.parametrize("form", FORMS)
def test_masks_say_what_is_legal(form, scenario):
    env = make_form(form, scenario)
    masks = []
    for _, _, terminated, _, info in steps(env, random_actions(env), seed=0):
        mask, shown = env.action_masks(), info["action_mask"]
        assert (mask.dtype, shown.dtype) == (np.bool_, np.int8)
        assert mask.tolist() == shown.tolist() == ([True] * len(mask) if terminated else expected_mask(env))
        masks += [mask, shown]
    space = env.action_space
    assert len(masks[0]) == (space.n if hasattr(space, "n") else sum(space.nvec))
    if env.layout.n_candidates:
        assert len({mask.sum() for mask in masks}) > 1  # some slots are empty at times
    assert not any(np.shares_memory(a, b) for a, b in itertools.combinations(masks[:40], 2))
    for mask in (masks[-1], masks[-2]):
        mask[:] = 0
    assert env.action_masks().all()


@pytest.mark.parametrize("form", ["evict", "evict-one", "evict-agent", "joint-leaf"])
def test_an_illegal_action_stands_for_a_legal_one(form):
    env = make_form(form, "long-doc")
    env.reset(seed=3)
    rng, found, done = np.random.default_rng(0), 0, False
    while not done and found < 20:
        legal = np.flatnonzero(env.action_masks())
        illegal = np.flatnonzero(~env.action_masks())
        if len(illegal) > 0:
            action = int(rng.choice(illegal))
            twin, before = copy.deepcopy(env), env.n_invalid
            a, b = env.step(action), twin.step(int(legal[action % len(legal)]))
            assert (env.n_invalid, twin.n_invalid) == (before + 1, before)
            assert a[0].tolist() == b[0].tolist() and a[1:4] == b[1:4]
            found, done = found + 1, a[2]
        else:
            done = env.step(int(rng.choice(legal)))[2]
    assert found > 5
    env.reset()
    assert env.n_invalid == 0


OUTSIDE = [-1, 10**6, 1.0, "1", None, [1, 2, 3], np.array([0.5, 0.5])]


@pytest.mark.parametrize("form", FORMS)
def test_an_action_outside_the_space_is_refused(form):
    env = make_form(form, "long-doc")
    with pytest.raises(RuntimeError, match="reset"):
        env.step(random_actions(env)(0))
    env.reset(seed=0)
    time, policy = env.simulator.now, random_actions(env)
    outside = OUTSIDE + ([(0, 99), (99, 0), (-1, 0), (0, -1), 0, (0,), (0, 1.5)] if form == "joint" else [(0, 1)])
    for action in outside:
        with pytest.raises(ValueError, match="action must be") as refusal:
            env.step(action)
        assert form == "joint" or repr(action) in str(refusal.value)
    assert env.simulator.now == time
    assert getattr(env, "n_invalid", 0) == 0
    last = list(go_on(env, policy, 0))[-1]
    with pytest.raises(RuntimeError, match="reset"):
        env.step(policy(0))
    assert last[2]


def test_the_messages_name_the_space():
    messages = {
        "evict": "action must be a slot from 0 to 15, got 99",
        "evict-rule": "action must be the number of a rule from 0 to 12, got 99",
        "joint-leaf": "action must be a worker or slot from 0 to 18, got 99",
        "joint": r"action must be a pair \(worker, number of a rule\), got 99",
    }
    for form, message in messages.items():
        env = make_form(form)
        env.reset(seed=0)
        with pytest.raises(ValueError, match=message):
            env.step(99)


@pytest.mark.parametrize("form", ["evict", "joint-leaf", "joint"])
def test_maskable_ppo_learns_on_them(form):
    sb3_contrib = pytest.importorskip("sb3_contrib", reason="sb3-contrib is not installed")
    env = make_form(form, "gsp-stable")
    kwargs = {"n_steps": 64, "batch_size": 32, "n_epochs": 1, "device": "cpu", "policy_kwargs": {"net_arch": [16]}}
    model = sb3_contrib.MaskablePPO("MlpPolicy", env, seed=0, **kwargs)
    env.n_invalid, counted = 0, []
    step = env.step

    def watched(action):
        result = step(action)
        counted.append(env.n_invalid)
        return result

    env.step = watched
    model.learn(256)
    assert len(counted) >= 256 and max(counted) == 0  # it never chose what is not legal
