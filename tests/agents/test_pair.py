"""Pairs: each half sees what it would see in its own environment."""

import numpy as np
import pytest

from agents import make_agent
from agents.joint.pair import Pair
from agents.joint.rule_pair import RulePair
from kvgym.envs.evict import EvictEnv
from kvgym.envs.layout import Layout
from kvgym.evaluation import play
from tests.envs.helpers import MOVING

SMALL = {"warmup_requests": 40, "episode_requests": 600}
BOTH = pytest.mark.parametrize("scenario", ["gsp-stable", "multi-turn"])


class Recorder:
    """Acts as another agent does, and notes all that it is shown."""

    def __init__(self, name, observation=None):
        self.inner = make_agent(name)
        self.observation = observation or self.inner.observation
        self.environment, self.env_kwargs = self.inner.environment, self.inner.env_kwargs

    def reset(self, env, seed):
        self.env = env.unwrapped
        self.spaces = (env.action_space, env.observation_space)
        self.layout = self.env.layout
        self.seen, self.finished, self.masks = [], [], []
        self.inner.reset(env, seed)

    def act(self, observation, info):
        self.seen.append((observation.tolist(), {**info, "action_mask": info["action_mask"].tolist()}))
        self.seen[-1] += (self.env.prompt_pages().tolist(), self.env.action_masks().tolist())
        self.finished.append(self.env.finished().tolist())
        return self.inner.act(observation, info)


@BOTH
@pytest.mark.parametrize("router", ["lbgr_code", "power_of_two", "cache_aware"])
def test_with_lru_a_pair_plays_as_route_v0_with_lru(scenario, router):
    alone, paired = Recorder(router), Recorder(router)
    route = play(alone, scenario, 1, overrides=SMALL, evictor="lru")
    joint = play(Pair(paired, "lru"), scenario, 1, overrides=SMALL)
    assert joint.metrics == route.metrics
    assert paired.seen == alone.seen
    assert paired.finished == alone.finished
    assert (paired.spaces, paired.layout) == (alone.spaces, alone.layout)
    assert joint.n_actions > route.n_actions


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("evictor", ["lru", "random_leaf", "gdsf", "rlt"])
def test_a_pair_plays_as_evict_v0_with_its_router(scenario, evictor):
    alone, paired = Recorder(evictor), Recorder(evictor)
    evict = play(alone, scenario, 1, overrides=SMALL, router="agents:lbgr_code")
    joint = play(Pair("lbgr_code", paired), scenario, 1, overrides=SMALL)
    assert joint.metrics == evict.metrics
    assert paired.seen == alone.seen
    assert (paired.spaces, paired.layout) == (alone.spaces, alone.layout)
    assert joint.n_invalid == evict.n_invalid == 0


MOVES = {**MOVING, "warmup_requests": 4, "episode_requests": 150, "recipe_args": {"lengths": [512, 1024, 2048]}}


@pytest.mark.parametrize("off", [{"faults": {}}, {"transfer": "never"}])
def test_a_router_where_pages_move_or_workers_fail(off):
    """It sees what could be fetched, and which workers are up, as it would alone.

    Where both happen, the leaf that slot 0 gives up may be longer than the oldest pages: a transfer touches a part of a
    path on its source and shows no boundary there.
    """
    more = {**MOVES, **off}
    alone, paired = Recorder("lbgr_code"), Recorder("lbgr_code")
    route = play(alone, "gsp-stable", 1, overrides=more, evictor="lru")
    joint = play(Pair(paired, "lru"), "gsp-stable", 1, overrides=more)
    assert (joint.metrics, paired.seen, paired.layout) == (route.metrics, alone.seen, alone.layout)
    assert route.metrics["returns"] + route.metrics["fetched_tokens"] > 0


def test_an_evictor_where_pages_move_and_workers_fail():
    alone, paired = Recorder("rlt"), Recorder("rlt")
    evict = play(alone, "gsp-stable", 1, overrides=MOVES, router="agents:lbgr_code")
    joint = play(Pair("lbgr_code", paired), "gsp-stable", 1, overrides=MOVES)
    assert (joint.metrics, paired.seen, paired.layout) == (evict.metrics, alone.seen, alone.layout)
    assert evict.metrics["returns"] > 0 and evict.metrics["fetched_tokens"] > 0


def test_each_half_hears_of_all_that_finished_since_its_own_last_decision():
    router, evictor = Recorder("lbgr_code"), Recorder("lru")
    play(Pair(router, evictor), "gsp-stable", 0, overrides=SMALL)
    for half in (router, evictor):
        before = 0.0
        for (_, info, *_), rows in zip(half.seen, half.finished, strict=True):
            assert all(before <= row[4] <= info["time"] for row in rows)
            before = info["time"]
        told = [tuple(row) for rows in half.finished for row in rows]
        assert len(told) == len(set(told)) > 300
    assert evictor.seen[0][1]["dt"] == router.seen[0][1]["dt"] == 0.0


