"""Trains a scorer of leaves on what `belady` knows: when the pages of a leaf are asked for again.

DAgger (Ross, Gordon and Bagnell 2011, arXiv 1011.0686): the first round plays the leaf with the fewest hits, the next
ones what has been learned so far; all rounds' decisions are learned from, each with the answers of the oracle. What is
learned is relaxed in the sense of LRB (Song et al., NSDI 2020), where Parrot (Liu et al. 2020, arXiv 2006.16239) ranks:
which leaf is used last of all is not to be known, whether one is used again soon is. Of a leaf the network learns

    the expectation of horizon / (horizon + d),  d = requests until a page that the choice frees is asked for

with the cross entropy. The leaf goes whose odds of it, times the seconds to compute a page of it again, are the least.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..base import Info, Observation
from ..eviction.base import EvictionAgent
from .leaf_kernel import N_INPUTS
from .leaf_scorer import Floats, Inputs, LeafScorer

BATCH = 4096
"""Leaves in a step of learning."""
LEFT = 0.15
"""Share of an episode's requests, its last ones, whose decisions are not learned from: its end looks like "never"."""


@dataclass(frozen=True)
class Lessons:
    """Decisions, in rows of K slots.

    Attributes:
        inputs: (n, K, N_INPUTS) float16.
        distance: Requests until the leaf in a slot is asked for again, inf = never, NaN = the slot is empty: (n, K).
    """

    inputs: NDArray[np.float16]
    distance: Floats


class Teacher(EvictionAgent):
    """Plays what is learned so far, and asks the oracle about some of the decisions.

    Args:
        scorer: What plays; None: the leaf with the fewest hits.
        env_kwargs: What is asked of the environment.
        share: Of the decisions that are written down.
    """

    observation = "scaled"
    oracle = True

    def __init__(self, scorer: LeafScorer | None, env_kwargs: Mapping[str, Any], share: float) -> None:
        """Nothing is written down yet."""
        self.env_kwargs, self._scorer, self._share = env_kwargs, scorer, share
        self._inputs_of: list[NDArray[np.float16]] = []
        self._distances: list[Floats] = []

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `EvictionAgent.reset`."""
        super().reset(env, seed)
        self._inputs = Inputs(self.layout)
        self._starts, self._uses = self.env.workload.prompt_uses()
        self._draws = np.random.default_rng(seed)

    def act(self, observation: Observation, info: Info) -> int:
        """See `EvictionAgent.act`."""
        inputs, slots = self._inputs(observation)
        if not len(slots):
            return 0
        if self._draws.random() < self._share:
            self._write_down(inputs, slots)
        if self._scorer is None:
            return self.n_slots // 4
        return int(slots[self._scorer(inputs).argmax()])

    def lessons(self) -> Lessons:
        """What was written down.

        Raises:
            ValueError: If that is nothing: hardly anything had to be evicted.
        """
        if not self._distances:
            raise ValueError("nothing to learn from: an episode without evictions, or with too few of them")
        return Lessons(np.stack(self._inputs_of), np.stack(self._distances))

    def _write_down(self, inputs: Floats, slots: NDArray[np.int64]) -> None:
        simulator = self.env.simulator
        waiting = simulator.tables["progress"]["admitted_ps"] < 0
        if waiting.sum() < LEFT * len(waiting):
            return
        row, distance = np.zeros((self.n_slots, N_INPUTS), np.float16), np.full(self.n_slots, np.nan, np.float32)
        row[slots] = inputs
        tails = simulator.candidates()["tail_pages"]
        wanted = simulator.tables["workers"]["wanted"][simulator.tables["clock"]["asking"][0]]
        now = int(waiting.argmax())  # the first request that is not admitted
        for slot in slots.tolist():
            distance[slot] = self._next_use(slot, min(int(tails[slot]), int(wanted)), waiting) - now
        self._inputs_of.append(row)
        self._distances.append(distance)

    def _next_use(self, slot: int, pages: int, waiting: NDArray[np.bool_]) -> float:
        """The first request not admitted yet whose prompt holds the topmost of `pages` pages of a leaf."""
        tables = self.env.simulator.tables
        leaf = tables["rows"][tables["candidates"][slot]]
        nodes, node = tables["nodes"], int(leaf["node"])
        top = nodes["start_page"][node] + leaf["cached"] - pages
        while top < nodes["start_page"][node]:
            node = int(nodes["parent"][node])
        if node + 1 >= len(self._starts):
            return np.inf
        for request in self._uses[self._starts[node] : self._starts[node + 1]].tolist():
            if waiting[request]:
                return float(request)
        return np.inf


def fit(
    lessons: list[Lessons], horizon: float, steps: int, seed: int, env_kwargs: Mapping[str, Any], width: int = 32
) -> LeafScorer:
    """Learns from lessons, as many from each of them in a batch.

    Args:
        lessons: Of episodes.
        horizon: In requests.
        steps: Batches of `BATCH` leaves.
        seed: Of weights and batches.
        env_kwargs: What the environment was asked for.
        width: Of the two hidden layers.

    Returns:
        A scorer without an origin.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = nn.Sequential(nn.Linear(N_INPUTS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
    told = [(one.inputs[there], one.distance[there]) for one in lessons for there in [~np.isnan(one.distance)]]
    sample = np.concatenate([inputs[:: max(1, len(inputs) // 10_000)] for inputs, _ in told]).astype(np.float32)
    mean, deviation = sample.mean(0), sample.std(0) + 1e-3
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    each = max(1, BATCH // len(lessons))
    for _ in range(steps):
        picked = [rng.integers(len(distance), size=each) for _, distance in told]
        inputs = np.concatenate([inputs[p] for (inputs, _), p in zip(told, picked, strict=True)]).astype(np.float32)
        distance = np.concatenate([distance[p] for (_, distance), p in zip(told, picked, strict=True)])
        soon = torch.from_numpy((horizon / (horizon + distance)).astype(np.float32))
        x = torch.from_numpy((inputs - mean) / deviation)
        loss = nn.functional.binary_cross_entropy_with_logits(net(x)[:, 0], soon)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    weights = [(one.weight.detach().numpy().T.copy(), one.bias.detach().numpy().copy()) for one in layers]
    first, bias = weights[0]  # of inputs as they are
    weights[0] = first / deviation[:, None], bias - (mean / deviation) @ first
    return LeafScorer(tuple(weights), env_kwargs, {})
