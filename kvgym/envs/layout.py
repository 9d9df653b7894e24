"""The one table that lays out observations: which feature stands where, in which unit, and how it is scaled.

An observation is one flat float32 vector: the request block, then a block per worker. Form "physical" holds the values
in their units; form "scaled" holds them in [0, 1] (class numbers excepted): logarithmic features as
log1p(x / scale) / log1p(cap / scale), linear ones as x / cap, both clipped at 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from kvgym import _check

FORMS = ("scaled", "physical")
IDENTITY, LOGARITHMIC, LINEAR = range(3)

# Caps: larger values read as the cap in the scaled form. The first two are powers of two above what one worker holds.
_TOKENS = 2.0**18
_MANY_TOKENS = 2.0**24
_REQUESTS = 2.0**16
DAY_S = 86400.0


@dataclass(frozen=True)
class Feature:
    """One number of an observation.

    Attributes:
        name: Unique within its block.
        unit: Of the physical form.
        text: What it is.
        transform: IDENTITY, LOGARITHMIC or LINEAR.
        scale: Where the logarithm bends, in units.
        cap: Largest value that the scaled form tells apart; the largest value at all for IDENTITY.
    """

    name: str
    unit: str
    text: str
    transform: int = IDENTITY
    scale: float = 1.0
    cap: float = 1.0


def _log(name: str, unit: str, scale: float, cap: float, text: str) -> Feature:
    return Feature(name, unit, text, LOGARITHMIC, scale, cap)


REQUEST_FEATURES = (
    _log("prompt", "tokens", 256, _TOKENS, "length of the prompt"),
    _log("output_hint", "tokens", 64, 2.0**15, "hint of the output length, 0 = none"),
    _log("turn", "turns", 1, 1024, "turn of the session, from 0"),
    Feature("has_prev", "", "1 if an earlier turn of the session has been routed"),
    _log("session_gap", "s", 1, DAY_S, "since the session's last turn was routed; a day if there was none"),
    Feature("prefix_u", "", "hash of the first 256 tokens"),
    Feature("session_u", "", "hash of the session"),
    Feature("class", "", "service class", IDENTITY, 1, 15),
    _log("slo_ttft", "s", 0.1, 1000, "objective for the time to first token, 0 = none"),
    _log("slo_tpot", "s", 0.01, 100, "objective for the time per output token, 0 = none"),
    _log("route_gap", "s", 0.01, 1000, "since the last ROUTE decision"),
    Feature("rate_10s", "1/s", "arrivals per second over the last 10 s", LINEAR, 1, 100),
    Feature("rate_60s", "1/s", "arrivals per second over the last 60 s", LINEAR, 1, 100),
    Feature("remaining", "", "share of the episode's decisions still to come, this one included"),
)

WORKER_FEATURES = (
    Feature("up", "", "1 while the worker serves"),
    Feature("speed", "", "prefill rate over that of the fastest worker"),
    Feature("kv_size", "", "KV pages over those of the largest worker"),
    _log("match", "tokens", 256, _TOKENS, "prompt tokens that would hit, as the view shows the cache"),
    _log("miss", "tokens", 256, _TOKENS, "prompt tokens that would be computed"),
    _log(
        "match_age",
        "s",
        1,
        DAY_S,
        "since a prompt with the deepest matched page that prompts sent here had was sent; a day if none",
    ),
    Feature("is_prev", "", "1 if it served the session's last turn"),
    _log("index_tokens", "tokens", 1024, _MANY_TOKENS, "tokens that the view shows on this worker"),
    _log("inflight", "requests", 4, _REQUESTS, "sent and not finished"),
    _log("waiting", "requests", 4, _REQUESTS, "sent and without a first token"),
    _log("n_sent", "requests", 4, _REQUESTS, "sent since the start"),
    _log("prefill", "tokens", 1024, _MANY_TOKENS, "estimated misses of the waiting requests"),
    _log("active_with", "tokens", 1024, _MANY_TOKENS, "distinct prompt tokens in flight if this request joins"),
    _log("sent_since_snapshot", "tokens", 1024, _MANY_TOKENS, "estimated misses sent since the last metrics snapshot"),
    _log("ttft_ewma", "s", 0.1, 1000, "moving average of the time to first token, gain 1/16"),
    _log("tpot_ewma", "s", 0.01, 100, "moving average of the time per output token, gain 1/16"),
    _log("queued", "requests", 4, _REQUESTS, "requests in the engine's queue (metrics snapshot)"),
    _log("running", "requests", 4, _REQUESTS, "requests in the engine's batch (metrics snapshot)"),
    _log("queued_tokens", "tokens", 1024, _MANY_TOKENS, "tokens in the engine's queue (metrics snapshot)"),
    Feature("kv_use", "", "share of KV pages locked by running requests (metrics snapshot)"),
    Feature(
        "gen_tps", "tokens/s", "output tokens per second of the current iteration (metrics snapshot)", LINEAR, 1, 20000
    ),
    _log("age", "s", 0.01, 100, "age of the metrics snapshot"),
)

N_REQUEST = len(REQUEST_FEATURES)
N_WORKER = len(WORKER_FEATURES)


@dataclass(frozen=True)
class Layout:
    """Where the features of an observation stand.

    Attributes:
        n_workers: Number of worker blocks.
    """

    n_workers: int

    @property
    def size(self) -> int:
        """Length of an observation."""
        return N_REQUEST + self.n_workers * N_WORKER

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The feature at each position."""
        return REQUEST_FEATURES + WORKER_FEATURES * self.n_workers

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each position: "prompt", .., "w0.up", .., "w1.up", .."""
        blocks = [f"w{w}.{feature.name}" for w in range(self.n_workers) for feature in WORKER_FEATURES]
        return tuple(feature.name for feature in REQUEST_FEATURES) + tuple(blocks)

    def request(self, name: str) -> int:
        """Position of a request feature.

        Raises:
            ValueError: If there is no such feature; the message lists those that exist.
        """
        names = [feature.name for feature in REQUEST_FEATURES]
        return names.index(_check.choice("name", name, names))

    def workers(self, name: str) -> slice:
        """Positions of a worker feature: a slice that gives it for all workers, in their order.

        Raises:
            ValueError: If there is no such feature; the message lists those that exist.
        """
        names = [feature.name for feature in WORKER_FEATURES]
        return slice(N_REQUEST + names.index(_check.choice("name", name, names)), self.size, N_WORKER)

    def space(self, form: str) -> spaces.Box:
        """The observation space of a form: finite bounds; those of "physical" never bind."""
        if _check.choice("observation", form, FORMS) == "physical":
            high: Any = np.full(self.size, np.finfo(np.float32).max, np.float32)
        else:
            high = np.array([f.cap if f.transform == IDENTITY else 1.0 for f in self.features], np.float32)
        return spaces.Box(np.zeros(self.size, np.float32), high, dtype=np.float32)

    def physical(self, scaled: NDArray[np.float32]) -> NDArray[np.float64]:
        """Undoes the scaling of an observation, up to float32 rounding and clipping."""
        features = self.features
        transform = np.array([f.transform for f in features])
        scale = np.array([f.scale for f in features])
        cap = np.array([f.cap for f in features])
        x = np.asarray(scaled, np.float64)
        logarithmic = scale * np.expm1(x * np.log1p(cap / scale))
        return np.where(transform == LOGARITHMIC, logarithmic, np.where(transform == LINEAR, x * cap, x))
