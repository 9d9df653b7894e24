"""What is for training refuses the workloads that agents are scored on."""

import functools

import gymnasium as gym
import pytest

import kvgym
from agents import train
from kvgym.wrappers import GroupWorkloads, RepeatWorkload, ShuffleWorkers, VectorShuffleWorkers

ID = "kvgym:KVGym/Route-v0"


def single(wrap, split):
    return wrap(gym.make(ID, scenario="sanity", split=split))


def batch(wrap, split):
    return wrap(kvgym.make_vec(ID, 2, scenario="sanity", split=split))


def sb3(split):
    pytest.importorskip("stable_baselines3", reason="needs the extra train")
    from kvgym.integrations.sb3 import make_sb3

    return make_sb3(ID, 2, scenario="sanity", split=split)


WAYS = {
    "ShuffleWorkers": functools.partial(single, ShuffleWorkers),
    "RepeatWorkload": functools.partial(single, functools.partial(RepeatWorkload, k=2)),
    "VectorShuffleWorkers": functools.partial(batch, VectorShuffleWorkers),
    "GroupWorkloads": functools.partial(batch, functools.partial(GroupWorkloads, k=2)),
    "Sb3VecEnv": sb3,
    "horizon=": lambda split: gym.make(ID, scenario="sanity", horizon="truncate", split=split),
    "stagger=": lambda split: kvgym.make_vec(ID, 2, scenario="sanity", stagger=True, split=split),
}


@pytest.mark.parametrize("name", WAYS)
def test_training_sees_no_workload_that_is_scored(name):
    for split in ("train", "validation"):
        WAYS[name](split).close()
    for split in ("test", "all"):
        with pytest.raises(ValueError, match=f"^{name}.* is for training, and split must be one of .*; got '{split}'"):
            WAYS[name](split)


def test_training_from_the_command_line(tmp_path):
    pytest.importorskip("sb3_contrib", reason="needs the extra train")
    argv = ["ppo", "--scenario", "sanity", "--out", str(tmp_path / "run"), "--env-kwargs", '{"split": "test"}']
    with pytest.raises(SystemExit, match=r"agents\.train is for training"):
        train.main(argv)
    assert not (tmp_path / "run").exists()


def test_an_environment_alone_may_play_them():
    gym.make(ID, scenario="sanity", split="test").reset(seed=0)
