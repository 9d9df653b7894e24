"""Rewards are latencies: the sum of an episode's rewards is minus the mean latency, in the scenario's scale."""

import numpy as np
import pytest

from kvgym.envs.settings import HORIZONS
from kvgym.scenarios import OBJECTIVES
from kvgym.sim.inspection import seconds
from tests.envs.helpers import SMALL, make, play, total_reward

END = {"e2e": "finish", "ttft": "first_token"}


def counted_records(env):
    """Records of the requests that count, in the order of their indices."""
    records = env.simulator.records()
    return records[env.simulator.tables["progress"]["decision"][records["request"]] >= 0]


def ends_and_price(env, reward):
    """When the requests that count stop to cost, with their end or first token or refused; what the refusals cost."""
    records = counted_records(env)
    refused = seconds(env.simulator.tables["progress"]["refused_ps"][records["request"]])
    ends = records[END[reward]]
    return np.where(np.isnan(ends), refused, ends), env.scenario.refusal_cost_s * (~np.isnan(refused)).sum()


@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize("reward", OBJECTIVES)
@pytest.mark.parametrize("scenario", SMALL)
def test_drained_episodes(scenario, reward, warmup):
    n = 36 - warmup
    env = make(scenario, {"warmup_requests": warmup, "episode_requests": n, "reward_scale_s": 3.7}, reward=reward)
    for seed in range(3):
        total = total_reward(play(env, seed=seed))
        records = counted_records(env)
        assert len(records) == n
        latency = np.mean(records[END[reward]] - records["arrival"])
        assert total * 3.7 / n == pytest.approx(-latency, rel=1e-9)


@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize("reward", OBJECTIVES)
@pytest.mark.parametrize("scenario", SMALL)
def test_truncated_episodes_charge_what_is_in_the_system_up_to_the_end(scenario, reward, warmup):
    n = 20
    env = make(scenario, {"warmup_requests": warmup, "episode_requests": n}, reward=reward, horizon="truncate")
    for seed in range(3):
        episode = play(env, seed=seed)
        end = episode[-1][4]["time"]
        records = counted_records(env)
        assert len(records) == n
        latency = np.fmin(records[END[reward]], end) - records["arrival"]
        assert total_reward(episode) * env.scenario.reward_scale_s == pytest.approx(-latency.sum(), rel=1e-9)


def test_a_step_pays_for_its_own_time_only():
    """Between two decisions the number of requests in the system falls; its integral is the step's reward."""
    env = make("gsp-stable")
    episode = play(env, seed=2)
    records = counted_records(env)
    times = [step[4]["time"] for step in episode]
    for begin, end, step in zip(times, times[1:], episode[1:], strict=False):
        inside = np.fmin(records["finish"], end) - np.fmax(records["arrival"], begin)
        assert step[1] * env.scenario.reward_scale_s == pytest.approx(-np.fmax(inside, 0).sum(), rel=1e-9, abs=1e-11)
        assert step[4]["dt"] == end - begin


@pytest.mark.parametrize("horizon", HORIZONS)
def test_reward_follows_the_objective_unless_named(horizon):
    def total(objective, reward):
        return total_reward(play(make(more={"objective": objective}, reward=reward, horizon=horizon), seed=0))

    assert total("e2e", None) == total("ttft", "e2e") < total("ttft", None) == total("e2e", "ttft") < 0


def test_metrics_agree_with_the_reward():
    for objective in OBJECTIVES:
        env = make(more={"objective": objective})
        episode = play(env, seed=0)
        metrics = episode[-1][4]["episode_metrics"]
        assert metrics["n"] == env.scenario.episode_requests
        assert metrics["J"] == pytest.approx(
            -total_reward(episode) * env.scenario.reward_scale_s / metrics["n"], rel=1e-9
        )
        assert metrics["J"] == metrics[f"{objective}_mean"]
