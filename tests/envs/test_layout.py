"""The table of features: positions, the scaled form, bounds."""

import itertools

import numpy as np
import pytest

from kvgym.envs.features import (
    CANDIDATE_FEATURES,
    DECISION_FEATURES,
    EVICT_FEATURES,
    IDENTITY,
    LINEAR,
    LOGARITHMIC,
    REQUEST_FEATURES,
    WORKER_FEATURES,
)
from kvgym.envs.layout import FORMS, Layout
from kvgym.sim.base.candidate_tables import CANDIDATE
from tests.envs import helpers
from tests.envs.helpers import SMALL, make, make_form, play, random_policy

LAYOUT = Layout(3)


def test_positions():
    assert LAYOUT.size == len(LAYOUT.names) == len(LAYOUT.features) == 14 + 3 * 22
    assert len(set(LAYOUT.names)) == LAYOUT.size
    for feature in REQUEST_FEATURES:
        assert LAYOUT.names[LAYOUT.request(feature.name)] == feature.name
    for feature in WORKER_FEATURES:
        assert LAYOUT.names[LAYOUT.workers(feature.name)] == tuple(f"w{w}.{feature.name}" for w in range(3))
        assert set(LAYOUT.features[LAYOUT.workers(feature.name)]) == {feature}


@pytest.mark.parametrize("layout", [Layout(3, False, True, 4), Layout(3, True, True, 4), Layout(3, False, True)])
def test_positions_of_those_who_evict(layout):
    """Evict leaf, Joint leaf, Evict rule."""
    both, k = 2 * layout.routes, layout.n_candidates
    assert layout.size == len(layout.names) == len(layout.features) == both + 14 + 3 * 22 + 6 + 14 * k
    assert len(set(layout.names)) == layout.size
    assert (
        [layout.names[layout.request(f.name)] for f in DECISION_FEATURES] == ["is_route", "is_evict"] if both else True
    )
    assert layout.request("prompt") == both
    assert layout.names[layout.workers("miss")] == ("w0.miss", "w1.miss", "w2.miss")
    for feature in EVICT_FEATURES:
        assert layout.features[layout.evict(feature.name)] is feature
        assert layout.names[layout.evict(feature.name)] == feature.name
    for feature in CANDIDATE_FEATURES if k else ():
        assert layout.names[layout.candidates(feature.name)] == tuple(f"c{c}.{feature.name}" for c in range(4))
        assert set(layout.features[layout.candidates(feature.name)]) == {feature}
    if not k:
        with pytest.raises(ValueError, match="'depth'"):
            layout.candidates("depth")
    with pytest.raises(ValueError, match=r"need_pages.*'depth'"):
        layout.evict("depth")


def test_candidate_features_are_those_of_the_simulator():
    assert len(CANDIDATE_FEATURES) == len(CANDIDATE.names)
    env = make_form("evict", observation="physical")
    observation, _ = env.reset(seed=0)
    table = env.simulator.candidates()
    for feature, name in zip(CANDIDATE_FEATURES, CANDIDATE.names, strict=True):
        assert observation[env.layout.candidates(feature.name)].tolist() == table[name].astype(np.float32).tolist()


@pytest.mark.parametrize("observation", FORMS)
@pytest.mark.parametrize("form", helpers.FORMS)
def test_kernels_write_every_feature(form, observation):
    """Whatever was in the memory before: a feature of the table that nobody computes would stay what it was."""
    env = make_form(form, observation=observation, more=helpers.MOVING)
    act = env._act_kernel

    def on_old_memory(*arguments):
        arguments[5][:] = np.nan
        return act(*arguments)

    env._act_kernel = on_old_memory
    if form == "route":
        env._has_more = True  # by the kernel `act`, too
    for observation, *_ in play(env, seed=0):
        assert np.isfinite(observation).all()


def test_unknown_names_are_answered_with_those_that_exist():
    with pytest.raises(ValueError, match=r"session_gap.*'miss'"):
        LAYOUT.request("miss")
    with pytest.raises(ValueError, match=r"ttft_ewma.*'prompt'"):
        LAYOUT.workers("prompt")
    with pytest.raises(ValueError, match=r"scaled, physical.*'raw'"):
        LAYOUT.space("raw")


@pytest.mark.parametrize("form", FORMS)
def test_bounds_are_finite(form):
    space = LAYOUT.space(form)
    assert space.dtype == np.float32
    assert (space.low == 0).all() and np.isfinite(space.high).all()
    if form == "scaled":
        assert all(high == 1 for high, f in zip(space.high, LAYOUT.features, strict=True) if f.name != "class")


