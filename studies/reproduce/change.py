"""Left open (c): LBGR when hardware, models or requests change under it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .claims import NONE, Claim, Part, Sweep
from .measures import Mean
from .probes import AT_S, BIN_S, FROM_S, UNTIL_S, WINDOWS, accuracy, errors, probe

FACTOR = 3.4
"""How many times as long an L40S takes for a prefill of Llama-3.1-8B as an H100, by their fitted costs."""


def _slowed(factor: float) -> dict[str, Any]:
    """Worker 0 takes `factor` times as long from `AT_S` on, for good."""
    slow = {"kind": "slow-down", "worker": 0, "time_s": AT_S, "duration_s": 1e5, "factor": factor}
    return {"faults": {"schedule": [slow]}, "episode_requests": 2600}


def _other_requests() -> dict[str, Any]:
    """From `AT_S` on other groups with prompts twice as long and answers four times, fewer of them."""
    longer = {"rate": 12.0, "output_tokens": 256, "lengths": [1024, 2048, 4096, 8192, 16384]}
    parts = [
        {"recipe": "gsp", "recipe_args": {"rate": 28.0, "output_tokens": 64}, "until_s": AT_S},
        {"recipe": "gsp", "recipe_args": longer, "start_s": AT_S},
    ]
    return {"faults": {}, "recipe": "mix", "recipe_args": {"parts": parts}, "episode_requests": 1800}


SLOWER, FASTER = f"worker 0 becomes {FACTOR:g} times as slow", "worker 0 becomes twice as fast"
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "nothing changes": {"faults": {}, "episode_requests": 2600},
    SLOWER: _slowed(FACTOR),
    FASTER: _slowed(0.5),
    "prompts twice as long, answers four times": _other_requests(),
}
"""By what changes after 60 s on `straggler`: its four H100 without its faults. A larger model on a worker is a slower
worker here: fleets of two models are not simulated."""

FORMS: Mapping[str, Mapping[str, Any]] = {
    "LBGR, bounded": {},
    "LBGR, the paper's form": {"bound": None},
    "LBGR, nothing learned": {"rate": 0.0},
}
ROUTERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **{name: ("lbgr", form) for name, form in FORMS.items()},
    "LBGR, the code's form": ("lbgr_code", {}),
    "cache-aware 0.3": ("cache_aware", {"threshold": 0.3}),
    "fewest in flight": ("least_loaded", {}),
    "random": ("random", {}),
}
TIMES = [FROM_S + BIN_S * step for step in range(round((UNTIL_S - FROM_S) / BIN_S))]


def _errors(title: str, overrides: Mapping[str, Any]) -> Sweep:
    cells = {}
    for start in TIMES:
        for name, form in FORMS.items():
            run = probe(errors, overrides, form=form)
            cells[f"{start:g}", f"{name}, worker 0", "error"] = Mean(run, f"0 at {start:g}")
            cells[f"{start:g}", f"{name}, others", "error"] = Mean(run, f"others at {start:g}")
    return Sweep(f"Error of the estimate: {title}", "s", cells)


def _accuracy() -> Sweep:
    cells = {}
    for title, overrides in CHANGES.items():
        for name, (agent, args) in ROUTERS.items():
            run = probe(accuracy, overrides, agent=agent, args=args)
            for number in (*(f"right {window}" for window in WINDOWS), "lost later"):
                cells[title, name, number] = Mean(run, number)
    return Sweep("Routing accuracy", "what changes", cells)


def _claims() -> tuple[Claim, ...]:
    claims = []
    for title in (SLOWER, FASTER):
        overrides = CHANGES[title]
        for name, form in FORMS.items():
            run = probe(errors, overrides, form=form)
            for start, when in ((50, "the 10 s before"), (60, "the first 10 s"), (100, "after 40 s")):
                text = f"{name}: error for worker 0, {when}; {title}"
                claims.append(Claim(text, "", NONE, title, Mean(run, f"0 at {start}")))
            lost = Mean(probe(accuracy, overrides, agent="lbgr", args=form), "lost later")
            claims.append(Claim(f"{name}: seconds lost from 20 s on; {title}", "", NONE, title, lost, "s"))
    return tuple(claims)


PART = Part(
    "Left open: changes",
    _claims(),
    (*(_errors(title, overrides) for title, overrides in CHANGES.items()), _accuracy()),
)
