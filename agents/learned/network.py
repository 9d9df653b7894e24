"""Networks whose weights are shared over workers and candidates: one set of weights plays on any number of them.

Every worker gets a score from its own block, the request block and pooled context, the same way for all (Zaheer et al.
2017, "Deep Sets", arXiv 1703.06114): permuting the workers permutes the scores. Candidates for eviction are scored
alike, from their own block and that of the worker that needs the pages. Needs torch alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from kvgym import _check
from kvgym.envs.features import N_CANDIDATE, N_EVICT, N_FETCH, N_WORKER, WORKER
from kvgym.envs.layout import Layout

from .features import (
    INFLIGHT_SCALE,
    MISS_SCALE,
    MISS_WEIGHT,
    PREFILL_SCALE,
    REQUEST_TOKENS,
    SPEED_POWER,
    WORK_SCALE,
    natural_gains,
)

SHARPNESS = 6.0
"""With which a network that corrects a rule begins: a worker with twice the work is chosen 2 ** -6 times as often."""


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
        corrects: Scores of workers are a correction to a rule's, which compares
            (prefill + 6 x miss + 100 x requests in flight) / speed ** 0.25, the first two in tokens.
    """

    routes: bool = True
    evicts: bool = False
    candidates: int = 0
    rules: int = 0
    width: int = 64
    fetches: bool = False
    corrects: bool = False

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


def fitted(observation: NDArray[np.float32], layout: Layout, shape: Shape) -> NDArray[np.float32]:
    """An observation as a network wants it: what may be fetched is left out, or zero, where the two do not agree.

    Args:
        observation: (size,) float32.
        layout: Its layout.
        shape: Of the network.
    """
    if layout.fetches == shape.fetches:
        return observation
    block = layout.blocks["fetch"]
    none = np.zeros(layout.n_workers * N_FETCH * shape.fetches, np.float32)
    return np.concatenate([observation[: block.first], none, observation[block.end :]])


class Seen(NamedTuple):
    """What a network looks at, computed from observations without a weight: whoever learns from one twice keeps it.

    Attributes:
        context: The request, and what is wanted and by whom: (B, features).
        workers: (B, M, features of a worker).
        least: The smallest of each of these among the workers: (B, features of a worker).
        leaves: (B, K, features of a candidate); empty where none are scored.
        least_leaves: The smallest of each of these: (B, features of a candidate).
        work: Logarithm of what the rule compares that is corrected: (B, M); empty where there is none.
    """

    context: Tensor
    workers: Tensor
    least: Tensor
    leaves: Tensor
    least_leaves: Tensor
    work: Tensor

    def at(self, rows: Any) -> Seen:
        """The same of some rows."""
        return Seen(*(part[rows] for part in self))


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
        self.register_buffer("gains", torch.from_numpy(natural_gains(probe.features)), persistent=False)

    def look(self, observation: Tensor) -> Seen:
        """What there is to see in scaled observations (B, size)."""
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
        work = _work(workers) if self.shape.corrects else workers[:, :0, 0]
        if not n_candidates:
            return Seen(request, workers, workers.amin(1), workers[:, :0], workers[:, 0, :0], work)
        leaves = _blocks(observation[:, end + N_EVICT :], N_CANDIDATE) * gains[-N_CANDIDATE:]
        return Seen(request, workers, workers.amin(1), leaves, leaves.amin(1), work)

    def forward(self, seen: Seen) -> tuple[Tensor, Tensor | None, Tensor]:
        """Worker vectors (B, M, D), candidate vectors (B, K, D) or None, and one for the whole (B, D)."""
        context = self.context(seen.context)
        per_worker, pooled = _encode(seen.workers, seen.least, self.worker, context)
        whole = context + self.pooled(pooled)
        if not self.shape.candidates:
            return per_worker, None, tanh(whole)
        per_leaf, pooled = _encode(seen.leaves, seen.least_leaves, self.candidate, context)
        return per_worker, per_leaf, tanh(whole + self.pooled_candidates(pooled))

    def _workers(self, numbers: Tensor) -> Tensor:
        """Features of the workers in observations, as a block for each: (B, M, n_worker)."""
        if not self.shape.fetches:
            return _blocks(numbers, N_WORKER)
        blocks = numbers.shape[1] // self.shape.n_worker * N_WORKER
        return torch.cat([_blocks(numbers[:, :blocks], N_WORKER), _blocks(numbers[:, blocks:], N_FETCH)], 2)


def _blocks(numbers: Tensor, size: int) -> Tensor:
    """(B, n x size) as (B, n, size)."""
    return numbers.reshape(len(numbers), -1, size)


def _work(workers: Tensor) -> Tensor:
    """ln(1 + what the rule compares / `WORK_SCALE`): (B, M) of blocks (B, M, features)."""
    prefill = PREFILL_SCALE * torch.expm1(workers[:, :, WORKER.prefill])
    miss = MISS_SCALE * torch.expm1(workers[:, :, WORKER.miss])
    in_flight = INFLIGHT_SCALE * torch.expm1(workers[:, :, WORKER.inflight])
    tokens = prefill + MISS_WEIGHT * miss + REQUEST_TOKENS * in_flight
    return torch.log1p(tokens / (WORK_SCALE * workers[:, :, WORKER.speed].clamp(min=1e-3) ** SPEED_POWER))


