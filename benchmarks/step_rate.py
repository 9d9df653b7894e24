"""Steps per second through gym.make, beside CartPole-v1; resets included.

python -m benchmarks.step_rate [--scenario gsp-stable] [--rounds 7] [--out FILE]

Evict-v0 runs on one worker, so that it evicts without end. Actions go through the space in turn (Route-v0, rules) or
through the slots that hold a leaf.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks.timing import command, rate_rows, rates, ratios, report

STEPS = 20_000
ONE_WORKER = {"scenario_overrides": {"n_workers": 1}}
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "Route-v0": ("Route", {}),
    "Route-v0 physical": ("Route", {"observation": "physical"}),
    "Evict-v0 leaf": ("Evict", ONE_WORKER),
    "Evict-v0 leaf, quantum 1": ("Evict", {"quantum": 1, **ONE_WORKER}),
    "Evict-v0 leaf physical": ("Evict", {"observation": "physical", **ONE_WORKER}),
    "Evict-v0 rule": ("Evict", {"action": "rule", **ONE_WORKER}),
    "Joint-v0 rule": ("Joint", {}),
    "Joint-v0 leaf": ("Joint", {"action": "leaf"}),
}


def player(env: gym.Env[Any, Any]) -> Callable[[], int]:
    """Work for `rates`: steps with actions in turn, resetting whenever an episode ends."""
    space = env.action_space
    pairs = isinstance(space, gym.spaces.MultiDiscrete)
    actions = list(np.ndindex(*space.nvec)) if pairs else list(range(int(space.n)))  # type: ignore[attr-defined]
    env.reset(seed=0)

    def play() -> int:
        step = env.step
        for action in itertools.islice(itertools.cycle(actions), STEPS):
            _, _, terminated, truncated, _ = step(action)
            if terminated or truncated:
                env.reset()
        return STEPS

    return play


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the table."""
    parser = command("step_rate", __doc__, 7)
    parser.add_argument("--scenario", default="gsp-stable")
    args = parser.parse_args(argv)
    rivals = {"CartPole-v1": player(gym.make("CartPole-v1"))}
    for name, (kind, settings) in FORMS.items():
        rivals[name] = player(gym.make(f"kvgym:KVGym/{kind}-v0", scenario=args.scenario, **settings))
    measured = rates(rivals, args.rounds)
    ratio = ratios(measured, "CartPole-v1")
    rows = rate_rows(measured, ratio, "steps per second")
    report(f"single environment through gym.make, scenario {args.scenario}", rows, args.out)


if __name__ == "__main__":
    main()
