"""The lines that a user of Stable-Baselines3 types first, on every id; a warning is a failure."""

import re
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import RecordVideo

import kvgym
from envs_registry import ENVIRONMENTS
from tests.envs.helpers import FORMS, pressed

sb3 = pytest.importorskip("stable_baselines3", reason="the extra train is not installed")
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402
from stable_baselines3.common.evaluation import evaluate_policy  # noqa: E402
from stable_baselines3.common.monitor import Monitor  # noqa: E402
from stable_baselines3.common.vec_env import SubprocVecEnv, VecVideoRecorder  # noqa: E402

from kvgym.integrations.sb3 import make_sb3  # noqa: E402

SMALL = {"scenario_overrides": pressed("gsp-stable")}
LITTLE = {
    "PPO": {"n_steps": 32, "batch_size": 32},
    "A2C": {"n_steps": 32},
    "DQN": {"learning_starts": 16, "buffer_size": 1000},
    "MaskablePPO": {"n_steps": 32, "batch_size": 32},
}
"""What keeps an algorithm short."""

NO_FILMS = "moviepy is not installed (extra test)"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """On a machine that does other work the threads of torch wait for each other, several times as long."""
    torch = pytest.importorskip("torch", reason="the extra train is not installed")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def algorithm(name):
    if name == "MaskablePPO":
        return pytest.importorskip("sb3_contrib", reason="the extra train is not installed").MaskablePPO
    return getattr(sb3, name)


def n_frames(folder):
    """Number of frames of the one film in a folder."""
    (film,) = folder.iterdir()
    return pytest.importorskip("imageio_ffmpeg", reason=NO_FILMS).count_frames_and_secs(str(film))[0]


@pytest.mark.parametrize("id", ENVIRONMENTS)
def test_make_vec_env(id):
    envs = make_vec_env(id, 4, seed=0)
    assert envs.render_mode == "rgb_array"
    assert envs.reset().shape == (4, *envs.observation_space.shape)
    for _ in range(3):
        envs.step([envs.action_space.sample() for _ in range(4)])
    images = envs.get_images()
    height, width, _ = images[0].shape
    assert all(image.shape == (height, width, 3) and image.dtype == np.uint8 for image in images)
    assert envs.render().shape == (2 * height, 2 * width, 3)  # SB3 lays them out as tiles


def test_make_vec_env_with_processes():
    """The prefix makes a process that has not imported kvgym do so."""
    settings = {"env_kwargs": SMALL, "vec_env_cls": SubprocVecEnv, "seed": 0}
    envs, here = (
        make_vec_env("kvgym:KVGym/Route-v0", 2, **settings),
        make_vec_env("KVGym/Route-v0", 2, env_kwargs=SMALL),
    )
    here.seed(0)
    assert np.array_equal(envs.reset(), here.reset())
    assert np.array_equal(envs.render(), here.render())
    envs.close()


@pytest.mark.parametrize(("id", "name"), [(id, name) for id in ENVIRONMENTS for name in LITTLE])
def test_an_algorithm_takes_the_id(id, name):
    make = algorithm(name)
    if (id, name) == ("KVGym/Joint-v0", "DQN"):  # a pair of numbers is no action of DQN's
        with pytest.raises(AssertionError, match="MultiDiscrete"):
            make("MlpPolicy", id)
        return
    model = make("MlpPolicy", id, seed=0, device="cpu", **LITTLE[name])
    model.learn(64)
    assert model.num_timesteps >= 64
    env = model.get_env()
    action, _ = model.predict(env.reset(), deterministic=True)
    assert env.action_space.contains(action[0])


@pytest.mark.parametrize("form", ["evict", "evict-rule", "joint-leaf"])
@pytest.mark.parametrize("name", ["PPO", "DQN", "MaskablePPO"])
def test_an_algorithm_takes_an_environment(form, name):
    id, arguments = FORMS[form]
    env = gym.make(id, **SMALL, **arguments)
    model = algorithm(name)("MlpPolicy", env, seed=0, device="cpu", **LITTLE[name])
    model.learn(64)
    assert model.num_timesteps >= 64


