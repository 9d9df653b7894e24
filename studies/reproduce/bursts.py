"""Left open (a): arrivals that come in bursts, or whose prompts come together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .claims import NONE, Claim, Part, sweep
from .measures import times
from .settings import CA_LRU, LBGR_RLT, RANDOM_LRU, TUNED_RLT, Run, Setting, gsp

RATE = 9.0
SLOW = "LBGR, loads fade eight times as slowly + RLT"


def _setting(text: str, arrivals: Mapping[str, Any] | None = None, order: str = "random") -> Setting:
    changes: dict[str, Any] = {"arrivals": dict(arrivals)} if arrivals else {}
    return gsp(f"4 L40, {RATE:g} requests/s on average, {text}", rate=RATE, order=order, **changes)


ARRIVALS = {
    "Poisson": _setting("Poisson arrivals"),
    "Gamma gaps": _setting("Gamma gaps, coefficient of variation 3", {"process": "gamma", "cv": 3.0}),
    "clients": _setting("100 bursty clients as in ServeGen", {"process": "clients"}),
    "random rate": _setting(
        "the log-rate an AR(1) sequence, steps of 10 s",
        {"process": "cox", "sigma": 0.5, "correlation": 0.8, "step_s": 10},
    ),
    "two rates": _setting(
        "four times as fast for 20 s, about every 80 s", {"process": "markov", "levels": [1, 4], "dwell_s": [60, 20]}
    ),
    "on and off": _setting(
        "bursts of 10 s, pauses of 20 s at a quarter of their rate",
        {"process": "on_off", "on_s": 10, "off_s": 20, "off_level": 0.25},
    ),
    "groups together": _setting("Poisson arrivals, group after group", order="grouped"),
}


def _claims() -> tuple[Claim, ...]:
    claims = []
    for rival in (CA_LRU, TUNED_RLT):
        for name, setting in ARRIVALS.items():
            ours = times(Run(rival, setting), Run(LBGR_RLT, setting), "e2e_p95")
            claims.append(Claim(f"{rival} over LBGR + RLT: P95 latency, {name}", "", NONE, setting.text, ours, "x"))
    return tuple(claims)


PART = Part(
    "Left open: bursts",
    _claims(),
    (
        sweep(
            "Arrival processes",
            "arrivals",
            ARRIVALS,
            (RANDOM_LRU, CA_LRU, TUNED_RLT, LBGR_RLT, SLOW),
            ("e2e_p50", "e2e_p95", "ttft_p95", "hit_rate"),
        ),
    ),
)
