"""RewardVector: parts that add up to the reward, and counts that add up to the metrics."""

import gymnasium as gym
import numpy as np
import pytest

import kvgym
from kvgym.wrappers import RewardVector, VectorRewardVector
from tests.envs.helpers import ASKED, FORMS, play, pressed
from tests.wrappers.batches import FAULTY

SLO = {"slo_ttft_s": 0.1, "slo_tpot_s": 0.012, "reward_scale_s": 7.0}


def made(form, more=None, **kwargs):
    name, arguments = FORMS[form]
    overrides = pressed("gsp-stable", **SLO, **(more or {}))
    overrides["workers"] = [{**worker, "gpus": 2} for worker in overrides["workers"]]
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
        assert total[2] == round((1 - metrics["slo_attainment"]) * metrics["n"]) > 0
        assert total[3] == pytest.approx(metrics["busy_s"] * 2, rel=1e-9)
        assert total[4] == (counted["prompt_tokens"] - counted["hit_tokens"]).sum() > 0
        assert total[:2].sum() * SLO["reward_scale_s"] / metrics["n"] == pytest.approx(metrics["e2e_mean"], rel=1e-9)


def test_without_objectives_none_is_missed():
    env = RewardVector(gym.make("KVGym/Route-v0", scenario_overrides=pressed("gsp-stable", slo_ttft_s=0, slo_tpot_s=0)))
    assert np.sum([step[1] for step in play(env, seed=0)[1:]], axis=0)[2] == 0


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
@pytest.mark.parametrize("form", [*FORMS])
def test_the_native_vector_form_pays_the_same(form, mode):
    """Bit for bit, whatever is reset when."""
    name, arguments = FORMS[form]
    n, settings = 3, {"scenario_overrides": pressed("gsp-stable", **SLO, episode_requests=12), **arguments}
    envs = VectorRewardVector(kvgym.make_vec(name, n, autoreset_mode=mode, **settings))
    single = [RewardVector(gym.make(name, **settings).unwrapped) for _ in range(n)]
    envs.reset(seed=4)
    for i, env in enumerate(single):
        env.reset(seed=4 + i)
    envs.action_space.seed(0)
    over = np.zeros(n, bool)
    ends = 0
    while ends < 5:
        if mode == "Disabled" and over.any():
            envs.reset(options={"reset_mask": over})
        actions = envs.action_space.sample()
        _, rewards, terminated, truncated, _ = envs.step(actions)
        assert rewards.dtype == np.float64 and rewards in envs.reward_space
        for i, env in enumerate(single):
            if over[i]:
                env.reset()
            if over[i] and mode == "NextStep":
                assert not rewards[i].any()
                continue
            assert rewards[i].tolist() == env.step(actions[i])[1].tolist()
        over = terminated | truncated
        ends += int(over.sum())
    envs.close()


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
