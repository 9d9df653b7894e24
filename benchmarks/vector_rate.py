"""Decisions per second of the native vector form, beside Gymnasium's own native CartPole-v1; resets included.

python -m benchmarks.vector_rate [--scenario gsp-stable] [--rounds 5] [--out FILE]

Episodes are whole ones (of the scenario's length, which all environments end together), or 512 requests that are cut
and staggered, as for training. What a second thread gives is measured against what it gives a loop that needs neither
Python's lock nor memory, in turn with it: that is all that the machine has to give.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gymnasium as gym
import numpy as np
from numba import njit

import kvgym
from benchmarks.timing import command, rate_rows, rates, ratios, report

CART = "CartPole-v1, 64"
TRAINING = {"horizon": "truncate", "stagger": True, "scenario_overrides": {"episode_requests": 512}}
BATCHES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "Route-v0, 1": ("Route", 1, {}),
    "Route-v0, 64": ("Route", 64, {}),
    "Route-v0, 64, two threads": ("Route", 64, {"num_threads": 2}),
    "Route-v0, 64, training": ("Route", 64, TRAINING),
    "Route-v0, 1024, training": ("Route", 1024, TRAINING),
    "Route-v0, 1024, training, two threads": ("Route", 1024, {"num_threads": 2, **TRAINING}),
    "Evict-v0 leaf, 64, training": ("Evict", 64, TRAINING),
    "Joint-v0 rule, 64, training": ("Joint", 64, TRAINING),
}


def player(envs: Any, decisions: int) -> Callable[[], int]:
    """Work for `rates`: about so many decisions, with actions that were drawn before."""
    envs.reset(seed=0)
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(16)]
    steps = max(1, decisions // envs.num_envs)

    def play() -> int:
        for i in range(steps):
            envs.step(actions[i % 16])
        return steps * int(envs.num_envs)

    return play


@njit("uint64(int64)", nogil=True)
def spin(n: int) -> Any:
    """Steps of a generator that fits into registers."""
    x = np.uint64(1)
    for _ in range(n):
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
    return x


def spinner(threads: int, steps: int = 30_000_000) -> Callable[[], int]:
    """Work for `rates`: so many steps of `spin` on each thread."""
    pool = ThreadPoolExecutor(threads)

    def play() -> int:
        list(pool.map(spin, [steps] * threads))
        return threads * steps

    return play


def scaling(scenario: str, n: int, rounds: int, decisions: int) -> dict[str, Any]:
    """Gain of two threads over one to a batch of `n`, and to a loop beside it."""
    rivals: dict[str, Callable[[], int]] = {}
    for threads in (1, 2):
        envs = make("Route", n, scenario, {"num_threads": threads, **TRAINING})
        rivals[f"batch, {threads}"] = player(envs, decisions)
        rivals[f"loop, {threads}"] = spinner(threads)
    found = rates(rivals, rounds)
    batch, loop = (ratios(found, f"{what}, 1")[f"{what}, 2"] for what in ("batch", "loop"))
    return {"environments": n, "batch": batch, "loop": loop, "batch over loop": batch / loop}


def make(kind: str, n: int, scenario: str, settings: dict[str, Any]) -> Any:
    """A batch as it is measured here."""
    return kvgym.make_vec(f"kvgym:KVGym/{kind}-v0", n, autoreset_mode="SameStep", scenario=scenario, **settings)


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the table."""
    parser = command("vector_rate", __doc__, 5)
    parser.add_argument("--scenario", default="gsp-stable")
    parser.add_argument("--decisions", type=int, default=300_000, help="decisions in each round")
    args = parser.parse_args(argv)
    cart = gym.make_vec("CartPole-v1", 64, vectorization_mode="vector_entry_point")
    measured: dict[str, list[float]] = {CART: []}
    ratio = {CART: 1.0}
    for name, (kind, n, settings) in BATCHES.items():
        # One batch at a time beside CartPole: memory of the others would get in the way.
        envs = make(kind, n, args.scenario, settings)
        rivals = {CART: player(cart, args.decisions), name: player(envs, args.decisions)}
        found = rates(rivals, args.rounds)
        measured[CART] += found[CART]
        measured[name] = found[name]
        ratio[name] = ratios(found, CART)[name]
        envs.close()
    rows = rate_rows(measured, ratio, "decisions per second")
    report(f"native vector form, SameStep, scenario {args.scenario}", rows, args.out)
    threads = [scaling(args.scenario, n, args.rounds, args.decisions) for n in (64, 1024)]
    report("training: rate with two threads over the rate with one", threads, None)


if __name__ == "__main__":
    main()
