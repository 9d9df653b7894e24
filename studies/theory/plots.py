"""Figures of what `theory` measures. The functions that draw take matplotlib axes; matplotlib is an extra."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kvgym import _atomic

from .measure import OPTIMUM, HitRate, Ratio
from .values import harmonic

# Evictors of one family share a hue, so that the message is seen before the legend is read.
COLOURS = {
    "lru": "#c0392b",
    "lru_node": "#e67e22",
    "fifo": "#8e5a2b",
    "lfu": "#c77dbb",
    "random": "#2e8b57",
    "rlt": "#1f5fa8",
    "rlt_code": "#5aa5dc",
    "belady": "#555555",
}
MARKERS = dict(zip(COLOURS, "osv^DPX*", strict=True))
End = tuple[float, str, str]  # of a curve: where it ends, its name, its colour
_GUIDE: dict[str, Any] = {"color": "#999999", "lw": 1, "ls": (0, (4, 3)), "zorder": 1}
_TOGETHER = 1.12  # ends of curves closer than this factor get one label
_TITLES = {
    "cyclic": "cyclic order",
    "random": "random order",
    "stale": "one prompt in k changes now and then",
}


def need_matplotlib() -> None:
    """Checks that figures can be made.

    Raises:
        ValueError: If matplotlib isn't installed.
    """
    if find_spec("matplotlib") is None:
        raise ValueError('figures need matplotlib, which is not installed: pip install "kvgym[plot]"')


def draw_ratios(axis: Any, found: Sequence[Ratio], order: str) -> None:
    """Ratio against k of each evictor but the optimum on one order, beside the lines k and H_k.

    On the random order all curves are one: there only points are drawn, and the axis is not logarithmic.
    """
    mine = [one for one in found if one.order == order and one.evictor != OPTIMUM]
    sizes = sorted({one.k for one in mine})
    apart = order != "random"
    ends: list[End] = []
    for place, evictor in enumerate(dict.fromkeys(one.evictor for one in mine)):
        values = {one.k: one.ratio for one in mine if one.evictor == evictor}
        style: dict[str, Any] = {"ms": 4.5, "lw": 1.6} if apart else {"ms": 8, "lw": 0, "mfc": "none"}
        axis.plot(sizes, [values[k] for k in sizes], **_curve(evictor, place), **style)
        ends.append((values[sizes[-1]], evictor, COLOURS[evictor]))
    guides: dict[str, Callable[[int], float]] = {"k": float, "H$_k$": harmonic} if apart else {"H$_k$": harmonic}
    for name, line in guides.items():
        axis.plot(sizes, [line(k) for k in sizes], **_GUIDE)
        ends.append((line(sizes[-1]), name, "#777777"))
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, [str(k) for k in sizes])
    axis.set(xlabel="k, places for k + 1 prompts", ylabel="misses / misses of the optimum", title=_TITLES[order])
    if apart:
        axis.set_yscale("log", base=2)
        ticks = [2**i for i in range(max(sizes).bit_length() + 1) if 2**i <= 1.1 * max(sizes)]
        axis.set_yticks(ticks, [str(tick) for tick in ticks])
        _label_ends(axis, ends)
    else:
        axis.set_ylim(1, None)
        _label_ends(axis, ends[-1:])
        axis.legend(frameon=False, loc="lower right", ncols=2)
    _tidy(axis)


def _curve(evictor: str, place: int) -> dict[str, Any]:
    return {"color": COLOURS[evictor], "marker": MARKERS[evictor], "label": evictor, "zorder": 9 - place}


def _label_ends(axis: Any, ends: Sequence[End]) -> None:
    """Names curves where they end, guides last; curves that end together share a label."""
    groups: list[list[End]] = []
    for end in sorted(ends):
        if groups and end[0] <= groups[-1][-1][0] * _TOGETHER:
            groups[-1].append(end)
        else:
            groups.append([end])
    for group in groups:
        named = sorted(group, key=list(ends).index)
        names = [name for _, name, _ in named]
        text = ",\n".join(", ".join(names[i : i + 4]) for i in range(0, len(names), 4))
        place = (axis.get_xlim()[1], group[len(group) // 2][0])
        style = {"textcoords": "offset points", "va": "center", "color": named[0][2], "annotation_clip": False}
        axis.annotate(text, place, (6, 0), **style)


def draw_hit_rates(axis: Any, rates: Sequence[HitRate], mixed: bool) -> None:
    """Hit rate against W / B of each evictor on the cyclic groups of one kind of lengths."""
    mine = [one for one in rates if one.mixed == mixed]
    for place, evictor in enumerate(dict.fromkeys(one.evictor for one in mine)):
        points = sorted((one.ratio, one.hit_rate) for one in mine if one.evictor == evictor)
        axis.plot(*zip(*points, strict=True), ms=3.5, lw=1.6, **_curve(evictor, place))
    axis.axvline(1, **_GUIDE)
    axis.set(
        xlabel="W / B, tokens of a round over tokens of the cache",
        ylabel="hit rate",
        ylim=(-0.015, 0.53),
        title="lengths 1 : 2 : 4 : 8 : 16" if mixed else "equal lengths",
    )
    _tidy(axis)


def _tidy(axis: Any) -> None:
    axis.grid(alpha=0.25)
    axis.minorticks_off()
    axis.spines[["top", "right"]].set_visible(False)


def save_figures(folder: Path, found: Sequence[Ratio], rates: Sequence[HitRate]) -> None:
    """Writes ratios.png and hit_rates.png into `folder`, as far as there is something to draw."""
    from matplotlib.figure import Figure

    if orders := list(dict.fromkeys(one.order for one in found)):
        figure = Figure(figsize=(5.6 * len(orders), 4.2), layout="constrained")
        for axis, order in zip(figure.subplots(1, len(orders), squeeze=False)[0], orders, strict=True):
            draw_ratios(axis, found, order)
        _write(figure, folder / "ratios.png")
    if rates:
        figure = Figure(figsize=(11, 4.2), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for axis, mixed in zip(axes, (False, True), strict=True):
            draw_hit_rates(axis, rates, mixed)
        axes[0].legend(frameon=False)
        _write(figure, folder / "hit_rates.png")


def _write(figure: Any, path: Path) -> None:
    with _atomic.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
