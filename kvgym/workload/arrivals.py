"""When requests arrive: open loop (processes by name) and closed loop (after a predecessor and a pause).

A process is a function (seed, n, rate, **its own settings) and a row of `PROCESSES`. Those that change the rate over
time stretch and squeeze another process, `of`: Poisson unless it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kvgym import _check, _compile
from kvgym._check import finite, whole
from kvgym.workload.checks import positive, wholes
from kvgym.workload.random import (
    ARRIVALS,
    BASES,
    CLIENTS,
    DWELLS,
    STATES,
    THINK,
    Seed,
    Stream,
    negative_log,
    power,
    spawned,
)

KERNELS = "kvgym.workload.arrival_kernels"
Floats = NDArray[np.float64]
Process = Mapping[str, Any]
"""A process by its name and settings, such as {"process": "gamma", "rate": 12, "cv": 2}."""


class Arrivals(NamedTuple):
    """When requests arrive, (n,) float64 seconds in ascending order; of which client, where the process has clients."""

    seconds: Floats
    clients: NDArray[np.int64] | None = None


def arrive(seed: Seed, n: int, process: Process | None = None, rate: float | None = None) -> Arrivals:
    """The first n arrivals of a process: the same first ones for a larger n.

    Args:
        seed: the workload's seed.
        n: requests, >= 1.
        process: name ("process", one of `PROCESSES`), "rate" and settings; default: Poisson.
        rate: requests per second, > 0, where `process` gives none.

    Raises:
        ValueError: for a name or a setting that is not known or not allowed.
    """
    whole("n", n, 1)
    given = {"process": "poisson", "rate": rate, **_check.mapping("arrivals", {} if process is None else process)}
    name = _check.choice("process of arrivals", given.pop("process"), PROCESSES)
    _check.keywords(f"arrivals, process {name!r}", given, PROCESSES[name], first=2)
    positive("rate", given["rate"])
    return PROCESSES[name](seed, n, **given)


def poisson_arrivals(seed: Seed, n: int, rate: float) -> Floats:
    """Poisson arrivals, the first one at 0: (n,) float64 seconds, the same first ones for a larger n.

    Args:
        seed: the workload's seed.
        n: requests, >= 1.
        rate: requests per second, > 0.
    """
    whole("n", n, 1)
    positive("rate", rate)
    gaps = Stream(seed, ARRIVALS).exponential(n - 1) / rate
    return np.append(0.0, np.cumsum(gaps))


def slotted_arrivals(seed: Seed, n: int, slot_s: float, probability: float) -> Floats:
    """At each slot boundary 0, slot_s, 2 slot_s, .. one arrival with the given probability, else none.

    The rate is probability / slot_s. Returns (n,) float64 seconds, the same first ones for a larger n.

    Args:
        seed: the workload's seed.
        n: requests, >= 1.
        slot_s: length of a slot in seconds, > 0.
        probability: in (0, 1].
    """
    whole("n", n, 1)
    positive("slot_s", slot_s)
    positive("probability", probability, 1.0)
    exponential = Stream(seed, ARRIVALS).exponential(n)
    if probability == 1.0:
        empty_slots = np.zeros(n)
    else:
        empty_slots = np.floor(exponential / negative_log(np.array([1.0 - probability])))
    return (np.cumsum(empty_slots + 1.0) - 1.0) * slot_s


def think_times(seed: Seed, n: int, mean_s: float) -> Floats:
    """Exponential pauses of a closed loop: (n,) float64 seconds, the same first ones for a larger n."""
    whole("n", n, 1)
    finite("mean_s", mean_s)
    return Stream(seed, THINK).exponential(n) * mean_s


def chain(keys: ArrayLike) -> NDArray[np.int64]:
    """Closed-loop predecessors: for each request the latest earlier one with the same key, -1 = none.

    Args:
        keys: (n,) integers, such as the session of each request.

    Returns:
        (n,) int64.
    """
    key = wholes("keys", keys, None, -(2**62), 2**62)
    order = np.argsort(key, kind="stable")
    predecessor = np.full(len(key), -1)
    same = key[order[1:]] == key[order[:-1]]
    predecessor[order[1:][same]] = order[:-1][same]
    return predecessor


def _poisson(seed: Seed, n: int, rate: float) -> Arrivals:
    """Independent of each other, as of very many users."""
    return Arrivals(poisson_arrivals(seed, n, rate))


def _constant(seed: Seed, n: int, rate: float) -> Arrivals:
    """Equal gaps."""
    return Arrivals(np.arange(n) / rate)


def _gamma(seed: Seed, n: int, rate: float, *, cv: float) -> Arrivals:
    """Independent gaps of a Gamma distribution; `cv` is their coefficient of variation (1 = Poisson), 0.01 to 100."""
    return _renewal("gamma", seed, n, rate, finite("cv", cv, 0.01, 100.0))


def _weibull(seed: Seed, n: int, rate: float, *, cv: float) -> Arrivals:
    """Independent gaps of a Weibull distribution; `cv` is their coefficient of variation (1 = Poisson), 0.02 to 100."""
    return _renewal("weibull", seed, n, rate, finite("cv", cv, 0.02, 100.0))


def _renewal(law: str, seed: Seed, n: int, rate: float, cv: float) -> Arrivals:
    gaps = getattr(_compile.load(KERNELS), law)(Stream(seed, ARRIVALS).raw(n - 1), cv)
    return Arrivals(np.append(0.0, np.cumsum(gaps / rate)))


def _clients(
    seed: Seed,
    n: int,
    rate: float,
    *,
    clients: int = 100,
    zipf: float = 1.2,
    shift: float = 0.0,
    cv: float = 1.2,
    cv_p90: float = 6.0,
) -> Arrivals:
    """Of clients at once, as in ServeGen: the k-th has a rate proportional to (k + shift)^-zipf and Gamma gaps.

    Their coefficients of variation are log-normal, with median `cv` and 90 % quantile `cv_p90` >= cv.
    """
    places = np.arange(1.0, whole("clients", clients, 1) + 1.0) + finite("shift", shift)
    finite("cv", cv, 0.01, 100.0)
    finite("cv_p90", cv_p90, cv, 1000.0)
    weights = power(places, -finite("zipf", zipf, 0.0, 10.0))
    spread = float(negative_log(np.array([cv / cv_p90]))[0]) / 1.2815515655446004  # the normal distribution's quantile
    cvs = np.clip(cv * Stream(seed, CLIENTS).lognormal(clients, 0.0, spread), 0.01, 100.0)
    gaps = np.cumsum(weights)[-1] / (weights * rate)
    return Arrivals(*_compile.load(KERNELS).merge_gammas(Stream(seed, ARRIVALS).raw(clients), gaps, cvs, n))


class _Pieces(NamedTuple):
    """How the rate goes, piece after piece: seconds, and the rate at the beginning and at the end of each."""

    seconds: Floats
    first: Floats
    last: Floats


def _modulated(
    seed: Seed, n: int, rate: float, of: Process | None, pieces: Callable[[int], _Pieces], repeat: int | None = None
) -> Arrivals:
    """The process `of`, on a clock that runs as fast as the pieces say; `pieces(k)` are the first k, relative to 1."""
    base = arrive(seed if of is None else spawned(seed, BASES), n, of, rate)
    k = 64
    while True:
        one = pieces(k)
        ends = np.cumsum(one.seconds * (0.5 * (one.first + one.last)))
        if ends[-1] > base.seconds[-1]:
            break
        if ends[-1] > 1e12:
            raise ValueError(f"arrivals must come within {ends[-1]:g} s, {n} of them do not")
        k *= 2
    place = np.searchsorted(ends, base.seconds, side="right")
    left = base.seconds - np.append(0.0, ends)[place]
    # In a piece whose rate goes from a to b in d seconds, `left` = a t + (b - a) t^2 / (2 d).
    a, slope = one.first[place], ((one.last - one.first) / one.seconds)[place]
    root = a + np.sqrt(np.maximum(0.0, a * a + 2.0 * slope * left))
    inside = np.where(left > 0.0, 2.0 * left / np.where(root > 0.0, root, 1.0), 0.0)
    begins = np.append(0.0, np.cumsum(one.seconds))[place]
    return Arrivals(np.maximum.accumulate(begins + np.minimum(inside, one.seconds[place])), base.clients)


def _markov(
    seed: Seed,
    n: int,
    rate: float,
    *,
    levels: Sequence[float] = (1.0, 8.0),
    dwell_s: Sequence[float] = (90.0, 10.0),
    of: Process | None = None,
) -> Arrivals:
    """Markov-modulated: the rate is one of several `levels`, each for an exponential time of mean `dwell_s`.

    The next level is any of the others. Levels are relative to each other; the mean rate is `rate`.
    """
    level, dwell = np.array(_listed("levels", levels)), np.array(_listed("dwell_s", dwell_s))
    if not len(level) == len(dwell) >= 2 or not dwell.all() or not level.any():
        raise ValueError(f"levels and dwell_s must be two or more and as many, got {levels!r} and {dwell_s!r}")
    level = level * np.cumsum(dwell)[-1] / np.cumsum(level * dwell)[-1]

    def pieces(k: int) -> _Pieces:
        steps = 1 + Stream(seed, STATES).integers(k, len(level) - 1)
        state = (np.cumsum(steps) - 1) % len(level)
        rates = level[state]
        return _Pieces(np.maximum(1e-12, dwell[state] * Stream(seed, DWELLS).exponential(k)), rates, rates)

    return _modulated(seed, n, rate, of, pieces)


def _on_off(
    seed: Seed,
    n: int,
    rate: float,
    *,
    on_s: float = 10.0,
    off_s: float = 90.0,
    off_level: float = 0.0,
    of: Process | None = None,
) -> Arrivals:
    """Bursts of mean length `on_s`, pauses of mean length `off_s`; the rate in a pause is `off_level` times that."""
    return _markov(seed, n, rate, levels=(1.0, finite("off_level", off_level)), dwell_s=(on_s, off_s), of=of)


def _cox(
    seed: Seed,
    n: int,
    rate: float,
    *,
    sigma: float = 0.5,
    correlation: float = 0.8,
    step_s: float = 60.0,
    of: Process | None = None,
) -> Arrivals:
    """Cox: the logarithm of the rate is a Gaussian AR(1) sequence of standard deviation `sigma`, a value each `step_s`.

    `correlation` is that of neighbours. The mean rate is `rate`.
    """
    finite("sigma", sigma, 0.0, 5.0)
    finite("correlation", correlation, 0.0, 0.9999)
    positive("step_s", step_s)

    levels = _compile.load(KERNELS).cox_levels

    def pieces(k: int) -> _Pieces:
        level = levels(Stream(seed, STATES).raw(k), sigma, correlation)
        return _Pieces(np.full(k, step_s), level, level)

    return _modulated(seed, n, rate, of, pieces)


def _profile(
    seed: Seed,
    n: int,
    rate: float,
    *,
    times_s: Sequence[float],
    levels: Sequence[float],
    period_s: float | None = None,
    of: Process | None = None,
) -> Arrivals:
    """The rate is `rate` times a level that goes straight from each of `times_s` to the next; the first time is 0.

    After the last one it stays, or begins again every `period_s`. Equal neighbours in `times_s` are a jump.
    """
    times, level = (np.array(_listed(name, one)) for name, one in (("times_s", times_s), ("levels", levels)))
    if len(times) != len(level) or not len(times) or times[0] != 0.0 or (np.diff(times) < 0).any():
        raise ValueError(f"times_s must ascend from 0, as many as levels; got {times_s!r} and {levels!r}")
    end = 1e12 if period_s is None else finite("period_s", period_s, float(times[-1]))
    seconds, first, last = np.diff(times, append=end), level, np.append(level[1:], level[-1])
    seconds, first, last = (one[seconds > 0.0] for one in (seconds, first, last))
    if not (first.any() or last.any()) or (period_s is None and level[-1] == 0.0):
        raise ValueError(f"levels must have one > 0, and at the end without period_s; got {levels!r}")
    if period_s is None:
        return _modulated(seed, n, rate, of, lambda _: _Pieces(seconds, first, last))
    return _modulated(seed, n, rate, of, lambda k: _Pieces(*(np.tile(one, k) for one in (seconds, first, last))))


def _listed(name: str, values: Any) -> list[float]:
    """Numbers >= 0 of a list."""
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"{name} must be a list of numbers, got {values!r}")
    return [finite(name, value) for value in values]


def _diurnal(
    seed: Seed,
    n: int,
    rate: float,
    *,
    peak_to_trough: float = 2.0,
    period_s: float = 86_400.0,
    phase: float = 0.0,
    of: Process | None = None,
) -> Arrivals:
    """A sine of mean `rate`; `phase` is the part of the period that is over at time 0, at phase 0 the rate rises."""
    swing = (finite("peak_to_trough", peak_to_trough, 1.0) - 1.0) / (peak_to_trough + 1.0)
    times = np.linspace(0.0, 1.0, 97)
    levels = 1.0 + swing * _sine(times + finite("phase", phase, 0.0, 1.0))
    seconds = positive("period_s", period_s) * times
    of_period = {"times_s": seconds.tolist(), "levels": levels.tolist(), "period_s": float(seconds[-1])}
    return _profile(seed, n, rate, **of_period, of=of)


def _sine(turns: Floats) -> Floats:
    """Sines of numbers of turns, by additions and multiplications alone: to 1e-12."""
    x = 6.283185307179586 * (turns - np.rint(turns))
    series = np.ones_like(x)
    for k in range(26, 0, -2):
        series = 1.0 - series * x * x / (k * (k + 1))
    return x * series


def _ramp(
    seed: Seed, n: int, rate: float, *, factor: float, over_s: float, start_s: float = 0.0, of: Process | None = None
) -> Arrivals:
    """`rate` until `start_s`, then within `over_s` straight to `factor` times that, which stays."""
    start, end = finite("start_s", start_s), finite("start_s", start_s) + positive("over_s", over_s)
    return _profile(seed, n, rate, times_s=[0.0, start, end], levels=[1.0, 1.0, positive("factor", factor)], of=of)


def _spikes(
    seed: Seed,
    n: int,
    rate: float,
    *,
    factor: float = 5.0,
    width_s: float = 10.0,
    every_s: float | None = None,
    at_s: float = 60.0,
    of: Process | None = None,
) -> Arrivals:
    """`rate`, and `factor` times that from `at_s` on for `width_s`: once, or again `every_s`."""
    begin, end = finite("at_s", at_s), finite("at_s", at_s) + positive("width_s", width_s)
    high = finite("factor", factor)
    if every_s is not None:
        finite("every_s", every_s, end)
    times, levels = [0.0, begin, begin, end, end], [1.0, 1.0, high, high, 1.0]
    return _profile(seed, n, rate, times_s=times, levels=levels, period_s=every_s, of=of)


PROCESSES: dict[str, Callable[..., Arrivals]] = {
    "poisson": _poisson,
    "constant": _constant,
    "gamma": _gamma,
    "weibull": _weibull,
    "clients": _clients,
    "markov": _markov,
    "on_off": _on_off,
    "cox": _cox,
    "profile": _profile,
    "diurnal": _diurnal,
    "ramp": _ramp,
    "spikes": _spikes,
}
"""Name -> process."""
