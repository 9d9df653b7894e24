"""Every routing agent where workers crash, slow down and fetch pages from each other."""

import gymnasium as gym
import numpy as np
import pytest

from agents import AGENTS, make_agent
from agents.joint.pair import Pair
from agents.joint.rule_pair import RulePair
from kvgym.evaluation import play
from tests import often
from tests.agents.fakes import FakeEnv

CLUSTER = {"workers": [{"model": "llama-3.1-8b", "gpu": "h100", "count": 4}]}
SMALL = {"episode_requests": 300, "warmup_requests": 20, **CLUSTER}
FAULTS = {"crash_every_s": 4.0, "down_s": 2.0, "slow_every_s": 5.0, "slow_s": 2.0, "until_s": 60.0}
CRASHES = {**SMALL, "faults": FAULTS}
TRANSFERS = {
    **SMALL,
    "network": {"per_node": 2, "inside": "nvlink-h100", "between": "ethernet-100g"},
    "transfer": "auto",
}
BOTH = {**TRANSFERS, "faults": FAULTS}
TIGHT = {"workers": [{"kv_tokens": 12288, "kv_bytes_per_token": 131072, "cost": {"c0": 20.0, "k": 0.1}, "count": 4}]}


@pytest.mark.parametrize(("name", "overrides"), often.diagonals(AGENTS, [CRASHES, TRANSFERS, BOTH]))
def test_every_router_serves_all_requests_and_never_names_a_worker_that_is_down(name, overrides):
    episode = play(make_agent(name), "gsp-stable", 0, overrides=overrides)
    assert episode.n_invalid == 0
    assert episode.metrics["n"] == 300
    # A request that comes back is decided about again.
    assert episode.n_actions > 300 if "faults" in overrides else episode.n_actions == 300


@pytest.mark.parametrize("name", ["lbgr", "lbgr_code"])
def test_lbgr_remembers_what_is_in_flight_and_nothing_else(name):
    env = gym.make(
        "kvgym:KVGym/Route-v0", scenario="gsp-stable", scenario_overrides=BOTH, observation="physical"
    ).unwrapped
    agent = make_agent(name)
    observation, info = env.reset(seed=1)
    agent.reset(env, 1)
    over, n = False, 0
    while not over:
        action = agent.act(observation, info)
        run, up = env.simulator.tables["progress"], env.simulator.up()
        there = run[(run["finish_ps"] < 0) & (run["worker"] >= 0) & up[run["worker"]]]
        assert set(agent._sent) == {*there["decision"][there["decision"] >= 0].tolist(), n}
        pairs = zip(there["decision"], there["worker"], strict=True)
        assert all(agent._sent[decision].worker == worker for decision, worker in pairs if decision >= 0)
        n += 1
        observation, _, over, _, info = env.step(action)
    assert n > 300


@pytest.mark.parametrize("scenario_overrides", [CRASHES, BOTH], ids=["crashes", "both"])
@pytest.mark.parametrize(
    "agent", [lambda: Pair("cache_aware", "rlt"), lambda: Pair("lbgr_code", "gdsf"), lambda: RulePair("lbgr", "lru")]
)
def test_pairs(agent, scenario_overrides):
    overrides = {**scenario_overrides, **TIGHT}
    episode = play(agent(), "gsp-stable", 0, overrides=overrides)
    assert episode.n_invalid == 0
    assert episode.metrics["n"] == 300
    assert episode.n_actions > 300


@pytest.mark.parametrize("evictor", ["lru", "gdsf", "random_leaf", "rlt"])
def test_evicting_agents_behind_a_router(evictor):
    overrides = {**BOTH, **TIGHT}
    episode = play(make_agent(evictor), "gsp-stable", 0, overrides=overrides, router="agents:cache_aware")
    assert episode.n_invalid == 0
    assert episode.metrics["n"] == 300


def test_fallen_names_each_worker_once_when_it_goes_down():
    env, agent = FakeEnv(4), make_agent("random")
    masks = [[1, 1, 1, 1], [1, 0, 1, 0], [1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 1]]
    agent.reset(env, 0)
    assert [agent.fallen(env.info(mask=mask)) for mask in masks] == [[], [1, 3], [], [0], [], [2]]
    agent.reset(env, 0)
    assert agent.fallen(env.info(mask=[1, 1, 0, 1])) == [2]  # down from the start


def test_sessions_move_when_their_worker_crashes_and_stay():
    env = gym.make(
        "kvgym:KVGym/Route-v0", scenario="multi-turn", scenario_overrides=CRASHES, observation="physical"
    ).unwrapped
    agent = make_agent("session_affinity")
    observation, info = env.reset(seed=0)
    agent.reset(env, 0)
    up, is_prev = env.layout.workers("up"), env.layout.workers("is_prev")
    home: dict[int, int] = {}
    moved, over = 0, False
    while not over:
        assert np.array_equal(observation[up] > 0, info["action_mask"] > 0)
        worker, session = agent.act(observation, info), info["session"]
        if observation[is_prev].any():
            before = int(observation[is_prev].argmax())
            assert worker == before or not info["action_mask"][before]
            moved += worker != before
            assert home.get(session, before) == before
        home[session] = worker
        observation, _, over, _, info = env.step(worker)
    assert moved > 0
