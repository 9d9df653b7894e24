"""llm-d's latency-aware profile: trees that learn the time to first token while they route."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np

from kvgym import _check

from ..base import ARRIVAL, DECISION, FIRST_TOKEN, Floats, Info, Observation, Range, check_weights
from .llmd import LlmD

_TREES = {
    "objective": "quantile",
    "alpha": 0.9,
    "max_depth": 6,
    "learning_rate": 0.05,
    "feature_fraction": 0.8,
    "min_data_in_leaf": 20,
    "lambda_l1": 0.1,
    "lambda_l2": 0.1,
    "force_col_wise": True,
    "verbosity": -1,
    "deterministic": True,
    "num_threads": 1,
    "seed": 42,
}
_ROUNDS = 200
_QUEUES = (1, 3, 6, 11)
"""Waiting requests from which a sample is in the next bucket."""
_QUARTERS, _TWENTIETHS = 4, 20
_BUCKET_FEATURE = 6


class Sample(NamedTuple):
    """What was known when a request was sent; features as the trees take them."""

    worker: int
    features: tuple[float, ...]


class Trees:
    """Boosted trees of the time to first token (ms), trained anew on a bounded sample.

    Samples are kept by requests waiting (0, 1-2, 3-5, 6-10, more), twentieths of the KV memory in use and quarters of
    the prompt that match, so many of each, the oldest forgotten first: rare states stay known.

    Args:
        per_bucket: Samples of each.

    Raises:
        ValueError: If LightGBM is not installed.
    """

    def __init__(self, per_bucket: int) -> None:
        """Has seen nothing yet."""
        try:
            import lightgbm
        except ImportError as error:
            raise ValueError(
                'agent "llmd_predicted" needs the extra "trees": pip install "kvgym[trees]", in a checkout '
                f'-e ".[trees]" ({error})'
            ) from error
        self._library = lightgbm
        self._model: Any = None
        self._buckets: dict[tuple[int, ...], deque[tuple[float, ...]]] = defaultdict(lambda: deque(maxlen=per_bucket))
        self.n_samples = 0

    def add(self, features: tuple[float, ...], ttft_ms: float) -> None:
        """Takes in what a request took."""
        memory, _, waiting = features[:3]
        bucket = sum(waiting >= limit for limit in _QUEUES), min(int(memory * _TWENTIETHS), _TWENTIETHS - 1)
        self._buckets[(*bucket, int(features[_BUCKET_FEATURE]))].append((*features, ttft_ms))
        self.n_samples += 1

    def train(self) -> None:
        """Fits the trees to all samples that are kept."""
        rows = np.array([row for bucket in self._buckets.values() for row in bucket])
        data = self._library.Dataset(rows[:, :-1], rows[:, -1], categorical_feature=[_BUCKET_FEATURE])
        self._model = self._library.train(_TREES, data, _ROUNDS)

    def predict(self, features: Floats) -> Floats | None:
        """The 90th percentile of the time to first token (ms), a row of features each; None before the first fit."""
        if self._model is None:
            return None
        found: Floats = self._model.predict(features, num_threads=1)
        return found


@dataclass(kw_only=True, eq=False, repr=False)
class LlmDPredicted(LlmD):
    """llm-d's predicted latency: trees learned online say what a first token takes on each worker.

    1. Of the workers with at least `affinity` of the prompt's blocks, if there are any; all with probability `explore`,
       and where the best time expected of these is more than `penalty_s` above that of the best other worker.
    2. Of those that meet the request's target, if there are any; of the others with probability `explore`.
    3. Where nobody meets it and some worker has nothing in flight, these alone.
    4. One is drawn with weight 1 + int(100 x (1 - place)), place = (d_i - min d) / (max d - min d), d_i = |target -
       time expected|; a request without a target has one of 0.

    The time is the 90th percentile by `Trees` over the worker's KV memory in use, the prompt, requests waiting,
    requests in flight, the share of blocks that match, (1 - share) x prompt, and the share's quarter. They are trained
    every `period_s`, from `least` samples on; before that the weight is 100 x the mean of free memory, relative queue
    and match, rounded, at least 1.

    Source: the latency predictor of kubernetes-sigs/gateway-api-inference-extension (00745685),
    latencypredictor/training_server.py, with its parameters for LightGBM (XGBoost is its default); llm-d/llm-d-router,
    prefix-cache-affinity filter (066c20ea; 5 s and 1 % were its defaults before, now 18 s and none),
    slo-headroom-tier filter (45c38549) and latency scorer (2b0e7579). What differs: time per output token has no part
    (as there without streaming); training takes no time; a sample comes when its request is finished; of bagging and
    held-out samples there is nothing. Rhythm and sizes are those of a chart that ships the predictor (hermes-router:
    10 s, 100 samples, 500 of each kind; the code's own are 30 min, 1,000 and 10,000). The index is that of `LlmD`; its
    three weights are without effect. Needs the extra "trees".

    Args:
        affinity: See 1 (default 0.8).
        explore: See 1 and 2 (default 0.01).
        penalty_s: See 1 (default 5).
        period_s: See above (default 10).
        least: See above (default 100).
        per_bucket: Samples that are kept of each kind (default 500).
    """

    tunable: ClassVar[Mapping[str, Range]] = {"affinity": (0.05, 1.0), "penalty_s": (0.05, 20.0, "log")}
    affinity: float = 0.8
    explore: float = 0.01
    penalty_s: float = 5.0
    period_s: float = 10.0
    least: int = 100
    per_bucket: int = 500

    def __post_init__(self) -> None:
        """Checks the arguments."""
        super().__post_init__()
        self.affinity = _check.finite("affinity", self.affinity, 0.0, 1.0)
        self.explore = _check.finite("explore", self.explore, 0.0, 1.0)
        check_weights(self, "penalty_s")
        self.period_s = _check.finite("period_s", self.period_s, 1e-6)
        self.least, self.per_bucket = (_check.whole(name, getattr(self, name), 1) for name in ("least", "per_bucket"))

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.trees = Trees(self.per_bucket)
        self._sent: dict[int, Sample] = {}
        self._decisions = 0
        self._trained = 0.0

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        self._learn(info["time"])
        gone = self.fallen(info)
        if gone:
            self._sent = {decision: sent for decision, sent in self._sent.items() if sent.worker not in gone}
        share, up = self.matched(observation, gone), self.up(info)
        features = self.features(observation, share)
        expected = self.trees.predict(features)
        weights = (
            self._composite(observation, share, up)
            if expected is None
            else self._weights(
                expected, share, self.column(observation, "inflight"), up, 1e3 * float(observation[self.at["slo_ttft"]])
            )
        )
        self.scores = weights.tolist()
        place = int(np.searchsorted(weights.cumsum(), self.random.random() * weights.sum(), side="right"))
        worker = min(place, int(np.flatnonzero(weights)[-1]))
        self._sent[self._decisions] = Sample(worker, tuple(features[worker].tolist()))
        self._decisions += 1
        return self.sent(worker)

    def features(self, observation: Observation, share: Floats) -> Floats:
        """What the trees go by: float64 (n_workers, 7).

        Args:
            observation: As `act` is given it.
            share: Of the prompt's blocks, which each worker has: float64 (n_workers,).
        """
        prompt = float(observation[self.at["prompt"]])
        state = [self.column(observation, name) for name in ("kv_use", "queued", "inflight")]
        quarter = np.minimum(np.floor(share * _QUARTERS), _QUARTERS - 1)
        whole = np.full(self.n_workers, prompt)
        return np.column_stack([state[0], whole, state[1], state[2], share, (1.0 - share) * prompt, quarter])

    def _learn(self, now: float) -> None:
        """Takes in the requests that finished, and trains when it is time."""
        for row in self.env.finished().tolist():
            sent = self._sent.pop(int(row[DECISION]), None)  # none of those of the warm-up
            if sent is not None:
                self.trees.add(sent.features, 1e3 * (row[FIRST_TOKEN] - row[ARRIVAL]))
        if self.trees.n_samples >= self.least and now - self._trained >= self.period_s:
            self.trees.train()
            self._trained = now

    def _composite(self, observation: Observation, share: Floats, up: Any) -> Floats:
        """Weights before there is a prediction."""
        queued = self.column(observation, "queued")
        most = queued[up].max()
        relative = (most - queued) / most if most else np.ones(self.n_workers)
        parts = (1.0 - self.column(observation, "kv_use")) + relative + share
        return np.where(up, np.maximum(1.0, np.floor(100.0 * parts / 3.0 + 0.5)), 0.0)

    def _weights(self, expected: Floats, share: Floats, inflight: Floats, up: Any, target_ms: float) -> Floats:
        """Weights by the times expected (ms): steps 1 to 4."""
        among = up & (share >= self.affinity)
        others = up & ~among
        stays = among.any() and self.random.random() >= self.explore
        if not stays or (others.any() and expected[among].min() - expected[others].min() > 1e3 * self.penalty_s):
            among = up
        meets = among & (expected <= target_ms)
        if meets.any():
            fails = among & ~meets
            among = fails if fails.any() and self.random.random() < self.explore else meets
        if not (among & meets).any() and (among & (inflight == 0.0)).any():
            among = among & (inflight == 0.0)
        away = np.abs(target_ms - expected)
        low, spread = away[among].min(), np.ptp(away[among])
        place = (away - low) / spread if spread > 1e-9 else np.full(self.n_workers, 0.5)
        return np.where(among, 1.0 + np.floor(100.0 * (1.0 - place)), 0.0)
