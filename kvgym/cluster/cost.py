"""How long one iteration (forward pass) of a worker takes.

An iteration computes P prefill tokens in N chunks and one token for each of B decoding requests; T = P + B. It takes

    D = G[T] + rint((aS S + cN N) + cB B) + q KV    picoseconds, at least 1

where S is the sum over chunks of c (h + (c + 1) / 2) for a chunk of c tokens after h known ones (attention of the
prefill), KV the sum of the prompt and emitted tokens of the decoding requests (attention of the decodes), and G a table
over T: the part that the weights cause, with everything that does not depend on the requests. q is a whole number, so a
run of decode iterations, whose KV grows by B each time, can be summed exactly in closed form.

G has one of two forms. The smooth maximum overhead + c0 + (w^p + (k T)^p)^(1/p) is a roofline: w ms to read the weights
against k ms of computation per token. The tabulated form is piecewise linear between measured knots.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kvgym import _check

PS_PER_MS = 1_000_000_000
PS_PER_S = 1_000_000_000_000
_LARGEST_PS = 2**60  # leaves room in int64 for a clock that adds iterations up
_IN_MS = ("overhead_ms", "c0", "w", "k", "a_s", "a_kv", "c_b", "c_n")
_BLOCK = 8192  # tables are computed in multiples of this, see _table


@dataclass(frozen=True)
class IterationCost:
    """Cost of an iteration of one kind of worker, in ms and tokens; hashable.

    Attributes:
        overhead_ms: CPU time per iteration, in ms.
        c0: Constant part, in ms.
        w: Time to read the weights, in ms.
        k: Computation per token, in ms.
        p: Sharpness of the maximum of w and k T, >= 1: 1 is the sum, large values the plain maximum.
        a_s: Prefill attention, in ms per unit of S.
        a_kv: Decode attention, in ms per KV token.
        c_b: Per decoding request, in ms; negative where a decode costs less than a prefill token, but never more than
            G charges for it: >= -k, or >= minus the last slope and the smallest ms per token of the knots.
        c_n: Per prefill chunk, in ms.
        knots: Empty for the smooth maximum, else the pairs (tokens, ms) of the tabulated form; see `from_table`.

    Raises:
        ValueError: If a number is NaN, infinite or below its minimum (0 but for p and c_b), p < 1, or the knots are not
            as `from_table` wants them.
    """

    overhead_ms: float = 0.0
    c0: float = 0.0
    w: float = 0.0
    k: float = 0.0
    p: float = 2.0
    a_s: float = 0.0
    a_kv: float = 0.0
    c_b: float = 0.0
    c_n: float = 0.0
    knots: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        """Checks every field and turns numbers into floats, knots into tuples (JSON gives lists)."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "knots":
                checked: Any = _checked_knots(value)
            elif field.name == "c_b":
                continue  # its minimum depends on the others
            else:
                checked = _check.finite(field.name, value, minimum=1.0 if field.name == "p" else 0.0)
            object.__setattr__(self, field.name, checked)
        least = _least_slope(self.knots) if self.knots else self.k
        object.__setattr__(self, "c_b", _check.finite("c_b", self.c_b, minimum=0.0 - least))
        if self.knots and (self.c0, self.w, self.k) != (0.0, 0.0, 0.0):
            raise ValueError(
                f"c0, w and k must be 0 beside knots, which replace them; got c0={self.c0}, w={self.w}, k={self.k}"
            )

    @classmethod
    def linear(cls, a0: float, a1: float, a2: float, a3: float, a4: float, *, overhead_ms: float = 0.0) -> Self:
        """The cost a0 + a1 P + a2 S + a3 B + a4 KV, in ms: G = a0 + a1 T, and a3 - a1 for each decode.

        Raises:
            ValueError: If a number is negative, NaN or infinite.
        """
        numbers = {"a0": a0, "a1": a1, "a2": a2, "a3": a3, "a4": a4}
        a0, a1, a2, a3, a4 = (_check.finite(name, value) for name, value in numbers.items())
        return cls(overhead_ms=overhead_ms, c0=a0, k=a1, p=1.0, a_s=a2, a_kv=a4, c_b=a3 - a1)

    @classmethod
    def from_table(
        cls,
        tokens: Iterable[float],
        ms: Iterable[float],
        *,
        overhead_ms: float = 0.0,
        a_s: float = 0.0,
        a_kv: float = 0.0,
        c_b: float = 0.0,
        c_n: float = 0.0,
    ) -> Self:
        """A cost whose G is piecewise linear through knots.

        Below the first knot G has the first value; beyond the last one it goes on with the last slope, which must
        therefore not fall.

        Args:
            tokens: Strictly increasing positive T of the knots.
            ms: G there without the overhead, in ms.
            overhead_ms: As in the class, like the coefficients after it.
            a_s: Prefill attention, in ms per unit of S.
            a_kv: Decode attention, in ms per KV token.
            c_b: Per decoding request, in ms.
            c_n: Per prefill chunk, in ms.

        Raises:
            ValueError: If there is no knot, the lengths differ, or a knot is not as described.
        """
        xs, ys = list(tokens), list(ms)
        if not xs or len(xs) != len(ys):
            raise ValueError(f"tokens and ms must be equally long and not empty, got {len(xs)} and {len(ys)} values")
        knots = tuple(zip(xs, ys, strict=True))
        return cls(overhead_ms=overhead_ms, a_s=a_s, a_kv=a_kv, c_b=c_b, c_n=c_n, knots=knots)

    def slowed(self, factor: float) -> Self:
        """The cost of a worker that takes `factor` times as long: all coefficients in ms are multiplied by it.

        Raises:
            ValueError: If `factor` is not a finite number >= 0.
        """
        _check.finite("factor", factor)
        times = {name: factor * getattr(self, name) for name in _IN_MS}
        return replace(self, **times, knots=tuple((tokens, factor * ms) for tokens, ms in self.knots))

    def g_ps(self, max_tokens: int) -> NDArray[np.int64]:
        """G for T = 0 .. `max_tokens`.

        Returns:
            int64 array (max_tokens + 1,) of picoseconds, indexed by T; entry 0, an iteration without tokens, is 0.

        Raises:
            ValueError: If `max_tokens` is not an integer >= 1, or an entry exceeds 2^60 ps (13 days).
        """
        return self._table_up_to(_check.whole("max_tokens", max_tokens, 1))[: max_tokens + 1].copy()

    def coefficients_ps(self) -> tuple[float, float, float, int]:
        """The coefficients (aS, cN, cB, q) in picoseconds: three float64, and q = rint(aKV) as an int."""
        return self.a_s * PS_PER_MS, self.c_n * PS_PER_MS, self.c_b * PS_PER_MS, round(self.a_kv * PS_PER_MS)

    def duration_ps(self, prefill_tokens: int, chunks: int, s: float, decodes: int, kv: int) -> int:
        """Duration of one iteration, exactly as the simulator computes it.

        Args:
            prefill_tokens: P.
            chunks: N.
            s: S, the sum over chunks of c (h + (c + 1) / 2); always a whole number.
            decodes: B.
            kv: KV, in tokens.

        Returns:
            Picoseconds, >= 1.

        Raises:
            ValueError: If a count is not an integer >= 0, `s` is negative or not finite, or G exceeds 2^60 ps.
        """
        total = _check.whole("prefill_tokens", prefill_tokens, 0) + _check.whole("decodes", decodes, 0)
        n, kv_tokens, s = _check.whole("chunks", chunks, 0), _check.whole("kv", kv, 0), _check.finite("s", s)
        a_s, c_n, c_b, q = self.coefficients_ps()
        # round() of a float is rint (half to even) to an exact int.
        attention = round((a_s * s + c_n * n) + c_b * decodes)
        return max(1, int(self._table_up_to(total)[total]) + attention + q * kv_tokens)

    def seconds(self, prefill_tokens: int, chunks: int, s: float, decodes: int, kv: int) -> float:
        """Duration of one iteration in seconds; arguments and errors as for `duration_ps`."""
        return self.duration_ps(prefill_tokens, chunks, s, decodes, kv) / PS_PER_S

    def _table_up_to(self, total: int) -> NDArray[np.int64]:
        return _table(self, (total // _BLOCK + 1) * _BLOCK)

    def _g_ms(self, tokens: NDArray[np.float64]) -> NDArray[np.float64]:
        """G without the overhead at `tokens` (all >= 1), in ms."""
        if self.knots:
            return _piecewise_linear(tokens, np.array(self.knots))
        return self.c0 + _smooth_maximum(self.w, self.k * tokens, self.p)


@lru_cache(maxsize=64)
def _table(cost: IterationCost, size: int) -> NDArray[np.int64]:
    """G of T = 0 .. `size` - 1, read-only.

    Sizes are whole blocks, so that an entry never depends on where a caller's table ends: vectorised powers may round
    the last few entries of an array in another way than those in its middle.
    """
    with np.errstate(over="ignore"):  # an overflow is inf, which the comparison below reports
        ps = PS_PER_MS * (cost.overhead_ms + cost._g_ms(np.arange(1, size, dtype=np.float64)))
    if not ps.max() <= _LARGEST_PS:
        raise ValueError(f"an iteration of up to {size - 1} tokens of {cost} takes more than 2^60 ps")
    table = np.zeros(size, dtype=np.int64)
    table[1:] = np.rint(ps)
    table.flags.writeable = False
    return table


def _smooth_maximum(w: float, x: NDArray[np.float64], p: float) -> NDArray[np.float64]:
    """(w^p + x^p)^(1/p), literally; where a power leaves the range of floats, with the larger number factored out."""
    with np.errstate(over="ignore", under="ignore"):
        power = np.float64(w) ** p + x**p
        large, small = np.maximum(w, x), np.minimum(w, x)
        ratio = np.divide(small, large, out=np.zeros_like(x), where=large > 0)
        factored = large * np.exp(np.log1p(ratio**p) / p)
        result: NDArray[np.float64] = np.where(np.isfinite(power) & (power > 1e-300), power ** (1 / p), factored)
    return result


def _piecewise_linear(x: NDArray[np.float64], knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values at `x` of the line through `knots` (n, 2), extended by its first value and its last slope."""
    knot_x, knot_y = knots[:, 0], knots[:, 1]
    slope = (knot_y[-1] - knot_y[-2]) / (knot_x[-1] - knot_x[-2]) if len(knots) > 1 else 0.0
    beyond = np.maximum(x - knot_x[-1], 0.0)
    result: NDArray[np.float64] = np.interp(x, knot_x, knot_y) + slope * beyond
    return result


def _least_slope(knots: tuple[tuple[float, float], ...]) -> float:
    """The largest m for which a piecewise linear G is nowhere below m T."""
    (x, y), (last_x, last_y) = knots[-2:] if len(knots) > 1 else ((0.0, knots[0][1]), knots[0])
    return min((last_y - y) / (last_x - x), *(ms / tokens for tokens, ms in knots))


def _checked_knots(knots: Any) -> tuple[tuple[float, float], ...]:
    """`knots` as a tuple of pairs of floats; ValueError if they do not describe a table."""
    try:
        pairs = tuple((tokens, ms) for tokens, ms in knots)
    except (TypeError, ValueError):
        raise ValueError(f"knots must be pairs (tokens, ms), got {knots!r}") from None
    pairs = tuple(
        (_check.finite(f"tokens of knot {i}", tokens), _check.finite(f"ms of knot {i}", ms))
        for i, (tokens, ms) in enumerate(pairs)
    )
    xs = [0.0, *(tokens for tokens, _ in pairs)]
    if any(left >= right for left, right in pairwise(xs)):
        raise ValueError(f"tokens of the knots must be positive and strictly increasing, got {xs[1:]}")
    if len(pairs) > 1 and pairs[-1][1] < pairs[-2][1]:
        raise ValueError(f"ms of the last knot must not be below the one before it, got {pairs[-2][1]}, {pairs[-1][1]}")
    return pairs
