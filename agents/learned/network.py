"""Networks whose weights are shared over workers and candidates: one set of weights plays on any number of them.

Every worker gets a score from its own block, the request block and pooled context, the same way for all (Zaheer et al.
2017, "Deep Sets", arXiv 1703.06114): permuting the workers permutes the scores. Candidates for eviction are scored
alike, from their own block and that of the worker that needs the pages. Needs torch alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kvgym import _check
from kvgym.envs.features import LOGARITHMIC, N_CANDIDATE, N_EVICT, N_FETCH, N_WORKER
from kvgym.envs.layout import Layout


@dataclass(frozen=True)
class Shape:
    """All that a network depends on: the number of workers is not part of it.

    Attributes:
        routes: Workers are scored.
        evicts: Observations have a block that says which pages are wanted.
        candidates: Leaves that are scored; 0 = none.
        rules: Named rules that are scored, from pooled context; 0 = none.
        width: Units of a hidden layer.
        fetches: Observations have a block that says what workers may fetch; it is seen as part of the workers' own.
    """

    routes: bool = True
    evicts: bool = False
    candidates: int = 0
    rules: int = 0
    width: int = 64
    fetches: bool = False

    def __post_init__(self) -> None:
        """Checks the fields."""
        for name in ("candidates", "rules"):
            _check.whole(name, getattr(self, name), 0)
        _check.whole("width", self.width, 1)

    def layout(self, size: int) -> Layout:
        """The layout of observations of `size` numbers.

        Raises:
            ValueError: If no number of workers gives that size.
        """
        fixed = self.of_workers(0).size
        workers, rest = divmod(size - fixed, self.n_worker)
        if workers < 1 or rest:
            raise ValueError(
                f"size of an observation must be {fixed} + {self.n_worker} x workers for {asdict(self)}, got {size}"
            )
        return self.of_workers(workers)

    def of_workers(self, n_workers: int) -> Layout:
        """The layout of observations of so many workers."""
        return Layout(n_workers, self.routes, self.evicts, self.candidates, self.fetches)

    @property
    def n_worker(self) -> int:
        """Features of a worker."""
        return N_WORKER + self.fetches * N_FETCH

    def n_scores(self, n_workers: int) -> int:
        """How many actions are scored on so many workers."""
        return n_workers * self.routes + self.candidates + self.rules


class Trunk(nn.Module):
    """Turns a scaled observation into a vector per worker, per candidate, and one for the whole.

    Args:
        shape: What there is to see.
    """

    def __init__(self, shape: Shape) -> None:
        """Makes the layers."""
        super().__init__()
        self.shape = shape
        probe = shape.of_workers(1)
        self.n_request = len(probe.request_features)
        n_context = self.n_request + shape.evicts * (N_EVICT - 1 + shape.n_worker)
        self.context = nn.Linear(n_context, shape.width)
        self.worker = nn.Linear(2 * shape.n_worker, shape.width, bias=False)
        self.pooled = nn.Linear(2 * shape.width, shape.width)
        if shape.candidates:
            self.candidate = nn.Linear(2 * N_CANDIDATE, shape.width, bias=False)
            self.pooled_candidates = nn.Linear(2 * shape.width, shape.width, bias=False)
        gains = [_gain(feature.transform, feature.cap / feature.scale) for feature in probe.features]
        self.register_buffer("gains", torch.tensor(gains, dtype=torch.float32), persistent=False)

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Worker vectors (B, M, D), candidate vectors (B, K, D) or None, and one for the whole (B, D)."""
        gains: Any = self.gains
        n_request, n_worker, n_candidates = self.n_request, self.shape.n_worker, self.shape.candidates
        end = observation.shape[1] - n_candidates * N_CANDIDATE - self.shape.evicts * N_EVICT
        request = observation[:, :n_request] * gains[:n_request]
        workers = self._workers(observation[:, n_request:end]) * gains[n_request : n_request + n_worker]
        if self.shape.evicts:
            wanted = observation[:, end : end + N_EVICT]
            # The first says which worker is asked: its block stands for it, since a number means nothing to a network.
            asked = wanted[:, 0].long().clamp(0, workers.shape[1] - 1)
            block = workers[torch.arange(len(workers), device=workers.device), asked]
            rest = wanted[:, 1:] * gains[n_request + n_worker + 1 : n_request + n_worker + N_EVICT]
            request = torch.cat([request, rest, block], 1)
        context = self.context(request)
        per_worker, pooled = _encode(workers, self.worker, context)
        whole = context + self.pooled(pooled)
        if not n_candidates:
            return per_worker, None, torch.tanh(whole)
        leaves = _blocks(observation[:, end + N_EVICT :], N_CANDIDATE) * gains[-N_CANDIDATE:]
        per_leaf, pooled = _encode(leaves, self.candidate, context)
        return per_worker, per_leaf, torch.tanh(whole + self.pooled_candidates(pooled))

    def _workers(self, numbers: Tensor) -> Tensor:
        """Features of the workers in observations, as a block for each: (B, M, n_worker)."""
        if not self.shape.fetches:
            return _blocks(numbers, N_WORKER)
        blocks = numbers.shape[1] // self.shape.n_worker * N_WORKER
        return torch.cat([_blocks(numbers[:, :blocks], N_WORKER), _blocks(numbers[:, blocks:], N_FETCH)], 2)


