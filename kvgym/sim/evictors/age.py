"""`fifo`: the page that entered first. `mru`: the page that was used last."""

from kvgym._kernel import kernel
from kvgym.sim.evictors.histories import tail_span

KEYS_OF_SPANS = True
"""Pages of one history have the same key."""


@kernel
def fifo_key(s, w, r):
    """The recency counter when the page entered."""
    span = tail_span(s, r)
    return float(span.born), span.stamp


@kernel
def mru_key(s, w, r):
    """Minus the stamp."""
    span = tail_span(s, r)
    return -float(span.stamp), span.stamp
