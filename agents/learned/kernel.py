"""Scores of workers by a network of `agents.learned.network`, compiled: what torch computes, without torch.

For networks that route and do nothing else. One observation or a batch; where a layer's weights are used once per
worker they stay in the nearest cache, so that a decision takes microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kvgym.envs.features import (
    FETCH_FEATURES,
    N_FETCH,
    N_REQUEST,
    N_WORKER,
    REQUEST_FEATURES,
    WORKER,
    WORKER_FEATURES,
)

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

Floats = NDArray[np.float32]
_FLOATS, _ROWS, _TABLE = "float32[::1]", "float32[:, ::1]", "float32[:, ::1]"
_PREFILL, _MISS, _INFLIGHT, _SPEED = WORKER.prefill, WORKER.miss, WORKER.inflight, WORKER.speed
_MISS_WEIGHT, _REQUEST_TOKENS, _SPEED_POWER = map(np.float32, (MISS_WEIGHT, REQUEST_TOKENS, SPEED_POWER))
_PREFILL_SCALE, _MISS_SCALE, _INFLIGHT_SCALE = map(np.float32, (PREFILL_SCALE, MISS_SCALE, INFLIGHT_SCALE))
_WORK_SCALE = np.float32(WORK_SCALE)
_FAST = {"contract", "arcp", "reassoc", "nsz"}


class Scorer:
    """Weights, laid out for the kernel.

    Args:
        weights: Those of an `Actor` that routes and does nothing else, by their names in its `state_dict`.
    """

    def __init__(self, weights: Mapping[str, Any]) -> None:
        """Lays them out."""
        w = {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}

        def rows(name: str) -> Floats:
            return np.ascontiguousarray(w[name].T)

        own, beside = np.split(w["trunk.worker.weight"], 2, 1)
        self.n_worker = own.shape[1]
        self._weights = (
            natural_gains((*REQUEST_FEATURES, *WORKER_FEATURES, *FETCH_FEATURES)),
            *(rows("trunk.context.weight"), w["trunk.context.bias"]),
            *(np.ascontiguousarray((own + beside).T), np.ascontiguousarray(beside.T)),
            *(rows("trunk.pooled.weight"), w["trunk.pooled.bias"]),
            *(rows("of_worker.block.weight"), w["of_worker.block.bias"], rows("of_worker.whole.weight")),
            *(w["of_worker.score.weight"][0], np.float32(weights.get("of_work", 0.0))),
        )

    def __call__(self, observations: Floats, n_workers: int) -> Floats:
        """Scores of the workers.

        Args:
            observations: (n, size) float32, contiguous, in scaled form; fetches may be there or not.
            n_workers: How many.

        Returns:
            (n, n_workers) float32.
        """
        out = np.empty((len(observations), n_workers), np.float32)
        _score(observations, self.n_worker, *self._weights, out)
        return out


@njit(fastmath=_FAST)
def _tanh(x):  # type: ignore[no-untyped-def]
    """The hyperbolic tangent: Lambert's continued fraction of a quarter of x, doubled twice; within 1e-6."""
    a = np.float32(0.25) * min(max(x, np.float32(-10.0)), np.float32(10.0))
    b = a * a
    over = a * (np.float32(135135) + b * (np.float32(17325) + b * (np.float32(378) + b)))
    t = over / (np.float32(135135) + b * (np.float32(62370) + b * (np.float32(3150) + np.float32(28) * b)))
    t = np.float32(2) * t / (np.float32(1) + t * t)
    return np.float32(2) * t / (np.float32(1) + t * t)


@njit(fastmath=_FAST)
def _add(vector, weights, out):  # type: ignore[no-untyped-def]
    """Adds weights (n, d) times a vector (n,) to `out` (d,)."""
    for i in range(len(vector)):
        x = vector[i]
        for j in range(len(out)):
            out[j] += x * weights[i, j]


@njit(
    f"void({_ROWS}, int64, {_FLOATS}, {_TABLE}, {_FLOATS}, {_TABLE}, {_TABLE}, {_TABLE}, {_FLOATS}, {_TABLE}, "
    f"{_FLOATS}, {_TABLE}, {_FLOATS}, float32, {_ROWS})",
    nogil=True,
    cache=True,
    fastmath=_FAST,
)
def _score(  # type: ignore[no-untyped-def]
    seen,
    size,
    gains,
    of_request,
    request_bias,
    own,
    beside,
    pooled,
    pooled_bias,
    block,
    block_bias,
    whole,
    score,
    correct,
    out,
):
    n, m = out.shape
    d = len(request_bias)
    fetches = size > N_WORKER and seen.shape[1] == N_REQUEST + m * (N_WORKER + N_FETCH)
    x, least = np.zeros((m, size), np.float32), np.empty(size, np.float32)
    request, context = np.empty(N_REQUEST, np.float32), np.empty(d, np.float32)
    vectors, pool = np.empty((m, d), np.float32), np.empty(2 * d, np.float32)
    state, hidden = np.empty(d, np.float32), np.empty(d, np.float32)
    for row in range(n):
        for i in range(N_REQUEST):
            request[i] = seen[row, i] * gains[i]
        for w in range(m):
            at = N_REQUEST + w * N_WORKER
            for i in range(N_WORKER):
                x[w, i] = seen[row, at + i] * gains[N_REQUEST + i]
            if fetches:
                at = N_REQUEST + m * N_WORKER + w * N_FETCH
                for i in range(N_FETCH):
                    x[w, N_WORKER + i] = seen[row, at + i] * gains[N_REQUEST + N_WORKER + i]
        for i in range(size):
            least[i] = x[0, i]
            for w in range(1, m):
                least[i] = min(least[i], x[w, i])
        context[:] = request_bias
        _add(request, of_request, context)
        state[:] = np.float32(0.0)
        _add(least, beside, state)
        pool[:d] = np.float32(0.0)
        pool[d:] = np.float32(-1.0)
        for w in range(m):
            vector = vectors[w]
            for j in range(d):
                vector[j] = context[j] - state[j]
            _add(x[w], own, vector)
            for j in range(d):
                y = _tanh(vector[j])
                vector[j] = y
                pool[j] += y
                pool[d + j] = max(pool[d + j], y)
        for j in range(d):
            pool[j] /= np.float32(m)
            state[j] = context[j] + pooled_bias[j]
        _add(pool, pooled, state)
        for j in range(d):
            state[j] = _tanh(state[j])
        context[:] = block_bias
        _add(state, whole, context)
        for w in range(m):
            hidden[:] = context
            _add(vectors[w], block, hidden)
            total = np.float32(0.0)
            for j in range(d):
                total += _tanh(hidden[j]) * score[j]
            if correct != 0.0:
                prefill = _PREFILL_SCALE * np.expm1(x[w, _PREFILL])
                miss = _MISS_SCALE * np.expm1(x[w, _MISS])
                in_flight = _INFLIGHT_SCALE * np.expm1(x[w, _INFLIGHT])
                speed = _WORK_SCALE * max(x[w, _SPEED], np.float32(1e-3)) ** _SPEED_POWER
                total += correct * np.log1p((prefill + _MISS_WEIGHT * miss + _REQUEST_TOKENS * in_flight) / speed)
            out[row, w] = total
