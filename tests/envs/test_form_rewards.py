"""Rewards of every id in every form: they add up to the mean latency, and no time is charged where none passes."""

import numpy as np
import pytest

from kvgym.scenarios import OBJECTIVES
from tests.envs.helpers import ASKED, FORMS, make_form, play, total_reward
from tests.envs.test_rewards import counted_records, ends_and_price

SCENARIOS = ("gsp-stable", "multi-turn", "long-doc", "sanity")


@pytest.mark.parametrize("reward", OBJECTIVES)
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("form", FORMS)
def test_drained_episodes(form, scenario, reward):
    env = make_form(
        form, scenario, {"warmup_requests": 6, "episode_requests": 30, "reward_scale_s": 3.7}, reward=reward
    )
    for seed in range(2):
        episode = play(env, seed=seed)
        records = counted_records(env)
        ends, price = ends_and_price(env, reward)
        latency = (np.sum(ends - records["arrival"]) + price) / 30
        assert len(records) == 30 and episode[-1][2:4] == (True, False)
        assert total_reward(episode) * 3.7 / 30 == pytest.approx(-latency, rel=1e-9)
        metrics = episode[-1][4]["episode_metrics"]
        assert metrics["n"] == 30
        if reward == env.scenario.objective:
            assert metrics["J"] == pytest.approx(latency)
        assert price > 0 or metrics[f"{reward}_mean"] == pytest.approx(latency)


@pytest.mark.parametrize("reward", OBJECTIVES)
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("form", FORMS)
def test_truncated_episodes(form, scenario, reward):
    """What is in the system is charged up to the end."""
    more = {"warmup_requests": 6, "episode_requests": 20}
    env = make_form(form, scenario, more, reward=reward, horizon="truncate")
    episode = play(env, seed=1)
    assert episode[-1][2:4] == (False, True)
    records = counted_records(env)
    assert len(records) == 20
    ends, price = ends_and_price(env, reward)
    latency = np.fmin(ends, episode[-1][4]["time"]) - records["arrival"]
    assert total_reward(episode) * env.scenario.reward_scale_s == pytest.approx(-latency.sum() - price, rel=1e-9)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("form", [form for form in FORMS if form != "route-admission"])
def test_a_step_pays_for_its_own_time(form, scenario):
    """The first one for all before it too; evictions of one start cost nothing."""
    env = make_form(form, scenario, {"warmup_requests": 0, "episode_requests": 36})
    episode = play(env, seed=2)
    records = counted_records(env)
    times = np.array([step[4]["time"] for step in episode])
    dt = np.array([step[4]["dt"] for step in episode])
    rewards = np.array([step[1] for step in episode])
    assert dt[0] == rewards[0] == 0.0
    assert dt[1:].tolist() == np.diff(times).tolist()
    assert (rewards[2:][dt[2:] == 0] == 0).all()
    if form == "evict-one" and scenario in ("gsp-stable", "long-doc"):
        assert (dt == 0).sum() > 200
    begins = [0.0, *times[1:-1]]
    for begin, end, paid in zip(begins, times[1:], rewards[1:], strict=True):
        inside = np.fmin(records["finish"], end) - np.fmax(records["arrival"], begin)
        assert paid * env.scenario.reward_scale_s == pytest.approx(-np.fmax(inside, 0).sum(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("horizon", ["drain", "truncate"])
@pytest.mark.parametrize("form", ASKED)
def test_an_episode_in_which_nothing_is_evicted_has_one_step(form, horizon):
    """Joint-v0 routes all the same."""
    env = make_form(form, "sanity", horizon=horizon)
    for seed in (0, None):
        if form == "joint-leaf":
            assert len(play(env, seed=seed)) == 41
            continue
        observation, info = env.reset(seed=seed)
        assert info["action_mask"].tolist() == [1] + [0] * (env.action_space.n - 1) == env.action_masks().tolist()
        assert info["session"] == -1 and info["time"] == env.simulator.now > 0
        last, reward, terminated, truncated, info = env.step(3)  # stands for 0
        assert env.n_invalid == 1
        assert last.tolist() == observation.tolist()
        assert (terminated, truncated) == (horizon == "drain", horizon == "truncate")
        assert reward < 0 and info["dt"] == 0.0 and info["episode_metrics"]["n"] > 0
        assert env.action_masks().all() and info["action_mask"].all()
        with pytest.raises(RuntimeError, match="reset"):
            env.step(0)
