"""Compiled parts of the generator of sessions: laws, and the turns of all sessions."""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-warn-return-any
# numba infers the types, which mypy cannot express.

from __future__ import annotations

import numpy as np
from numba import from_dtype, types

from kvgym._kernel import entry_point, kernel
from kvgym.workload.laws import CONSTANT, EXPONENTIAL, GEOMETRIC, KIND, LAW, LOGNORMAL, LOGUNIFORM, TURN
from kvgym.workload.numbers import exponential_of, minus_log, mix64, normal_quantile, power_of, uniform_of

_LAWS, _KINDS, _TURNS = (types.Array(from_dtype(dtype), 1, "C") for dtype in (LAW, KIND, TURN))
_FLOATS, _INTS = types.float64[::1], types.int64[::1]


@kernel
def quantile_of(laws, first, end, u):
    """The value of the law in rows first .. end-1 that belongs to a uniform number in (0, 1)."""
    i, below = first, 0.0
    while i < end - 1 and u >= laws[i].upto:
        below = laws[i].upto
        i += 1
    row = laws[i]
    u = min(1.0 - 2.0**-53, max(2.0**-54, (u - below) / (row.upto - below)))
    value = row.a
    if row.law == LOGNORMAL:
        value = exponential_of(min(700.0, max(-700.0, row.a + row.b * normal_quantile(u))))
    elif row.law == LOGUNIFORM:
        value = row.a * power_of(row.b, u)
    elif row.law == EXPONENTIAL:
        value = row.a * minus_log(1.0 - u)
    elif row.law == GEOMETRIC:
        value = 1.0 if row.a == 1.0 else 1.0 + np.floor(minus_log(1.0 - u) / minus_log(1.0 - 1.0 / row.a))
    elif row.law != CONSTANT:
        value = row.a + (row.b - row.a) * u
    return min(row.high, max(row.low, value))


@entry_point(_FLOATS(_LAWS, types.int64))
def law_quantiles(laws, n):
    """The values of a law at n equally likely places."""
    out = np.empty(n)
    for i in range(n):
        out[i] = quantile_of(laws, 0, len(laws), (i + 0.5) / n)
    return out


# Numbers of a session's seed: four for the session, then a block for each turn.
_KIND, _PREFIX, _COUNT, _SIZE, _FIRST_TURN = range(5)
_LENGTH, _OUTPUT, _GAP, _RESET, _PER_TURN = range(5)


@kernel
def choose(upto, first, end, u):
    """The first place of first .. end-1 whose ascending `upto` is beyond u."""
    low, high = first, end - 1
    while low < high:
        middle = (low + high) // 2
        if u < upto[middle]:
            high = middle
        else:
            low = middle + 1
    return low


@entry_point(_TURNS(_FLOATS, _INTS, types.uint64[::1], _KINDS, _LAWS, _FLOATS, _FLOATS, types.uint64))
def draw_turns(starts, clients, seeds, kinds, laws, pool, changes, prefix_seed):
    """The requests of sessions, those at times 0 .. the last start, in the order of sessions, then turns.

    Session s starts at starts[s] and is of client clients[s] (-1: none). `kinds` and their prefixes, `pool`, have
    cumulative weights. `changes`: seconds after which each prefix moves up a place, and those after which all are new
    (0 = never); seconds per output token in a closed loop; by what part of their number turns grow per hour.
    """
    drift_s, topic_s, token_s, longer = changes[0], changes[1], changes[2], changes[3] / 3600.0
    shares = kinds["upto"].copy()
    out = np.empty(2 * len(starts) + 16, TURN)
    n = 0
    for s in range(len(starts)):
        seed, time = seeds[s], starts[s]
        kind = kinds[choose(shares, np.int64(0), np.int64(len(kinds)), uniform_of(seed, _KIND))]
        size = np.int64(kind.pool_end - kind.pool)
        if clients[s] >= 0:
            prefix = clients[s]
        else:
            prefix = choose(pool, kind.pool, kind.pool_end, uniform_of(seed, _PREFIX)) - kind.pool
        epoch = time - starts[0]
        if drift_s > 0.0:
            prefix = (prefix + np.int64(epoch / drift_s)) % size
        tenant = kind.pool + prefix
        if topic_s > 0.0:
            prefix += size * np.int64(epoch / topic_s)
        own = mix64(mix64(prefix_seed + np.uint64(kind.pool)) ^ np.uint64(prefix))
        prefix_tokens = np.int64(np.rint(quantile_of(laws, kind.prefix_tokens, kind.first, uniform_of(own, 0))))
        scale = 1.0
        if kind.client_sigma > 0.0:
            scale = exponential_of(kind.client_sigma * normal_quantile(uniform_of(own, 1)))
        turns = quantile_of(laws, kind.turns, kind.gap_s, uniform_of(seed, _COUNT))
        turns = max(np.int64(1), np.int64(np.rint(turns * (1.0 + longer * max(0.0, epoch)))))
        context = tokens = output = base = np.int64(0)
        for turn in range(turns):
            k = _FIRST_TURN + _PER_TURN * turn
            u = uniform_of(seed, k + _LENGTH)
            gap = 0.0
            anew = turn == 0
            if turn > 0:
                gap = quantile_of(laws, kind.gap_s, kind.end, uniform_of(seed, k + _GAP))
                time += gap + token_s * output
                tokens = np.int64(np.rint(quantile_of(laws, kind.growth, kind.output, u)))
                grown = (0 if kind.keep_first else context) + tokens
                anew = uniform_of(seed, k + _RESET) < kind.reset or grown > kind.max_context
                # An answer that has no room in what is added is not part of the next prompt.
                if not anew and not kind.keep_first and tokens > output and n > 0 and out[n - 1].session == s:
                    out[n - 1].repeated = 1
                base += anew
            if time > starts[-1]:
                break
            if anew:
                tokens = np.int64(
                    np.rint(
                        scale
                        * (
                            quantile_of(laws, kind.first, kind.restart, u)
                            if turn == 0
                            else quantile_of(laws, kind.restart, kind.growth, u)
                        )
                    )
                )
                context, tokens = min(max(np.int64(1), tokens), kind.max_context), np.int64(0)
            elif not kind.keep_first:
                context, tokens = context + max(np.int64(1), tokens), np.int64(0)
            output = np.int64(
                np.rint(scale * quantile_of(laws, kind.output, kind.turns, uniform_of(seed, k + _OUTPUT)))
            )
            output = max(np.int64(1), output)
            if time < 0.0:
                continue
            if n == len(out):
                larger = np.empty(2 * n, TURN)
                larger[:n] = out
                out = larger
            row = out[n]
            row.time, row.gap, row.session, row.turn, row.base = time, gap, s, turn, base
            row.prefix, row.tenant, row.prefix_tokens = (np.int64(kind.pool) << 40) + prefix, tenant, prefix_tokens
            row.context, row.own, row.output, row.repeated = context, tokens, output, 0
            n += 1
    return out[:n]
