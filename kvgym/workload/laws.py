"""Distributions by name, as JSON values: what lengths, numbers of turns and pauses are drawn from.

A law is a number (always that), or a mapping of one name of `LAWS` to its settings, and of "min" and "max" if wanted:
{"lognormal": [6.2, 1.6], "max": 8000}. "quantiles" lists pairs (share, value), between which the logarithm goes
straight; "mixture" lists pairs (weight, law).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvgym import _check, _compile
from kvgym._check import finite
from kvgym.workload.checks import positive

KERNELS = "kvgym.workload.session_kernels"
CONSTANT, LOGNORMAL, EXPONENTIAL, GEOMETRIC, UNIFORM, LOGUNIFORM = range(6)
LAW = np.dtype(
    [
        ("upto", "f8"),  # this row is taken for uniform numbers below, and at least the `upto` of the row before
        ("law", "i8"),
        ("a", "f8"),
        ("b", "f8"),
        ("low", "f8"),
        ("high", "f8"),
    ],
    align=True,
)
# A kind of sessions. The rows of its laws follow each other: each law ends where the next one begins.
KIND = np.dtype(
    [
        ("upto", "f8"),  # of its share, as in LAW
        ("reset", "f8"),
        ("client_sigma", "f8"),
        ("keep_first", "i8"),
        ("max_context", "i8"),
        ("pool", "i8"),  # its prefixes have places pool .. pool_end-1
        ("pool_end", "i8"),
        ("prefix_tokens", "i8"),
        ("first", "i8"),
        ("restart", "i8"),
        ("growth", "i8"),
        ("output", "i8"),
        ("turns", "i8"),
        ("gap_s", "i8"),
        ("end", "i8"),
    ],
    align=True,
)
LAW_FIELDS = ("prefix_tokens", "first", "restart", "growth", "output", "turns", "gap_s")
# A request of a session: `prefix`, then `context` tokens of the session's `base`-th stream, then `own` of its own.
TURN = np.dtype(
    [
        ("time", "f8"),
        ("gap", "f8"),
        ("session", "i8"),
        ("turn", "i8"),
        ("base", "i8"),
        ("prefix", "i8"),
        ("prefix_tokens", "i8"),
        ("tenant", "i8"),
        ("context", "i8"),
        ("own", "i8"),
        ("output", "i8"),
        ("repeated", "i8"),  # whether the next prompt holds the output
    ],
    align=True,
)
_FAR = 1e15


class _Form(NamedTuple):
    """A family with two numbers at most, and how many of them a description lists."""

    law: int
    settings: int


LAWS = {
    "lognormal": _Form(LOGNORMAL, 2),  # mean and standard deviation of the logarithm
    "exponential": _Form(EXPONENTIAL, 1),  # mean
    "geometric": _Form(GEOMETRIC, 1),  # mean, of 1, 2, ..
    "uniform": _Form(UNIFORM, 2),  # least and largest
}
"""Name -> family, beside "quantiles" and "mixture"."""


def law(name: str, given: Any, low: float = 0.0, high: float = _FAR) -> NDArray[Any]:
    """The rows of a law, `LAW`: its parts, the first one whose `upto` is beyond a uniform number is taken.

    Args:
        name: for messages.
        given: see the module.
        low: least value, smaller ones become it.
        high: largest value.

    Raises:
        ValueError: for anything else.
    """
    parts = _parts(name, given, low, high)
    rows = np.zeros(len(parts), LAW)
    for row, (weight, *values) in zip(rows, parts, strict=True):
        row["upto"] = weight
        for field, value in zip(("law", "a", "b", "low", "high"), values, strict=True):
            row[field] = value
    rows["upto"] = np.cumsum(rows["upto"])
    rows["upto"] /= rows["upto"][-1]
    return rows


def mean(rows: NDArray[Any]) -> float:
    """The mean of a law, of its values at 2^14 equally likely places."""
    return float(np.cumsum(_compile.load(KERNELS).law_quantiles(rows, 2**14))[-1]) / 2**14


Part = tuple[float, int, float, float, float, float]  # weight, family, its two numbers, lowest, highest


def _parts(name: str, given: Any, low: float, high: float) -> list[Part]:
    if not isinstance(given, dict):
        return [(1.0, CONSTANT, finite(name, given, low, high), 0.0, low, high)]
    settings = dict(given)
    low, high = (
        finite(f"{key} of {name}", settings.pop(key, one), low, high) for key, one in (("min", low), ("max", high))
    )
    if len(settings) != 1 or low > high:
        raise ValueError(f"{name} must be a number or one of {', '.join(_NAMES)}, with min <= max; got {given!r}")
    (kind, values), *_ = settings.items()
    _check.choice(f"law of {name}", kind, _NAMES)
    if kind in ("mixture", "quantiles"):
        if not isinstance(values, (list, tuple)) or not all(
            isinstance(x, (list, tuple)) and len(x) == 2 for x in values
        ):
            raise ValueError(f"{kind} of {name} must be a list of pairs, got {values!r}")
        return (_mixture if kind == "mixture" else _quantiles)(name, values, low, high)
    form = LAWS[kind]
    numbers = list(values) if isinstance(values, (list, tuple)) else [values]
    if len(numbers) != form.settings:
        raise ValueError(f"{kind} of {name} must have {form.settings} numbers, got {values!r}")
    a, b = [finite(f"{kind} of {name}", x, -_FAR, _FAR) for x in numbers] + [0.0] * (2 - form.settings)
    if kind == "exponential":
        positive(f"{kind} of {name}", a)
    if kind == "geometric":
        finite(f"{kind} of {name}", a, 1.0)
    if (kind == "uniform" and a > b) or (kind == "lognormal" and not (-300 < a < 300 and 0 <= b < 100)):
        raise ValueError(f"{kind} of {name} must be two numbers that make a distribution, got {values!r}")
    return [(1.0, form.law, a, b, low, high)]


def _mixture(name: str, pairs: Any, low: float, high: float) -> list[Part]:
    total = sum(finite(f"weight in {name}", weight) for weight, _ in pairs)
    if not total:
        raise ValueError(f"mixture of {name} must have a weight > 0, got {pairs!r}")
    return [(weight / total * part[0], *part[1:]) for weight, one in pairs for part in _parts(name, one, low, high)]


def _quantiles(name: str, pairs: Any, low: float, high: float) -> list[Part]:
    shares = [finite(f"share in {name}", share, 0.0, 1.0) for share, _ in pairs]
    values = [positive(f"quantile of {name}", value, _FAR) for _, value in pairs]
    if len(pairs) < 2 or shares[0] != 0.0 or shares[-1] != 1.0 or shares != sorted(shares) or values != sorted(values):
        raise ValueError(f"quantiles of {name} must ascend from share 0 to share 1, got {pairs!r}")
    return [
        (shares[i + 1] - shares[i], LOGUNIFORM, values[i], values[i + 1] / values[i], low, high)
        for i in range(len(pairs) - 1)
    ]


_NAMES = (*LAWS, "quantiles", "mixture")
