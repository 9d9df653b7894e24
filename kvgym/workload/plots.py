"""A picture of a workload. matplotlib is an extra."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym import _atomic
from kvgym.workload.measure import figures, nominal_arrivals, reuse, session_numbers
from kvgym.workload.workload import Workload


def need_matplotlib() -> None:
    """Raises before work is done for nothing.

    Raises:
        ValueError: If matplotlib isn't installed.
    """
    if find_spec("matplotlib") is None:
        raise ValueError('pictures need matplotlib, which is not installed: pip install "kvgym[plot]"')


def plot(workload: Workload, path: Path) -> None:
    """Writes lengths, rate, hits by capacity, reuse times and distances, and turns of a workload; .png or .svg."""
    need_matplotlib()
    from matplotlib.figure import Figure

    times = nominal_arrivals(workload)
    found = reuse(workload, times)
    biggest = max(20, int(found.tokens.max(initial=2**19)).bit_length())
    capacities = [2**k for k in range(max(12, biggest - 12), biggest + 1)]
    one = figures(workload, capacities=capacities, arrivals=times)
    picture = Figure(figsize=(12, 7), layout="constrained")
    axes = picture.subplots(2, 3).ravel()
    picture.suptitle(f"{workload.name}: {len(workload):,} requests, hit without a limit {one.infinite_hit:.1%}")
    _shares(axes[0], "tokens of a request", [("prompt", workload.requests["prompt_tokens"], None),
                                             ("output", workload.requests["output_tokens"], None)])  # fmt: skip
    _rate(axes[1], np.sort(times))
    axes[2].plot(capacities, list(one.lru.values()), marker="o", label="LRU")
    axes[2].plot(capacities, list(one.opt.values()), marker="o", label="optimum")
    axes[2].axhline(one.infinite_hit, color="grey", linestyle="--", label="no limit")
    axes[2].set(xscale="log", xlabel="capacity of one cache (tokens)", ylabel="share of prompt tokens that hit")
    axes[2].set_ylim(bottom=0.0)
    axes[2].legend()
    _shares(axes[3], "seconds since the last use", [("pages that hit", found.seconds, found.pages)])
    _shares(axes[4], "different tokens used since", [("pages that hit", np.maximum(1, found.tokens), found.pages)])
    turns = np.bincount(session_numbers(workload, times))
    kind = "recorded" if one.sessions.recorded else "inferred"
    _shares(axes[5], f"requests of a session ({kind})", [("sessions", turns, None)])
    with _atomic.replacing(path) as temporary:
        picture.savefig(temporary, format=path.suffix.lstrip(".") or "png", dpi=110)


def _shares(axes: Any, label: str, columns: list[tuple[str, NDArray[Any], NDArray[Any] | None]]) -> None:
    """Cumulative shares over a logarithmic axis; what is below 0.001 is drawn there."""
    for name, values, weights in columns:
        if len(values):
            order = np.argsort(values)
            upto = np.cumsum(np.ones(len(values)) if weights is None else weights[order])
            thin = np.unique(np.linspace(0, len(values) - 1, 2000).astype(np.int64))
            axes.step(np.maximum(values[order], 1e-3)[thin], (upto / upto[-1])[thin], where="post", label=name)
    axes.set(xscale="log", xlabel=label, ylabel="share of them, cumulative", ylim=(0, 1))
    axes.legend()


def _rate(axes: Any, times: NDArray[np.float64]) -> None:
    """Requests per second in windows, at most 200 of them."""
    span = float(times[-1] - times[0])
    for window in (10.0, 60.0, 300.0):
        window = max(window, span / 200)
        counts = np.bincount(((times - times[0]) / window).astype(np.int64)) / window
        axes.step(np.arange(len(counts)) * window, counts, where="post", label=f"{window:,.0f} s")
    axes.set(xlabel="seconds", ylabel="requests per second")
    axes.set_ylim(bottom=0.0)
    axes.legend(title="mean over")
