"""What comes back from every id in every form, and what can be asked of it."""

import gymnasium as gym
import numpy as np
import pytest

from tests.envs.helpers import ASKED, FORMS, SMALL, make_form, play, pressed, random_actions, steps

INFO = {"action_mask", "dt", "time", "session"}


@pytest.mark.parametrize("scenario", sorted(SMALL))
@pytest.mark.parametrize("form", FORMS)
def test_what_comes_back(form, scenario):
    if (form, scenario) in (("evict-one", "gsp"), ("evict-one", "gsp-worst")):
        scenario = "gsp-stable"  # of pages of one token: too many decisions
    env = make_form(form, scenario)
    last = False
    for observation, reward, terminated, truncated, info in steps(env, random_actions(env), seed=0):
        assert not last
        last = terminated or truncated
        assert set(info) == (INFO | {"episode_metrics"} if last else INFO)
        assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool) and reward <= 0
        assert (type(info["dt"]), type(info["time"]), type(info["session"])) == (float, float, int)
        assert observation.dtype == np.float32 and observation.shape == env.observation_space.shape
        clock = env.simulator.tables["clock"][0]
        worker = env.simulator.tables["workers"][clock["asking"]]
        due = int(worker["asker"] if clock["asking"] >= 0 else clock["request"])
        assert info["session"] == (env.workload.requests["session"][due] if due >= 0 else -1)
        assert due >= 0 or last or (form in ASKED and info["action_mask"].sum() == 1)
        assert info["time"] == env.simulator.now


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_finished_rows_are_the_requests_that_ended_since_the_last_decision(form):
    """Each request is in one of the reports, whoever else has decided something in between."""
    env = make_form(form, "long-doc")
    rows, times = [], [-1.0]
    for *_, info in steps(env, random_actions(env), seed=1):
        part = env.finished()
        assert ((part[:, 4] > times[-1]) & (part[:, 4] <= info["time"])).all()
        rows.append(part)
        times.append(info["time"])
        assert env.n_finished() == sum(map(len, rows))
        for first in (0, env.n_finished() // 2, env.n_finished()):
            assert env.finished(first).tolist() == np.concatenate(rows)[first:].tolist()
    with pytest.raises(ValueError, match="first must be an integer >= 0, got -1"):
        env.finished(-1)
    run = env.simulator.tables["progress"]
    refused = run["decision"][run["refused_ps"] >= 0]
    assert sorted([*np.concatenate(rows)[:, 0], *refused]) == list(range(-5, 45))
    assert (len(refused) > 0) == (form == "route-admission")


def test_pages_of_the_prompt_are_there_at_an_arrival():
    env = make_form("joint-leaf", "long-doc")
    for *_, info in steps(env, random_actions(env), seed=1):
        arrives = info["action_mask"][0] == 1 and info["session"] >= 0
        assert (len(env.prompt_pages()) > 0) == arrives


@pytest.mark.parametrize("form", FORMS)
def test_rendering(form):
    env = make_form(form, "long-doc", render_mode="ansi")
    plain = make_form(form, "long-doc")
    seen = []
    for observation, *_ in steps(env, random_actions(env), seed=1):
        assert env.render().count("\nworker ") == 3
        seen.append(observation.tolist())
    assert seen == [step[0].tolist() for step in play(plain, seed=1)]


@pytest.mark.parametrize("form", FORMS)
def test_a_vector_of_environments_plays_what_single_ones_play(form):
    name, arguments = FORMS[form]
    settings = {"scenario": "gsp-stable", "scenario_overrides": pressed("gsp-stable"), **arguments}
    envs = gym.make_vec(name, num_envs=2, vectorization_mode="sync", **settings)
    observations, infos = envs.reset(seed=7)
    singles = [gym.make(name, **settings) for _ in range(2)]
    first = [single.reset(seed=7 + i) for i, single in enumerate(singles)]
    policy = random_actions(singles[0])
    for t in range(10):
        for i, (observation, info) in enumerate(first):
            assert observations[i].tolist() == observation.tolist()
            assert infos["action_mask"][i].tolist() == info["action_mask"].tolist()
        action = policy(t)
        observations, rewards, *_, infos = envs.step(np.array([action, action]))
        played = [single.step(action) for single in singles]
        assert rewards.tolist() == [step[1] for step in played]
        first = [(step[0], step[4]) for step in played]
    envs.close()
