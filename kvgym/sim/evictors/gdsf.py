"""`gdsf`: uses times cost, and an inflation that lets old pages go (docs/semantics.md#c7-gdsf)."""

from kvgym._kernel import kernel
from kvgym.sim.base.access import config
from kvgym.sim.base.prefill import prefill_s
from kvgym.sim.base.rows import depth_tokens
from kvgym.sim.evictors.histories import remembered, tail_span


@kernel
def gdsf_key(s, w, r):
    """Inflation at the last use + uses x seconds to compute the page again."""
    span = tail_span(s, r)
    size = config(s).page_size
    return span.inflation + (1 + span.hits) * prefill_s(s, w, size, depth_tokens(s, r) - size), span.stamp


@kernel
def gdsf_took(s, w, key):
    """The page that goes has this key, and the inflation of the worker is the same from now on."""
    remembered(s)[w].inflation = key