@pytest.mark.parametrize("id", ENVIRONMENTS)
def test_evaluate_policy(id):
    """Rewards of whole episodes are those of the environment itself."""
    model = sb3.PPO("MlpPolicy", make_vec_env(id, 2, env_kwargs=SMALL), seed=0, device="cpu", **LITTLE["PPO"])
    rewards, lengths = evaluate_policy(
        model, Monitor(gym.make(id, **SMALL)), n_eval_episodes=2, return_episode_rewards=True
    )
    assert len(rewards) == len(lengths) == 2 and all(reward < 0 for reward in rewards)
    many = make_vec_env(id, 3, env_kwargs=SMALL)
    many.seed(7)
    mean, _ = evaluate_policy(model, many, n_eval_episodes=3)
    returns = []
    for i in range(3):
        env = gym.make(id, **SMALL)
        observation, _ = env.reset(seed=7 + i)
        total, done = 0.0, False
        while not done:
            observation, reward, terminated, truncated, _ = env.step(model.predict(observation, deterministic=True)[0])
            total, done = total + reward, terminated or truncated
        returns.append(total)
    assert mean == pytest.approx(np.mean(returns), rel=1e-4)


def test_the_example_of_the_docs():
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    section = text.split("\n## With SB3's own lines\n")[1].split("\n## ")[0]
    (example,) = re.findall(r"```python\n(.+?)```", section, re.DOTALL)
    names = {}
    exec(example, names)
    assert names["model"].num_timesteps >= 2_000
    assert names["mean"] < 0


@pytest.mark.parametrize(
    "form", ["route", "joint-leaf", *(pytest.param(form, marks=pytest.mark.slow) for form in ("evict", "joint"))]
)
def test_record_video(form, tmp_path):
    pytest.importorskip("moviepy", reason=NO_FILMS)
    id, arguments = FORMS[form]
    env = RecordVideo(gym.make(id, render_mode="rgb_array", **SMALL, **arguments), str(tmp_path / "film"))
    env.reset(seed=0)
    done, n = False, 1
    while not done:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        done, n = terminated or truncated, n + 1
    env.close()
    assert n_frames(tmp_path / "film") == n


@pytest.mark.parametrize("native", [False, True])
def test_vec_video_recorder(native, tmp_path):
    pytest.importorskip("moviepy", reason=NO_FILMS)
    if native:
        envs = make_sb3("KVGym/Route-v0", 2, render_mode="rgb_array", **SMALL)
    else:
        envs = make_vec_env("KVGym/Route-v0", 2, env_kwargs=SMALL)
    recorder = VecVideoRecorder(envs, str(tmp_path), lambda step: step == 0, video_length=10)
    assert recorder.frames_per_sec == 16
    recorder.reset()
    for t in range(11):
        recorder.step(np.array([t % 3, 0]))
    recorder.close()
    assert n_frames(tmp_path) == 11


@pytest.mark.slow
def test_the_native_form_shows_the_pictures_that_dummy_vec_env_shows():
    """Across the ends of episodes, too."""
    ours, theirs = (
        make_sb3("KVGym/Evict-v0", 2, render_mode="rgb_array", **SMALL),
        make_vec_env("KVGym/Evict-v0", 2, env_kwargs=SMALL),
    )
    ours.seed(3), theirs.seed(3)
    ours.reset(), theirs.reset()
    ends = 0
    for _ in range(200):
        assert np.array_equal(ours.render(), theirs.render())
        assert len(ours.get_images()) == 2
        _, _, done, _ = ours.step(np.zeros(2, int))
        theirs.step(np.zeros(2, int))
        ends += done.sum()
    assert ends > 0
    assert make_sb3("KVGym/Route-v0", 2, **SMALL).get_images() == [None, None]
    assert make_sb3("KVGym/Route-v0", 2, render_mode="ansi", **SMALL).get_images() == [None, None]


def test_gymnasiums_own_recorder_of_batches(tmp_path):
    pytest.importorskip("moviepy", reason=NO_FILMS)
    vector = pytest.importorskip("gymnasium.wrappers.vector")
    if not hasattr(vector, "RecordVideo"):
        pytest.skip("this Gymnasium records no batches")
    envs = kvgym.make_vec("KVGym/Route-v0", 2, render_mode="rgb_array", **SMALL)
    recorder = vector.RecordVideo(envs, str(tmp_path / "film"), step_trigger=lambda step: step == 0, video_length=5)
    recorder.reset(seed=0)
    for _ in range(6):
        recorder.step(np.zeros(2, int))
    recorder.close()
    assert n_frames(tmp_path / "film") == 6