def _blocks(numbers: Tensor, size: int) -> Tensor:
    """(B, n x size) as (B, n, size)."""
    return numbers.reshape(len(numbers), -1, size)


def _gain(transform: int, bend: float) -> float:
    """Inverse of the scaling up to a natural logarithm: a doubling of a feature is the same step for all of them."""
    return float(np.log1p(bend)) if transform == LOGARITHMIC else 1.0


def _encode(blocks: Tensor, layer: nn.Linear, context: Tensor) -> tuple[Tensor, Tensor]:
    """A vector for each block, and their mean and largest. A block is seen as it is and beside the smallest."""
    least = blocks.amin(1, keepdim=True)
    vectors = torch.tanh(layer(torch.cat([blocks, blocks - least], 2)) + context.unsqueeze(1))
    return vectors, torch.cat([vectors.mean(1), vectors.amax(1)], 1)


class Actor(nn.Module):
    """Scores every action: workers first, then candidates, then rules.

    Args:
        shape: What there is to see and to score.
    """

    def __init__(self, shape: Shape) -> None:
        """Makes the layers."""
        super().__init__()
        self.shape = shape
        self.trunk = Trunk(shape)
        if shape.routes:
            self.of_worker = _Head(shape.width)
        if shape.candidates:
            self.of_candidate = _Head(shape.width)
        if shape.rules:
            self.of_rule = nn.Linear(shape.width, shape.rules)

    def forward(self, observation: Tensor) -> Tensor:
        """Scores (B, number of actions) for scaled observations (B, size), float32."""
        workers, candidates, whole = self.trunk(observation)
        scores = []
        if self.shape.routes:
            scores.append(self.of_worker(workers, whole))
        if candidates is not None:
            scores.append(self.of_candidate(candidates, whole))
        if self.shape.rules:
            scores.append(self.of_rule(whole))
        return torch.cat(scores, 1)


class _Head(nn.Module):
    """One score per block, from its vector and that of the whole."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Linear(width, width)
        self.whole = nn.Linear(width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, blocks: Tensor, whole: Tensor) -> Tensor:
        hidden = torch.tanh(self.block(blocks) + self.whole(whole).unsqueeze(1))
        scores: Tensor = self.score(hidden).squeeze(2)
        return scores


class Critic(nn.Module):
    """The value of a state, for which the candidates are not looked at: what the cluster has to do says nearly all.

    Args:
        shape: What there is to see.
    """

    def __init__(self, shape: Shape) -> None:
        """Makes the layers."""
        super().__init__()
        self.n_candidates = shape.candidates
        self.trunk = Trunk(replace(shape, candidates=0))
        self.rest = nn.Sequential(nn.Linear(shape.width, shape.width), nn.Tanh(), nn.Linear(shape.width, 1))

    def forward(self, observation: Tensor) -> Tensor:
        """Values (B, 1) of scaled observations (B, size), float32."""
        end = observation.shape[1] - self.n_candidates * N_CANDIDATE
        values: Tensor = self.rest(self.trunk(observation[:, :end])[2])
        return values
