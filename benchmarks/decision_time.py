"""Time of a decision of each rule in Python, on one thread: of those that route, and of the learned evictor.

    python -m benchmarks.decision_time [--workers 64] [--agents NAME ..] [--decisions N] [--apart] [--out FILE]

Each rule plays gsp-stable on so many workers, with as many times the requests, and `act` alone is timed: the median,
and the 99th percentile, after a sixth of the decisions. What an index or a prefix tree of the rule's own costs grows
with the prompt, here some 140 pages. With --apart rules sit in processes of their own, as agents from files do on the
leaderboard: what is timed is then the way there and back as well.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from tqdm import tqdm

from agents import AGENTS as ROUTERS
from agents import make_agent
from agents.leaderboard.seats import apart_agent
from benchmarks.timing import command, report
from kvgym.envs.view import shown
from kvgym.evaluation.stage import make_env
from kvgym.scenarios import get_scenario

AGENTS = [*ROUTERS, "learned:router", "learned:evictor"]
SCENARIO = "gsp-stable"
WORKERS, DECISIONS = 64, 1200


def decisions(name: str, workers: int, n: int, apart: bool = False) -> Iterator[int]:
    """Nanoseconds of each decision of an episode."""
    with ExitStack() as stack:
        agent = stack.enter_context(apart_agent(name, {})) if apart else make_agent(name)
        yield from _decisions(agent, workers, n)


def _decisions(agent: Any, workers: int, n: int) -> Iterator[int]:
    scenario = get_scenario(SCENARIO)
    count = sum(worker.get("count", 1) for worker in scenario.workers if isinstance(worker, dict))
    rate = scenario.recipe_args["rate"] * workers / count
    overrides = {"n_workers": workers, "recipe_args": {"rate": rate}, "episode_requests": n}
    env = make_env(agent, SCENARIO, overrides=overrides, split="validation")
    observation, info = env.reset(seed=0)
    agent.reset(shown(env, agent), 0)
    over = False
    while not over:
        began = time.perf_counter_ns()
        action = agent.act(observation, info)
        yield time.perf_counter_ns() - began
        observation, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated


def measure(names: Sequence[str], workers: int, n: int, apart: bool = False) -> list[dict[str, Any]]:
    """A row per rule."""
    rows = []
    for name in tqdm(names, unit="rule", disable=None):
        times = sorted(list(decisions(name, workers, n, apart))[n // 6 :])
        p99 = times[len(times) * 99 // 100]
        rows.append({"rule": name, "median (us)": statistics.median(times) / 1e3, "p99 (us)": p99 / 1e3})
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = command("decision_time", __doc__)
    add = parser.add_argument
    add("--agents", nargs="+", choices=AGENTS, default=list(AGENTS), metavar="NAME", help=", ".join(AGENTS))
    add("--workers", type=int, default=WORKERS, help=f"of the cluster ({WORKERS})")
    add("--decisions", type=int, default=DECISIONS, help=f"of each rule ({DECISIONS})")
    add("--apart", action="store_true", help="rules in processes of their own")
    args = parser.parse_args(argv)
    if args.workers < 1 or args.decisions < 6:
        parser.error("--workers must be at least 1, --decisions at least 6")
    rows = measure(args.agents, args.workers, args.decisions, args.apart)
    report(f"time of one decision on {args.workers} workers, one thread", rows, args.out)


if __name__ == "__main__":
    main()
