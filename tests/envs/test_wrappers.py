"""Text rendering, and the wrappers that people put around an environment."""

import re

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import FlattenObservation, NormalizeObservation, RecordEpisodeStatistics, TimeLimit

from tests.envs.helpers import make, make_form, play, random_policy, small, total_reward
from tests.envs.test_observation_cases import small_case
from tests.envs.token_scenarios import make_env


def test_the_text_shows_time_request_and_workers(monkeypatch):
    env = make_env(monkeypatch, small_case(), render_mode="ansi")
    env.reset(seed=0)
    assert env.render().splitlines() == [
        "time 0.000 s, 1 arrived, 0 finished",
        "request 0: 8 prompt tokens, session 0",
        "worker 0 [....................] running    0  queued    0  hit      0",
        "worker 1 [....................] running    0  queued    0  hit      0",
    ]
    env.step(0)
    # Three of ten pages locked: two of the prompt, one for the output.
    assert env.render().splitlines() == [
        "time 0.150 s, 2 arrived, 0 finished",
        "request 1: 10 prompt tokens, session 1",
        "worker 0 [######..............] running    1  queued    0  hit      8",
        "worker 1 [....................] running    0  queued    0  hit      0",
    ]
    env.step(0)
    env.step(0)
    # At the end no request is due; two pages of the prompt stay cached, the others were not full.
    assert env.render().splitlines() == [
        "time 0.400 s, 3 arrived, 3 finished",
        "worker 0 [++++................] running    0  queued    0",
        "worker 1 [....................] running    0  queued    0",
    ]


def test_rendering_at_every_step_changes_nothing():
    env, plain = make(render_mode="ansi"), make()
    policy = random_policy(4)
    observation, _ = env.reset(seed=0)
    seen = [observation.tolist()]
    done, t = False, 0
    while not done:
        assert len(re.findall(r"^worker \d+ \[[#+.]{20}\]", env.render(), re.MULTILINE)) == 4
        observation, _, done, *_ = env.step(policy(t))
        seen.append(observation.tolist())
        t += 1
    assert [step[0].tolist() for step in play(plain, policy, seed=0)] == seen


def test_render_without_a_mode_warns():
    env = make()
    env.reset(seed=0)
    with pytest.warns(UserWarning, match='render_mode="human", "rgb_array" or "ansi"'):
        assert env.render() is None


def wrapped(**kwargs):
    return gym.make("KVGym/Route-v0", scenario_overrides=small("gsp-stable"), **kwargs)


def test_record_episode_statistics():
    env = RecordEpisodeStatistics(wrapped())
    episode = play(env, seed=0)
    info = episode[-1][4]
    assert info["episode"]["l"] == 36
    assert info["episode"]["r"] == pytest.approx(total_reward(episode))
    assert info["episode_metrics"]["n"] == 36


def test_time_limit():
    episode = play(TimeLimit(wrapped(), 7), seed=0)
    assert len(episode) == 8
    assert episode[-1][2:4] == (False, True)
    assert len(play(wrapped(max_episode_steps=5), seed=0)) == 6


def test_flatten_observation():
    env = FlattenObservation(wrapped())
    assert env.observation_space == wrapped().observation_space
    assert all((a[0] == b[0]).all() for a, b in zip(play(env, seed=0), play(wrapped(), seed=0), strict=True))


def test_normalize_observation():
    env = NormalizeObservation(wrapped(observation="physical"))
    for _ in range(3):
        for observation, *_ in play(env):
            assert np.isfinite(observation).all()
    assert np.abs(observation).max() < 100


def test_vector_wrappers_and_same_step_autoreset():
    """The metrics of an episode's end reach whoever trains with several environments."""
    envs = gym.make_vec(
        "KVGym/Route-v0",
        num_envs=3,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": gym.vector.AutoresetMode.SAME_STEP},
        scenario_overrides=small("gsp-stable", episode_requests=5),
    )
    envs.reset(seed=0)
    for _ in range(5):
        _, _, terminated, _, infos = envs.step(np.zeros(3, np.int64))
    assert terminated.all()
    assert infos["final_info"]["episode_metrics"]["n"].tolist() == [5, 5, 5]
    assert infos["action_mask"].shape == (3, 4)
    envs.close()


def test_what_is_down_and_what_could_be_fetched_is_shown():
    schedule = [{"kind": "crash", "worker": 1, "time_s": 0.0, "down_s": 1e5}]
    env = make_form("route", "multi-node-agents", {"faults": {"schedule": schedule}}, render_mode="ansi")
    env.reset(seed=0)
    for _ in range(20):
        env.step(0)
    lines = env.render().splitlines()[2:]
    assert re.fullmatch(r"worker 1 \[\.{20}\] down", lines[1])
    offers = [int(re.search(r"could fetch +(\d+) in \d+\.\d ms", lines[w])[1]) for w in (0, 2)]
    assert offers == [env.simulator.offer(w, env.simulator.tables["clock"]["request"][0])[0] for w in (0, 2)]
    assert max(offers) > 0


def test_what_an_evict_decision_wants_is_shown():
    env = make_form("evict-one", render_mode="ansi")
    env.reset(seed=0)
    sim = env.simulator
    worker = int(sim.tables["clock"]["asking"][0])
    tails = [str(tail) if tail else "-" for tail in sim.candidates()["tail_pages"]]
    lines = env.render().splitlines()
    assert re.fullmatch(r"request \d+: \d+ prompt tokens, session \d+", lines[1])
    wanted = sim.tables["workers"]["wanted"][worker]
    assert lines[2] == f"evict {wanted} pages on worker {worker}, slots with {' '.join(tails)}"
    assert len(lines) == 6 and not any("hit" in line for line in lines)