def test_halves_may_want_different_forms():
    alone, paired = Recorder("round_robin", "scaled"), Recorder("round_robin", "scaled")
    route = play(alone, "gsp-stable", 0, overrides=SMALL, evictor="lru")
    pair = Pair(paired, "lru")
    assert pair.observation == "physical"
    assert play(pair, "gsp-stable", 0, overrides=SMALL).metrics == route.metrics
    shown, expected = (np.array([row[0] for row in half.seen]) for half in (paired, alone))
    assert np.abs(shown - expected).max() < 2e-6
    assert paired.spaces == alone.spaces


def test_two_that_want_scaled_observations_get_those_of_the_environment():
    class Scaled:
        observation, environment, env_kwargs = "scaled", "KVGym/Evict-v0", {"candidates": 2}

        def reset(self, env, seed):
            pass

        def act(self, observation, info):
            assert observation.max() <= max(1, Layout(4).n_workers)
            return 0

    pair = Pair(Recorder("round_robin", "scaled"), Scaled())
    assert pair.observation == "scaled"
    assert play(pair, "gsp-stable", 0, overrides=SMALL).n_actions > 600


def test_scaling_is_that_of_the_environment():
    physical, scaled = (EvictEnv("gsp-stable", observation=form) for form in ("physical", "scaled"))
    shown, _ = physical.reset(seed=0)
    expected, _ = scaled.reset(seed=0)
    for _ in range(50):
        assert np.abs(physical.layout.scaled(shown) - expected).max() < 2e-6
        shown, expected = physical.step(0)[0], scaled.step(0)[0]


def test_an_action_of_the_other_half_is_an_error():
    class Beyond(Recorder):
        def act(self, observation, info):
            return len(info["action_mask"])

    for pair in (Pair(Beyond("round_robin"), "lru"), Pair("round_robin", Beyond("lru"))):
        with pytest.raises(ValueError, match=r"Beyond: action must be 0 to \d, got \d"):
            play(pair, "gsp-stable", 0, overrides=SMALL)


@BOTH
def test_a_rule_pair_plays_as_route_v0_with_the_rule_of_the_scenario(scenario):
    alone, paired = Recorder("lbgr_code"), Recorder("lbgr_code")
    route = play(alone, scenario, 1, overrides=SMALL, evictor="lru")
    joint = play(RulePair(paired, "lru"), scenario, 1, overrides=SMALL)
    assert joint.metrics == route.metrics
    assert paired.finished == alone.finished
    assert [row[:1] + row[2:3] for row in paired.seen] == [row[:1] + row[2:3] for row in alone.seen]
    assert [row[1] for row in paired.seen] == [row[1] for row in alone.seen]


def test_pairs_ask_for_the_view_of_their_router():
    assert Pair("dynamo", "lru").env_kwargs["view"] == RulePair("mooncake", "lru").env_kwargs["view"] == "exact"
    assert RulePair("mooncake", "lru").env_kwargs["action"] == "rule"
    assert "view" not in Pair("llmd", "lru").env_kwargs


def test_a_rule_pair_names_another_rule():
    rules = ("lru", "lfu", "lru_k")  # the last one is not among the rules of version 0
    lru, lfu, lru_k = (play(RulePair("lbgr_code", rule), "gsp-stable", 1, overrides=SMALL) for rule in rules)
    assert lru.J not in (lfu.J, lru_k.J)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pair("rlt", "lru"), "router must be an agent of KVGym/Route-v0, rlt plays KVGym/Evict-v0"),
        (lambda: Pair("lbgr", "random"), "evictor must be an agent of KVGym/Evict-v0, random plays KVGym/Route-v0"),
        (lambda: Pair("lbgr", make_agent("lbgr")), "evictor must be an agent of KVGym/Evict-v0, Lbgr plays"),
        (lambda: Pair("best", "lru"), "agent must be one of"),
        (lambda: RulePair("lru", "lru"), "router must be an agent of KVGym/Route-v0, lru plays"),
        (lambda: RulePair("lbgr", "belady"), "rule must be one of lru, .*; got 'belady'"),
    ],
)
def test_halves_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_evictor_that_chooses_rules_is_refused():
    evictor = Recorder("lru")
    evictor.env_kwargs = {"action": "rule"}
    with pytest.raises(ValueError, match="evictor must choose leaves, it chooses rules"):
        Pair("lbgr", evictor)
