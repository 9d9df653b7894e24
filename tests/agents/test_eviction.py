"""Eviction agents against hand-computed decisions, and in the environment."""

import numpy as np
import pytest

from agents import EVICTION_AGENTS, make_agent
from agents.eviction.rlt import Rlt
from kvgym.evaluation import play
from tests.agents.fakes import FakeEnv, started

SMALL = {"warmup_requests": 40, "episode_requests": 600}


def choice(agent, env, worker=0, time=0.0, mask=None, **candidates):
    mask = [1] * env.layout.n_candidates if mask is None else mask
    return agent.act(env.offer(worker, **candidates), env.info(time, mask))


def test_lru_takes_the_oldest():
    env = FakeEnv(slots=2)
    assert choice(started(make_agent("lru"), env), env, idle=[1, 9]) == 0


@pytest.mark.parametrize("slots", [2, 16])
def test_rlt_takes_the_first_draw(slots):
    env = FakeEnv(slots=slots)
    assert choice(started(make_agent("rlt"), env), env) == slots // 2


def test_rlt_frees_one_page_at_a_time():
    assert make_agent("rlt").env_kwargs["quantum"] == 1
    assert make_agent("rlt", quantum="leaf").env_kwargs["quantum"] == "leaf"
    with pytest.raises(ValueError, match=r"quantum must be 1 or \"leaf\", got 2"):
        Rlt(quantum=2)


def test_a_random_leaf_is_uniform_over_the_filled_slots():
    env = FakeEnv(slots=4)
    agent = started(make_agent("random_leaf"), env)
    drawn = [choice(agent, env, mask=[1, 0, 1, 1]) for _ in range(3000)]
    assert set(drawn) == {0, 2, 3}
    assert all(900 < drawn.count(slot) < 1100 for slot in (0, 2, 3))


def test_evictors_are_not_in_step_with_routers_of_the_same_seed():
    router, evictor = (
        started(make_agent("random"), FakeEnv(4), 7),
        started(make_agent("random_leaf"), FakeEnv(slots=4), 7),
    )
    route, leaves = FakeEnv(4), FakeEnv(slots=4)
    routed = [router.act(route.observation(), route.info()) for _ in range(40)]
    assert routed != [choice(evictor, leaves) for _ in range(40)]


def gdsf(env):
    return started(make_agent("gdsf", candidates=env.layout.n_candidates), env)


def test_gdsf_takes_the_least_value_per_page():
    env = FakeEnv(slots=4)
    # (hits + 1) cost / size: 3 x 2 / 2 = 3; 1 x 8 / 2 = 4; 2 x 4 / 4 = 2; the last slot is empty.
    leaves = {"hits": [2, 0, 1, 0], "recompute": [2, 8, 4, 0], "tail_pages": [2, 2, 4, 0], "idle": [1, 1, 1, 0]}
    assert choice(gdsf(env), env, mask=[1, 1, 1, 0], **leaves) == 2
    assert choice(gdsf(env), env, mask=[1, 1, 0, 0], **leaves) == 0
    assert choice(gdsf(env), env, recompute=[1] * 4, tail_pages=[1] * 4) == 0  # the first of equals


def test_what_was_used_after_an_eviction_of_gdsf_starts_higher():
    env = FakeEnv(slots=2)
    leaves = {"recompute": [5, 7], "tail_pages": [1, 1]}
    agent = gdsf(env)
    assert choice(agent, env, time=10.0, idle=[1, 1], **leaves) == 0  # the inflation of worker 0 becomes 5
    # Used at 8 and at 15: 7 against 5 + 3.
    later = {"recompute": [3, 7], "tail_pages": [1, 1], "idle": [5, 12]}
    assert choice(agent, env, time=20.0, **later) == 1
    # Another worker has its own inflation: 7 against 3.
    assert choice(agent, env, worker=1, time=20.0, **later) == 0
    # It is 7 on worker 0 by now, and an episode later 0.
    assert choice(agent, env, time=30.0, recompute=[3, 9], tail_pages=[1, 1], idle=[5, 29]) == 1
    assert choice(started(agent, env), env, time=30.0, recompute=[3, 9], tail_pages=[1, 1], idle=[5, 29]) == 0


def test_the_inflation_of_gdsf_never_falls_and_is_kept_once_per_moment():
    env = FakeEnv(slots=2)
    agent = gdsf(env)
    for time, cost in ((1.0, 4), (1.0, 5), (2.0, 3), (3.0, 6)):
        choice(agent, env, time=time, recompute=[cost, 99], tail_pages=[1, 1], idle=[time, time])
    assert agent._times[0] == [1.0, 3.0]
    assert agent._inflation[0] == [0.0, 5.0, 6.0]


@pytest.mark.parametrize("name", EVICTION_AGENTS)
def test_an_evictor_in_the_place_of_a_router_is_an_error(name):
    with pytest.raises(ValueError, match=r"evicts: it can't be the router, it plays KVGym/Evict-v0"):
        started(make_agent(name), FakeEnv())
    with pytest.raises(ValueError, match="router"):
        play(make_agent("lru"), "multi-turn", 0, router=f"agents:{name}")


@pytest.mark.parametrize("name", EVICTION_AGENTS)
def test_every_agent_plays_legal_actions_and_repeats_itself(name):
    first, again = (
        play(make_agent(name), "gsp-stable", 2, overrides=SMALL, router="agents:lbgr_code") for _ in range(2)
    )
    assert first.n_invalid == 0
    assert first.n_actions > 100
    assert (first.actions_sha256, first.metrics) == (again.actions_sha256, again.metrics)


@pytest.mark.parametrize("scenario", ["gsp-stable", "multi-turn"])
@pytest.mark.parametrize("router", ["least_loaded", "lbgr_code"])
def test_lru_as_an_agent_is_the_evictor_lru(scenario, router):
    agent = play(make_agent("lru"), scenario, 1, overrides=SMALL, router=f"agents:{router}")
    evictor = play(make_agent(router), scenario, 1, overrides=SMALL, evictor="lru")
    assert agent.metrics == evictor.metrics


@pytest.mark.slow
def test_rlt_as_an_agent_performs_as_the_evictor_rlt():
    """The same law, other draws: over twelve seeds the hit rates agree."""
    short = {"warmup_requests": 512, "episode_requests": 1024}
    rates = np.array(
        [
            (
                play(make_agent("rlt"), "gsp-stable", seed, overrides=short, router="agents:lbgr_code").metrics[
                    "hit_rate"
                ],
                play(make_agent("lbgr_code"), "gsp-stable", seed, overrides=short, evictor="rlt").metrics["hit_rate"],
                play(make_agent("lbgr_code"), "gsp-stable", seed, overrides=short, evictor="lru").metrics["hit_rate"],
            )
            for seed in range(12)
        ]
    )
    difference = rates[:, 0] - rates[:, 1]
    assert abs(difference.mean()) < 4 * difference.std(ddof=1) / np.sqrt(len(rates))
    assert (rates[:, 0] > rates[:, 2]).all()
