"""The environment's share of the wall time of PPO training with Stable-Baselines3 (extra "train").

    python -m benchmarks.training [--quick] [--rounds 5] [--out FILE]

PPO: 64 environments x 64 steps, minibatches of 1024, 4 epochs, one torch thread; SB3's MlpPolicy (two networks of
64 x 64), and the policy with shared weights that `agents.train` has. Rivals take turns: an environment that costs
nothing, with the same spaces; ours in native form through `kvgym.integrations.sb3`; ours through SB3's DummyVecEnv. The
share is measured twice: directly (time inside the environment's calls over all), and as the difference to the
environment that costs nothing, which also has what SB3 does at ends of episodes and what the thread costs that makes
the native form's coming episodes. Episodes are those of training: 512 requests, truncated, in native form staggered.
Bar: at most 10 % for the native form at 64 environments. A last rival is the PPO of `agents.learned.ppo` with the same
network, minibatches and epochs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks.timing import command, rates, ratios, report

EPISODES = {"horizon": "truncate", "scenario_overrides": {"episode_requests": 512}}
FREE, NATIVE, DUMMY, OWN = "costs nothing", "native form", "DummyVecEnv", "native form, PPO of agents.learned.ppo"
PPO = {"n_steps": 64, "batch_size": 1024, "n_epochs": 4, "device": "cpu"}
MLP, SHARED = "MlpPolicy", "shared weights"


def make_env(name: str, num_envs: int) -> Any:
    """The vector environment of a rival."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    from kvgym.integrations.sb3 import make_sb3

    if name == NATIVE:
        return make_sb3("KVGym/Route-v0", num_envs, stagger=True, **EPISODES)
    if name == DUMMY:
        return DummyVecEnv([make_single] * num_envs)
    return free_env(make_single(), num_envs)


def make_single() -> Any:
    """One environment without wrappers."""
    return gym.make("kvgym:KVGym/Route-v0", **EPISODES).unwrapped


def free_env(single: Any, num_envs: int) -> Any:
    """A vector environment with the spaces of `single` that does nothing."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    class Free(DummyVecEnv):
        def __init__(self) -> None:
            super().__init__([lambda: single])
            self.num_envs, self.envs = num_envs, [single] * num_envs
            self.same = np.zeros((num_envs, *single.observation_space.shape), np.float32)
            self.outcome = np.zeros(num_envs, np.float32), np.zeros(num_envs, bool), [{} for _ in range(num_envs)]

        def reset(self) -> Any:
            return self.same

        def step_async(self, actions: Any) -> None:
            pass

        def step_wait(self) -> Any:
            return self.same, *self.outcome

    return Free()


def timed(env: Any) -> Any:
    """The environment with a clock: `seconds` were spent inside it."""
    from stable_baselines3.common.vec_env import VecEnvWrapper

    class Timed(VecEnvWrapper):
        seconds = 0.0

        def _count(self, call: Callable[[], Any]) -> Any:
            began = time.perf_counter()
            result = call()
            self.seconds += time.perf_counter() - began
            return result

        def reset(self) -> Any:
            return self._count(self.venv.reset)

        def step_async(self, actions: Any) -> None:
            self._count(lambda: self.venv.step_async(actions))

        def step_wait(self) -> Any:
            return self._count(self.venv.step_wait)

    return Timed(env)


def learner(policy: str, env: Any, rollouts: int) -> tuple[Callable[[], int], list[float]]:
    """Work for `rates`, and the list to which each call adds the share of its time that was spent in `env`."""
    from stable_baselines3 import PPO as Algorithm

    from agents.learned.policies import SharedPolicy

    model = Algorithm(SharedPolicy if policy == SHARED else policy, env, seed=0, **PPO)
    steps = rollouts * model.n_steps * env.num_envs
    shares: list[float] = []

    def learn() -> int:
        inside, began = env.seconds, time.perf_counter()
        model.learn(steps, reset_num_timesteps=False)
        shares.append((env.seconds - inside) / (time.perf_counter() - began))
        return steps

    return learn, shares


def own_learner(num_envs: int, rollouts: int) -> Callable[[], int]:
    """Work for `rates`: the PPO of `agents.learned.ppo`."""
    from agents.learned import groups, ppo

    settings = ppo.Settings(num_envs=num_envs, steps=PPO["n_steps"], batch=PPO["batch_size"], epochs=PPO["n_epochs"])
    played = groups.entries(["gsp-stable"], None, EPISODES["scenario_overrides"])
    one = ppo.Learner(settings, played, groups.make(played, num_envs, 1, {}, 0, horizon="truncate"))
    one.begin()

    def learn() -> int:
        for _ in range(rollouts):
            one.iterate()
        return rollouts * settings.steps * num_envs

    return learn


def measure(policy: str, num_envs: int, rollouts: int, rounds: int) -> list[dict[str, Any]]:
    """A row per rival, with one policy for all of them."""
    import torch

    torch.set_num_threads(1)
    learners = {name: learner(policy, timed(make_env(name, num_envs)), rollouts) for name in (FREE, NATIVE, DUMMY)}
    work = {name: learn for name, (learn, _) in learners.items()}
    if policy == SHARED:
        work[OWN] = own_learner(num_envs, rollouts)
    measured = rates(work, rounds)
    ratio = ratios(measured, FREE)
    return [
        {
            "policy": policy,
            "environment": name,
            "steps per second": round(statistics.median(measured[name])),
            "share inside (%)": 100 * statistics.median(learners[name][1][1:]) if name in learners else None,
            "share by difference (%)": 100 * (1 - ratio[name]) if name in learners else None,
        }
        for name in work
    ]


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the table."""
    parser = command("training", __doc__, 5)
    parser.add_argument("--quick", action="store_true", help="one round of one rollout")
    args = parser.parse_args(argv)
    title = "PPO of Stable-Baselines3, 64 environments, one torch thread (bar: native form at most 10 %)"
    if find_spec("stable_baselines3") is None:
        rows = [{"environment": 'not installed: pip install "kvgym[train]"'}]
    else:
        length = (1, 1) if args.quick else (8, args.rounds)
        rows = measure(MLP, 64, *length) + measure(SHARED, 64, *length)
    report(title, rows, args.out)


if __name__ == "__main__":
    main()