class _Encode(torch.autograd.Function):
    """A vector for each block, and their mean and largest. A block is seen as it is and beside the smallest.

    The layer is one of [block, block - smallest]; what it makes of the smallest is the same for all blocks. One step
    for autograd, and in place where it can be: on a CPU new arrays and steps take as long as what is computed.
    """

    @staticmethod
    def forward(ctx: Any, blocks: Tensor, least: Tensor, weight: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        own, beside = weight.chunk(2, 1)
        shared = torch.addmm(context, least, beside.t(), alpha=-1)
        vectors = _tanh(functional.linear(blocks, own + beside).add_(shared.unsqueeze(1)))
        largest = vectors.amax(1)
        ctx.save_for_backward(blocks, least, vectors, largest)
        return vectors, torch.cat([vectors.mean(1), largest], 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor, Tensor]:
        blocks, least, vectors, largest = ctx.saved_tensors
        of_mean, of_largest = grads[1].unsqueeze(1).chunk(2, 2)
        # One where a vector has the largest value, else zero, in a fifth of the time of "==".
        back = (vectors - largest.unsqueeze(1)).sign_().add_(1.0)
        back.mul_(of_largest).add_(of_mean / vectors.shape[1]).add_(grads[0])
        _tanh_back(back, vectors)
        shared = back.sum(1)
        own = back.flatten(0, 1).t() @ blocks.flatten(0, 1)
        return None, None, torch.cat([own, own - shared.t() @ least], 1), shared


def _encode(blocks: Tensor, least: Tensor, layer: nn.Linear, context: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors (B, M, D) of blocks (B, M, features), and their mean and largest (B, 2 D)."""
    vectors, pooled = _Encode.apply(blocks, least, layer.weight, context)  # type: ignore[no-untyped-call]
    return vectors, pooled


class _Rate(torch.autograd.Function):
    """One score per block, from its vector and that of the whole; one step for autograd."""

    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, whole: Tensor, block: Tensor, bias: Tensor, of_whole: Tensor, score: Tensor
    ) -> Tensor:
        hidden = _tanh(functional.linear(vectors, block, bias).add_((whole @ of_whole.t()).unsqueeze(1)))
        ctx.save_for_backward(vectors, whole, block, of_whole, score, hidden)
        return (hidden @ score.t()).squeeze(2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        vectors, whole, block, of_whole, score, hidden = ctx.saved_tensors
        of_score = grads[0].reshape(1, -1) @ hidden.flatten(0, 1)
        back = _tanh_back(grads[0].unsqueeze(2) * score, hidden)
        shared, rows = back.sum(1), back.flatten(0, 1)
        of_block = rows.t() @ vectors.flatten(0, 1)
        return back @ block, shared @ of_whole, of_block, shared.sum(0), shared.t() @ whole, of_score


class _Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        ctx.save_for_backward(_tanh(x))
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _tanh_back(grads[0].clone(), *ctx.saved_tensors)


def _tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent, in place, by way of the logistic function: half the time of torch's own on a CPU."""
    return x.mul_(2.0).sigmoid_().mul_(2.0).sub_(1.0)


def _tanh_back(gradient: Tensor, y: Tensor) -> Tensor:
    """The gradient behind y = tanh(x), in place."""
    found: Tensor = torch.ops.aten.tanh_backward.grad_input(gradient, y, grad_input=gradient)
    return found


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent, in place; see `_tanh`."""
    result: Tensor = _Tanh.apply(x)  # type: ignore[no-untyped-call]
    return result


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
        if shape.corrects:
            self.of_work = nn.Parameter(torch.tensor(-SHARPNESS))

    def forward(self, observation: Tensor) -> Tensor:
        """Scores (B, number of actions) for scaled observations (B, size), float32."""
        return self.score(self.trunk.look(observation))

    def score(self, seen: Seen) -> Tensor:
        """The same for what there is to see in them."""
        workers, candidates, whole = self.trunk(seen)
        scores = []
        if self.shape.routes:
            scores.append(self.of_worker(workers, whole))
        if self.shape.corrects:
            scores[0] = scores[0] + self.of_work * seen.work
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
        layers = self.block.weight, self.block.bias, self.whole.weight, self.score.weight
        scores: Tensor = _Rate.apply(blocks, whole, *layers)  # type: ignore[no-untyped-call]
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
        self.trunk = Trunk(replace(shape, candidates=0, corrects=False))
        self.rest = nn.Sequential(nn.Linear(shape.width, shape.width), nn.Tanh(), nn.Linear(shape.width, 1))

    def forward(self, observation: Tensor) -> Tensor:
        """Values (B, 1) of scaled observations (B, size), float32."""
        end = observation.shape[1] - self.n_candidates * N_CANDIDATE
        return self.value(self.trunk.look(observation[:, :end]))

    def value(self, seen: Seen) -> Tensor:
        """The same for what there is to see in them."""
        first, _, last = self.rest
        values: Tensor = last(tanh(first(self.trunk(seen)[2])))
        return values


def start(*networks: nn.Module) -> None:
    """Draws weights: at first every action is about as likely as any other, or as the rule that is corrected has it."""
    for network in networks:
        for module in network.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight, 1.0)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for name, weight in network.named_parameters():
            if name.endswith(("score.weight", "of_rule.weight")):
                weight.data *= 0.01
