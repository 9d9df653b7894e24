"""Time to compute tokens: their share of full prefill iterations (docs/semantics.md#k2-share)."""

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, costs, g_table, workers


@kernel
def _prefill(s, w, tokens, known, ps):
    """Time to compute `tokens` tokens after `known` ones; `ps` is a picosecond in the unit of the result."""
    chunk = config(s).chunk_tokens
    cost = costs(s)[workers(s)[w].cost]
    g = g_table(s)[workers(s)[w].cost * (chunk + 1) + chunk] / chunk * ps
    return tokens * g + cost.a_s * ps * tokens * (known + (tokens + 1) / 2)


@kernel
def prefill_s(s, w, tokens, known):
    """Seconds to compute `tokens` tokens after `known` ones."""
    return _prefill(s, w, tokens, known, 1e-12)


@kernel
def prefill_ps(s, w, tokens, known):
    """The same in picoseconds, a float: what times are compared with."""
    return _prefill(s, w, tokens, known, 1.0)
