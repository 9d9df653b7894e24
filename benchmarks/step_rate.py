"""Steps per second through gym.make, beside CartPole-v1; resets included.

python -m benchmarks.step_rate [--scenario gsp-stable] [--rounds 7] [--out FILE]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym

from benchmarks.timing import rates, ratios, report


def player(env: gym.Env, steps: int) -> Callable[[], int]:
    """Work for `rates`: `steps` steps with actions in turn, resetting whenever an episode ends."""
    n = int(env.action_space.n)
    env.reset(seed=0)

    def play() -> int:
        step = env.step
        for i in range(steps):
            _, _, terminated, truncated, _ = step(i % n)
            if terminated or truncated:
                env.reset()
        return steps

    return play


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="gsp-stable")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    # A whole episode and its reset in each round, whatever the scenario's length.
    env = gym.make("kvgym:KVGym/Route-v0", scenario=args.scenario)
    steps = env.unwrapped.scenario.episode_requests
    rivals = {
        "CartPole-v1": player(gym.make("CartPole-v1"), 20_000),
        "Route-v0": player(env, steps * max(1, round(20_000 / steps))),
        "Route-v0 physical": player(
            gym.make("kvgym:KVGym/Route-v0", scenario=args.scenario, observation="physical"),
            steps * max(1, round(20_000 / steps)),
        ),
    }
    measured = rates(rivals, args.rounds)
    ratio = ratios(measured, "CartPole-v1")
    rows = [
        {
            "environment": name,
            "steps per second": round(statistics.median(values)),
            "ratio to CartPole-v1": ratio[name],
        }
        for name, values in measured.items()
    ]
    report(f"single environment through gym.make, scenario {args.scenario}", rows, args.out)


if __name__ == "__main__":
    main()
