"""PPO of RLlib (ray 2.60) on KVGym/Route-v0.

python docs/snippets/rllib_ppo.py [--iterations 3]
"""

import argparse

import gymnasium as gym
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env


def make(config):
    """The environment in a worker process; the prefixed id imports kvgym there."""
    return gym.make("kvgym:KVGym/Route-v0", **config)


def train(iterations=3):
    """Trains, and returns the mean return of each iteration's episodes."""
    register_env("kvgym-route", make)
    settings = {"horizon": "truncate", "scenario_overrides": {"episode_requests": 512}}
    config = (
        PPOConfig()
        .environment("kvgym-route", env_config=settings)
        .env_runners(num_env_runners=0, num_envs_per_env_runner=8, rollout_fragment_length=128)
        .training(train_batch_size=1024, minibatch_size=256, num_epochs=4, gamma=0.99, lr=3e-4)
        .debugging(seed=0)
    )
    algorithm = config.build_algo()
    returns = []
    for _ in range(iterations):
        result = algorithm.train()
        returns.append(result["env_runners"].get("episode_return_mean", float("nan")))
        print(f"iteration {result['training_iteration']}: return {returns[-1]:.1f}")
    algorithm.stop()
    return returns


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=3)
    train(**vars(parser.parse_args()))
