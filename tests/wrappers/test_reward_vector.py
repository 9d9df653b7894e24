"""RewardVector: parts that add up to the reward, and counts that add up to the metrics."""

import gymnasium as gym
import numpy as np
import pytest

from kvgym.wrappers import RewardVector
from tests.envs.helpers import ASKED, FORMS, play, pressed
from tests.wrappers.batches import FAULTY

SLO = {"slo_ttft_s": 0.1, "slo_tpot_s": 0.012, "reward_scale_s": 7.0}


def made(form, more=None, **kwargs):
    name, arguments = FORMS[form]
    overrides = pressed("gsp-stable", **SLO, **(more or {}))
    return gym.make(name, scenario_overrides=overrides, **arguments, **kwargs).unwrapped


BOTH = pytest.mark.parametrize("more", [{}, FAULTY], ids=["plain", "faulty"])


@BOTH
@pytest.mark.parametrize("horizon", ["drain", "truncate"])
@pytest.mark.parametrize("form", FORMS)
def test_waiting_and_decoding_add_up_to_the_reward(form, horizon, more):
    vectors = np.array([step[1] for step in play(RewardVector(made(form, more, horizon=horizon)), seed=2)[1:]])
    e2e = [step[1] for step in play(made(form, more, horizon=horizon, reward="e2e"), seed=2)[1:]]
    ttft = [step[1] for step in play(made(form, more, horizon=horizon, reward="ttft"), seed=2)[1:]]
    assert vectors[:, 0] + vectors[:, 1] == pytest.approx(e2e, rel=1e-9, abs=1e-9)
    assert vectors[:, 0] == pytest.approx(ttft, rel=1e-9, abs=1e-9)
    assert (vectors <= 0).all() and (vectors[:, :2].sum(0) < 0).all()
    assert sum(e2e) != pytest.approx(sum(ttft))


@BOTH
@pytest.mark.parametrize("form", ["route", "joint", "joint-leaf", *ASKED[:2]])
def test_counts_add_up_to_the_metrics(form, more):
    env = RewardVector(made(form, more))
    for seed in (2, None):  # the second episode starts from nothing, too
        episode = play(env, seed=seed)
        total = -np.sum([step[1] for step in episode[1:]], axis=0)
        sim, metrics = env.unwrapped.simulator, episode[-1][4]["episode_metrics"]
        records = sim.records()
        counted = records[sim.tables["progress"]["decision"][records["request"]] >= 0]
        ttft = counted["first_token"] - counted["arrival"]
        tpot = (counted["finish"] - counted["first_token"]) / np.maximum(1, counted["output_tokens"] - 1)
        assert total[2] == (ttft > SLO["slo_ttft_s"]).sum() > 0
        assert total[3] == ((tpot > SLO["slo_tpot_s"]) & (counted["output_tokens"] > 1)).sum() > 0
        assert total[4] == (counted["prompt_tokens"] - counted["hit_tokens"]).sum() > 0
        both = (ttft > SLO["slo_ttft_s"]) | (tpot > SLO["slo_tpot_s"])
        assert metrics["slo_attainment"] == pytest.approx(1 - both.mean())
        assert total[:2].sum() * SLO["reward_scale_s"] / metrics["n"] == pytest.approx(metrics["e2e_mean"], rel=1e-9)


def test_without_objectives_none_is_missed():
    env = RewardVector(gym.make("KVGym/Route-v0", scenario_overrides=pressed("gsp-stable", slo_ttft_s=0, slo_tpot_s=0)))
    assert np.sum([step[1] for step in play(env, seed=0)[1:]], axis=0)[2:4].tolist() == [0, 0]


def test_what_mo_gymnasium_asks_for():
    env = RewardVector(made("route"))
    inside = env.unwrapped
    assert inside.reward_space.shape == (inside.reward_dim,) == (len(inside.reward_names),) == (5,)
    for _, reward, *_ in play(env, seed=0)[1:]:
        assert reward.dtype == np.float64 and reward in inside.reward_space


@pytest.mark.filterwarnings("ignore")
def test_wrappers_of_mo_gymnasium():
    mo = pytest.importorskip("mo_gymnasium.wrappers", reason="mo-gymnasium is not installed")
    weight = np.array([1.0, 1.0, 0.0, 0.0, 0.0])
    env = mo.LinearReward(RewardVector(made("route")), weight)
    plain = [step[1] for step in play(made("route", reward="e2e"), seed=3)[1:]]
    assert [step[1] for step in play(env, seed=3)[1:]] == pytest.approx(plain, rel=1e-9)
    episode = play(mo.MORecordEpisodeStatistics(RewardVector(made("route")), gamma=1.0), seed=3)
    assert episode[-1][4]["episode"]["r"][:2].sum() == pytest.approx(sum(plain), rel=1e-4)
