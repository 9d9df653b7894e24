"""A generator fitted to a workload: arguments of `sessions` that make others like it, as many as one wants."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.workload.measure import continued, dispersion, nominal_arrivals, session_numbers
from kvgym.workload.sessions import sessions
from kvgym.workload.workload import Workload

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_SHARES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
_KINDS = (1, 2, 3, 5, 9, 17, 33, 65, 129, 10**9)
"""Sessions of k turns make kinds of their own, from each of these numbers to below the next one."""
_RESET = 0.5  # a prompt that keeps less of the one before it begins anew
_QUESTION = 16  # tokens; prompts that grow by less than this are questions about the same
_POOL = 64  # most prefixes of a kind
_STEP_S = 60.0
_ROUNDS = 4


def fit(workload: Workload) -> dict[str, Any]:
    """What a scenario needs to generate workloads like this one: "recipe" and "recipe_args", JSON values.

    Sessions (inferred where none are recorded) are sorted by their number of turns into kinds. Each kind has the
    quantiles of its own lengths, growths, answers and pauses, its share of turns that begin anew, and how often its
    sessions begin with the prefixes that several sessions have. Session starts are a Cox process with the dispersion
    at 60 and 300 s of those of the workload, or Poisson. Draws are independent of each other: what the figures of a
    kind do not tell (how lengths within a session hang together) is lost.

    Raises:
        ValueError: if there are fewer than 20 requests, or all arrive at one moment.
    """
    if len(workload) < 20:
        raise ValueError(f"a workload must have 20 requests at least to be fitted, got {len(workload)}")
    one = _Sessions(workload)
    arrivals = np.sort(one.times[workload.requests["predecessor"] < 0])
    span = float(arrivals[-1] - arrivals[0])
    if not span:
        raise ValueError("a workload must not arrive at one moment to be fitted")
    rate = len(workload) / span
    system = one.system_tokens()
    shares_more = one.shared[one.opens][np.argsort(one.session[one.opens])] > system
    parts = [(k, mask & more) for k, mask in enumerate(one.by_turns()) for more in (shares_more, ~shares_more)]
    parts = [(k, mask) for k, mask in parts if mask.any()]
    args: dict[str, Any] = {
        "rate": rate,
        "arrivals": _process(arrivals),
        "loop": "closed" if one.closed else "open",
        "lead_s": 0.0 if one.closed else round(float(np.quantile(one.durations(), 0.99)), 3),
        "system_tokens": system,
        "kinds": [one.kind(mask, system) for _, mask in parts],
    }
    if not one.closed:
        _allow_for_the_ends(args, [k for k, _ in parts], one, workload)
    return {"recipe": "sessions", "recipe_args": args}


def _allow_for_the_ends(args: dict[str, Any], classes: list[int], one: _Sessions, workload: Workload) -> None:
    """Changes shares of kinds, pauses and the rate, so that what is recorded of generated sessions is as one wants it.

    A trace has no first turns of sessions that began before it, and no last ones of those that go on: they look
    shorter. What is generated is cut in the same way, so that it would be cut twice.
    """
    target = one.seen()
    for seed in range(_ROUNDS):
        again = _Sessions(sessions(seed, workload.page_size, requests=len(workload), **args))
        seen = again.seen()
        ratio = np.clip(np.where(seen > 0, target / np.maximum(seen, 1e-12), 1.0), 0.5, 2.0)
        for k, kind in zip(classes, args["kinds"], strict=True):
            kind["share"] *= float(ratio[0, k])
            if "gap_s" in kind:
                kind["gap_s"] = _scaled(kind["gap_s"], float(ratio[1, k]))
        args["rate"] *= float(one.rate() / again.rate())
        if "sigma" in args["arrivals"]:
            short = [dispersion(np.sort(x.times), _STEP_S) - 1.0 for x in (one, again)]
            args["arrivals"]["sigma"] *= min(1.3, max(0.7, math.sqrt(max(0.0, short[0] / max(short[1], 1e-9)))))


def _scaled(given: Any, by: float) -> Any:
    """A law of values that are so many times as large."""
    if not isinstance(given, dict):
        return given * by
    ((name, pairs),) = given.items()
    return {name: [[share, value * by] for share, value in pairs]}


class _Sessions:
    """A workload's sessions; columns are of requests, in the workload's order, if nothing else is said."""

    def __init__(self, workload: Workload) -> None:
        requests, nodes = workload.requests, workload.nodes
        self.page_size = workload.page_size
        self.closed = bool((requests["predecessor"] >= 0).any())
        self.times = nominal_arrivals(workload)
        self.before = continued(workload, self.times)
        self.opens = self.before < 0
        self.session = session_numbers(workload, self.times)
        self.turns = np.bincount(self.session)  # of sessions
        self.prompt = requests["prompt_tokens"].astype(np.int64)
        self.output = requests["output_tokens"].astype(np.int64)
        later = np.flatnonzero(~self.opens)
        gap = requests["think_ps"] * 1e-12 if self.closed else self.times - self.times[self.before]
        self.gap = np.where(self.opens, 0.0, gap)
        # Tokens of the prompt's pages that several sessions use, and that the request before it had.
        user = np.repeat(self.session, requests["path_nodes"])
        lowest, highest = np.full(len(nodes), len(requests)), np.full(len(nodes), -1)
        np.minimum.at(lowest, workload.paths, user)
        np.maximum.at(highest, workload.paths, user)
        request = np.repeat(np.arange(len(requests)), requests["path_nodes"])
        end = (nodes["start_page"] + nodes["n_pages"])[workload.paths]
        shared = (lowest != highest)[workload.paths] & (end <= requests["prompt_pages"][request])
        self.shared = np.zeros(len(requests), np.int64)
        np.maximum.at(self.shared, request[shared], end[shared] * workload.page_size)
        self.group = np.full(len(requests), -1)  # the last node that several sessions use
        np.maximum.at(self.group, request[shared], workload.paths[shared])
        self.kept = np.zeros(len(requests), np.int64)
        for i in later.tolist():
            a, b = (self._path(workload, k) for k in (i, self.before[i]))
            same = min(len(a), len(b))
            common = int(np.cumprod(a[:same] == b[:same]).sum())
            if common:
                self.kept[i] = (nodes["start_page"] + nodes["n_pages"])[a[common - 1]] * workload.page_size

    @staticmethod
    def _path(workload: Workload, i: int) -> NDArray[np.int32]:
        row = workload.requests[i]
        return workload.paths[row["path_start"] : row["path_start"] + row["path_nodes"]]

    def durations(self) -> Floats:
        """Seconds from the first to the last request, of sessions."""
        first, last = np.full(len(self.turns), np.inf), np.full(len(self.turns), -np.inf)
        np.minimum.at(first, self.session, self.times)
        np.maximum.at(last, self.session, self.times)
        return np.asarray(last - first)

    def rate(self) -> float:
        """Requests per second."""
        return len(self.times) / float(self.times.max() - self.times.min())

    def by_turns(self) -> list[NDArray[np.bool_]]:
        """Masks of sessions, for each kind."""
        return [(self.turns >= low) & (self.turns < high) for low, high in pairwise(_KINDS)]

    def seen(self) -> Floats:
        """(2, kinds): share of each kind among the sessions, and its mean pause."""
        later = ~self.opens
        kinds = self.by_turns()
        gaps = [self.gap[later & mask[self.session]] for mask in kinds]
        return np.array([[mask.mean() for mask in kinds], [gap.mean() if len(gap) else 0.0 for gap in gaps]])

    def system_tokens(self) -> int:
        """What nearly all prompts begin with."""
        return int(np.quantile(self.shared[self.opens], 0.05, method="lower"))

    def kind(self, mask: NDArray[np.bool_], system: int) -> dict[str, Any]:
        """The description of the sessions of a mask."""
        of = mask[self.session]
        first, later = of & self.opens, of & ~self.opens
        prefix = np.maximum(0, self.shared[first] - system)
        groups, which, count = np.unique(self.group[first], return_inverse=True, return_counts=True)
        length = np.zeros(len(groups), np.int64)
        np.maximum.at(length, which, prefix)
        most = np.argsort(-count, kind="stable")[:_POOL]
        anew = later & (self.kept < _RESET * self.prompt[np.where(self.opens, 0, self.before)])
        grows = later & ~anew
        growth = self.prompt[grows] - self.prompt[self.before[grows]]
        again = len(growth) > 0 and np.median(growth) < _QUESTION
        made: dict[str, Any] = {
            "share": float(mask.mean()),
            "first": law(np.maximum(1, self.prompt[first] - np.maximum(self.shared[first], system))),
            "output": law(self.output[of]),
            "turns": law(self.turns[mask]),
        }
        if prefix.max() > 0:
            made |= {"prefixes": count[most].tolist(), "prefix_tokens": law(np.repeat(length, count))}
        if later.any():
            made |= {
                "growth": law(np.maximum(1, growth)),
                "gap_s": law(self.gap[later]),
                "reset": float(anew.sum() / later.sum()),
            }
            if anew.any():
                made["restart"] = law(np.maximum(1, self.prompt[anew] - np.maximum(self.shared[anew], system)))
        if again:
            made["keep"] = "first"
        return made


def law(values: NDArray[Any]) -> Any:
    """The law of `kvgym.workload.laws` that has the quantiles of some values; a value below 0.001 counts as that."""
    if not len(values):
        return 1.0
    values = np.maximum(0.001, np.sort(np.asarray(values, np.float64)))
    different, count = np.unique(values, return_counts=True)
    if len(different) == 1:
        return float(different[0])
    if len(different) <= 12:
        return {
            "mixture": [
                [float(share), float(value)] for share, value in zip(count / len(values), different, strict=True)
            ]
        }
    at = np.quantile(values, _SHARES)
    return {"quantiles": [[share, round(float(value), 6)] for share, value in zip(_SHARES, at, strict=True)]}


def _process(times: Floats) -> dict[str, Any]:
    """A Cox process with the dispersion of these times at 60 and 300 s, Poisson if that is about 1."""
    short, long = (dispersion(times, window) for window in (_STEP_S, 5 * _STEP_S))
    rate = len(times) / float(times[-1] - times[0])
    varies = (short - 1.0) / (rate * _STEP_S)  # relative variance of the rate over 60 s
    if not varies > 0.01 * 0.01 or short < 1.2:
        return {"process": "poisson"}
    ratio = (long - 1.0) / (5 * rate * _STEP_S) / varies if long > 1.0 else 0.0  # that over 300 s, relative to it
    low, high = 0.0, 0.99
    for _ in range(40):
        middle = 0.5 * (low + high)
        of_five = (5 + 2 * sum((5 - k) * middle**k for k in range(1, 5))) / 25
        low, high = (middle, high) if of_five < ratio else (low, middle)
    return {"process": "cox", "sigma": math.sqrt(math.log1p(varies)), "correlation": low, "step_s": _STEP_S}