def scaled_by_hand(layout, physical):
    """The documented transforms; of each feature all its numbers together."""
    x = physical.astype(float)
    for feature in set(layout.features):
        at = [i for i, other in enumerate(layout.features) if other is feature]
        if feature.transform == LOGARITHMIC:
            x[..., at] = np.minimum(1.0, np.log1p(x[..., at] / feature.scale) / np.log1p(feature.cap / feature.scale))
        elif feature.transform == LINEAR:
            x[..., at] = np.minimum(1.0, x[..., at] / feature.cap)
        else:
            assert feature.transform == IDENTITY
    return x


def assert_the_same_episode(physical, scaled):
    """Both show the same numbers, rewards and flags; all observations of the one and of the other."""
    one, other = play(physical, seed=3), play(scaled, seed=3)
    assert [step[1:4] for step in one] == [step[1:4] for step in other]
    raw, small = (np.array([step[0] for step in episode]) for episode in (one, other))
    np.testing.assert_allclose(small, scaled_by_hand(physical.layout, raw), rtol=1e-6)
    return raw, small


@pytest.mark.parametrize("scenario", SMALL)
def test_both_forms_show_the_same(scenario):
    physical, scaled = (make(scenario, observation=form) for form in ("physical", "scaled"))
    raw, small = assert_the_same_episode(physical, scaled)
    for one, other in zip(raw, small, strict=True):
        inside = other < 1
        np.testing.assert_allclose(scaled.layout.physical(other)[inside], one[inside], rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("scenario", ["gsp-stable", "multi-turn", "long-doc", "sanity"])
@pytest.mark.parametrize("form", helpers.FORMS)
def test_both_forms_show_the_same_to_everybody(form, scenario):
    physical, scaled = (make_form(form, scenario, observation=shown) for shown in ("physical", "scaled"))
    for raw, small in zip(*assert_the_same_episode(physical, scaled), strict=True):
        assert physical.observation_space.contains(raw) and scaled.observation_space.contains(small)


def test_values_beyond_a_cap_are_clipped():
    """Three hours between arrivals, and prompts above every cap."""
    more = {
        "recipe_args": {"rate": 1e-4, "lengths": [300_000]},
        "workers": [{"kv_tokens": 400_000, "cost": {"c0": 500_000.0}}] * 2,
        "engine": {"chunk_tokens": 600_000},
        "episode_requests": 12,
        "warmup_requests": 0,
    }
    raw = [step[0] for step in play(make(more=more, observation="physical"), seed=0)]
    scaled = [step[0] for step in play(make(more=more), seed=0)]
    layout = Layout(2)
    for name in ("prompt", "route_gap"):
        at = layout.request(name)
        assert raw[3][at] > layout.features[at].cap
        assert scaled[3][at] == 1.0
    assert all(layout.space("scaled").contains(observation) for observation in scaled)


LOAD = {
    "gsp": {"recipe_args": {"rate": 40.0}},
    "gsp-stable": {"recipe_args": {"rate": 40.0}, "metrics_period_s": 0.0, "view": "exact"},
    "gsp-worst": {"recipe_args": {"rate": 0.05}},
    "multi-turn": {"output_hint_sigma": 1.0},
    "long-doc": {"view": "exact", "recipe_args": {"rate": 100.0}},
    "mixed-fleet": {"recipe_args": {"rate": 1000.0}},
    "straggler": {"recipe_args": {"rate": 1000.0}},
    "failover": {"recipe_args": {"rate": 1000.0}},
    "multi-node-agents": {"recipe_args": {"session_rate": 1000.0}},
    "sanity": {"recipe_args": {"probability": 0.9}},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scenario", SMALL)
def test_every_observation_is_finite_and_in_the_space(scenario, form):
    """Light and heavy load, random actions and everything on one worker; the last observation too."""
    for more in (None, LOAD[scenario]):
        env = make(scenario, more, observation=form)
        for seed, policy in enumerate((random_policy(env.action_space.n), lambda t: 0)):
            for observation, *_ in play(env, policy, seed=seed):
                assert observation.dtype == np.float32 and observation.shape == (env.layout.size,)
                assert np.isfinite(observation).all()
                assert env.observation_space.contains(observation), env.layout.names[observation.argmin()]


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SMALL)
def test_whole_episodes_stay_in_the_space(scenario):
    from kvgym.envs.route import RouteEnv

    for form in FORMS:
        env = RouteEnv(scenario, observation=form)
        low, high = env.observation_space.low, env.observation_space.high
        for observation, *_ in play(env, seed=1):
            assert ((observation >= low) & (observation <= high)).all()


def test_observations_never_share_memory():
    env = make()
    episode = play(env, seed=0)
    assert not any(np.shares_memory(a[0], b[0]) for a, b in itertools.pairwise(episode))
