"""A map of what the router does: is a worker chosen, by what it holds of the prompt and by how busy it is?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.learned import pretrained
from agents.learned.features import MISS_WEIGHT, REQUEST_TOKENS, SPEED_POWER
from agents.learned.kernel import Scorer
from kvgym.envs.features import DAY_S
from kvgym.envs.layout import Layout

from .watch import OTHER, watch

SCENARIO, POINTS = "gsp-stable", 81
AGES = (2.0, 60.0)
"""Seconds since the prefix was sent to the worker last, a panel each."""
BUSY = ("inflight", "waiting", "prefill", "active_with", "queued", "running", "queued_tokens", "kv_use", "gen_tps")
"""What grows with the load of a worker."""


def draw(network: str, out: Path) -> Path:
    """Draws it, on gsp-stable's typical state; needs matplotlib.

    One worker holds a part of the prompt and has a load; the others hold nothing and have the median load. Load is
    that of a median worker, times a factor.
    """
    from matplotlib.figure import Figure

    written = watch(network, SCENARIO, OTHER)
    layout = written.layout
    physical = np.median(layout.physical(written.seen), 0)
    for feature in layout.blocks["workers"].features:  # each worker a typical one
        place = layout.workers(feature.name)
        physical[place] = np.median(physical[place])
    prompt = physical[layout.request("prompt")]
    hits, loads = np.linspace(0, prompt, POINTS), np.linspace(0, 4, POINTS)
    scorer = Scorer(pretrained.read(network).weights)
    figure = Figure(figsize=(9, 3.9), layout="constrained")
    panels = figure.subplots(1, len(AGES), sharey=True)
    for age, axes in zip(AGES, panels, strict=True):
        states = _states(layout, physical, hits, loads, age)
        scores = scorer(np.stack([layout.scaled(one) for one in states]), layout.n_workers)
        best = scores[:, 1:].max(1)
        ahead = (scores[:, 0] - best).reshape(POINTS, POINTS)
        shown = axes.pcolormesh(hits, loads, 1 / (1 + np.exp(-ahead)), cmap="RdBu", vmin=0, vmax=1, rasterized=True)
        for costs, style, label in _rules(layout, states):
            lead = (costs[:, 1:].min(1) - costs[:, 0]).reshape(POINTS, POINTS)
            axes.contour(hits, loads, lead, [0.0], colors="black", linestyles=style)
            axes.plot([], [], color="black", linestyle=style, label=label)
        axes.set(xlabel="tokens of the prompt that would hit", title=f"prefix last sent there {age:.0f} s ago")
    panels[0].set_ylabel("load of the worker over that of the others")
    panels[0].legend(loc="upper left", fontsize=8)
    figure.colorbar(shown, ax=panels, label="weight of the worker against the best other")
    out.mkdir(parents=True, exist_ok=True)
    drawn = out / "router-map.png"
    figure.savefig(drawn, dpi=90)
    return drawn


def _states(layout: Layout, physical: Any, hits: Any, loads: Any, age: float) -> list[NDArray[np.float32]]:
    prompt = physical[layout.request("prompt")]
    found = []
    for load in loads:
        for hit in hits:
            state = physical.copy()
            for name, value, first in (
                ("match", 0.0, hit),
                ("miss", prompt, prompt - hit),
                ("match_age", DAY_S, age),
            ):
                state[layout.workers(name)] = value
                state[layout.workers(name).start] = first
            for name in BUSY:
                state[layout.workers(name).start] *= load
            found.append(state.astype(np.float32))
    return found


def _rules(layout: Layout, states: Any) -> list[tuple[NDArray[Any], str, str]]:
    """Costs of rules, (n, workers) each, with a style of line and a name."""
    seen = np.stack(states).astype(float)
    prefill, miss, inflight, speed = (
        seen[:, layout.workers(name)] for name in ("prefill", "miss", "inflight", "speed")
    )
    corrected = (prefill + MISS_WEIGHT * miss + REQUEST_TOKENS * inflight) / speed**SPEED_POWER
    return [((prefill + miss) * (inflight + 1), "dashed", "LMetric"), (corrected, "solid", "the rule it corrects")]
