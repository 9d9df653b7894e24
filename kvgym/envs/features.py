"""The one table of the features of observations: what each is, in which unit, and how it is scaled.

Form "physical" holds the values in their units; form "scaled" holds them in [0, 1] (class and worker numbers excepted):
logarithmic features as log1p(x / scale) / log1p(cap / scale), linear ones as x / cap, both clipped at 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kvgym.sim.base.candidate_tables import CANDIDATE, columns

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

FETCH_FEATURES = (
    _log("fetch", "tokens", 256, _TOKENS, "prompt tokens that would hit on another worker and not here"),
    _log("fetch_s", "s", 0.01, 100, "until they would be here, the wait for the link included; 0 if there are none"),
)
"""Per worker, only where pages may be fetched from other workers."""

DECISION_FEATURES = (
    Feature("is_route", "", "1 if a ROUTE decision is due"),
    Feature("is_evict", "", "1 if an EVICT decision is due"),
)
"""Only where one agent takes both kinds of decision."""

EVICT_FEATURES = (
    Feature("asked_worker", "", "the worker that needs pages", IDENTITY, 1, 4095),
    _log("need_pages", "pages", 16, _TOKENS, "pages that are still wanted"),
    _log("decisions_left", "decisions", 1, _TOKENS, "the most that may be taken for them, this one included"),
    Feature("free", "", "share of the worker's KV pages that are free"),
    Feature("locked", "", "share that running requests lock"),
    Feature("unmarked", "", "share that is resident and has no mark (of RLT)"),
)

_OF_CANDIDATE = {
    "valid": Feature("valid", "", "1 if there is a leaf in the slot"),
    "drawn": Feature(
        "is_uniform", "", "1 if it was drawn from the unmarked leaves, 0 if it is one of the least recently used"
    ),
    "marked": Feature("marked", "", "1 if its last page is marked (by RLT's rule: used or loaded in this phase)"),
    "tail_pages": _log("tail_pages", "pages", 16, _TOKENS, "pages that may go: its tail (docs/semantics.md#d6-evict)"),
    "depth": _log("depth", "tokens", 256, _TOKENS, "tokens up to its end"),
    "recompute_s": _log("recompute", "s", 0.01, 100, "time to compute the tail again"),
    "idle_s": _log("idle", "s", 1, DAY_S, "since an admission or unlock touched its last page"),
    "age_s": _log("age", "s", 1, DAY_S, "since its last page entered"),
    "hits": _log("hits", "hits", 1, _REQUESTS, "admissions that touched its last page"),
    "reuse_gap_s": _log("reuse_gap", "s", 1, DAY_S, "mean idle time before these, 0 = no hit yet"),
    "sessions": _log("sessions", "sessions", 1, _REQUESTS, "sessions that used its last page, counted at each change"),
    "siblings": _log("siblings", "pages", 1, _REQUESTS, "other resident pages that follow the page above its tail"),
    "session_idle_s": _log(
        "session_idle", "s", 1, DAY_S, "since the last request of the session that used it last was routed"
    ),
    "session_turns": _log("session_turns", "turns", 1, 1024, "requests of that session routed so far"),
}
"""By their names in the simulator, whose kernel writes them."""
CANDIDATE_FEATURES = tuple(_OF_CANDIDATE[name] for name in CANDIDATE.names or ())

N_DECISION = len(DECISION_FEATURES)
N_REQUEST = len(REQUEST_FEATURES)
N_WORKER = len(WORKER_FEATURES)
N_FETCH = len(FETCH_FEATURES)
N_EVICT = len(EVICT_FEATURES)
N_CANDIDATE = len(CANDIDATE_FEATURES)


def _columns(features: tuple[Feature, ...]) -> Any:
    return columns([feature.name for feature in features])


DECISION, REQUEST = _columns(DECISION_FEATURES), _columns(REQUEST_FEATURES)
WORKER, FETCH = _columns(WORKER_FEATURES), _columns(FETCH_FEATURES)
WANTED = _columns(EVICT_FEATURES)
"""Places of the features in their block, by name: kernels write `block[WORKER.match]`."""
