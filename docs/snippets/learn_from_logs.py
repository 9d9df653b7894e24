"""A router fitted to logged decisions, and then checked in the simulator. NumPy alone, beside the extra "datasets".

kvgym record --recipe mixed --id kvgym/gsp-stable/mixed-v0
python docs/snippets/learn_from_logs.py [--dataset kvgym/gsp-stable/mixed-v0] [--window 30]

What do the next decisions cost, given where this request went? A least-squares fit of the cost of the next `window`
decisions to a few figures of the chosen worker, beside what the state would have cost anyway. In the log a quarter of
the decisions is drawn at random and the others are made by rules that differ, so the weights of the figures say what a
choice does, and not only where busy times are. The fitted router takes the worker with the lowest estimate.
"""

import argparse

import minari
import numpy as np

from agents import make_agent
from agents.base import Agent
from kvgym.evaluation import play_all

FIGURES = {"miss": 1e3, "prefill": 1e3, "inflight": 10.0}
"""Of the chosen worker, each with a scale: tokens to compute, tokens that wait for their prefill, requests."""
STATE = {"inflight": 10.0, "waiting": 10.0, "prefill": 1e3, "active_with": 1e4}
"""Summed over the workers; with their squares they say what is due anyway."""


def figures(observations, layout):
    """float64 (.., workers, figures) of physical observations (.., features)."""
    return np.stack([observations[..., layout.workers(name)] / scale for name, scale in FIGURES.items()], axis=-1)


def state(observations, layout):
    """float64 (T, columns): what the cost depends on whatever is chosen."""
    sums = [observations[:, layout.workers(name)].sum(axis=1) / scale for name, scale in STATE.items()]
    request = [observations[:, layout.request(name)] for name in ("prompt", "remaining")]
    return np.stack([*sums, *(column**2 for column in sums), *request, np.ones(len(observations))], axis=1)


def fit(episodes, layout, window):
    """Weights of the figures: cost of `window` decisions (reward units) for one more of each."""
    rows, targets = [], []
    for episode in episodes:
        costs = np.concatenate([[0.0], np.cumsum(-episode.rewards)])
        seen = episode.observations[: len(episode.actions) - window].astype(np.float64)
        all_workers = figures(seen, layout)
        chosen = all_workers[np.arange(len(seen)), episode.actions[: len(seen)]]
        rows.append(np.hstack([chosen - all_workers.mean(axis=1), state(seen, layout)]))
        targets.append(costs[window : window + len(seen)] - costs[: len(seen)])
    solution, *_ = np.linalg.lstsq(np.concatenate(rows), np.concatenate(targets), rcond=None)
    return solution[: len(FIGURES)]


class Fitted(Agent):
    """The legal worker with the lowest estimate."""

    draws = False

    def __init__(self, weights):
        """Keeps the weights."""
        self.weights = weights

    def act(self, observation, info):
        """See `Agent.act`."""
        return self.cheapest(figures(observation, self.layout) @ self.weights, info)[0]


def main():
    """Fits, and plays beside rules on workloads that are not in the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="kvgym/gsp-stable/mixed-v0", help="of KVGym/Route-v0, physical")
    parser.add_argument("--window", type=int, default=30, help="decisions whose cost is fitted (30)")
    parser.add_argument("--seeds", type=int, default=8, help="episodes of the validation split (8)")
    options = parser.parse_args()
    dataset = minari.load_dataset(options.dataset)
    env = dataset.recover_environment().unwrapped
    weights = fit(dataset.iterate_episodes(), env.layout, options.window)
    print("weights:", ", ".join(f"{name} {weight:.3g}" for name, weight in zip(FIGURES, weights, strict=True)))
    makers = {name: lambda name=name: make_agent(name) for name in ("random", "least_loaded", "lmetric", "lpwl_aged")}
    for name, make in {**makers, "fitted": lambda: Fitted(weights)}.items():
        costs = play_all(make, env.scenario, range(options.seeds), split="validation")["J"]
        print(f"{name}: J {costs.mean():.3f} s on average of {len(costs)} episodes")
    return weights


if __name__ == "__main__":
    main()
