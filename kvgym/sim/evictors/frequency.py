"""Evictors that count hits: `lfu`, `wlfu`, and those that protect pages with some hits: `slru` and its kin."""

import math

from kvgym._kernel import kernel
from kvgym.sim.evictors.histories import tail_span

KEYS_OF_SPANS = True
"""Pages of one history have the same key."""
WLFU_BONUS = 3000.0


@kernel
def lfu_key(s, w, r):
    """Hits."""
    span = tail_span(s, r)
    return float(span.hits), span.stamp


@kernel
def slru_key(s, w, r):
    """1 if the page was hit, else 0."""
    span = tail_span(s, r)
    return 1.0 if span.hits > 0 else 0.0, span.stamp


@kernel
def slru_two_hits_key(s, w, r):
    """1 if the page was hit twice, else 0."""
    span = tail_span(s, r)
    return 1.0 if span.hits > 1 else 0.0, span.stamp


@kernel
def ghost_slru_key(s, w, r):
    """1 if the page was hit or entered as a ghost, else 0."""
    span = tail_span(s, r)
    return 1.0 if span.hits > 0 or span.ghost > 0 else 0.0, span.stamp


@kernel
def wlfu_key(s, w, r):
    """Page accesses of the worker at the last stamp, and a bonus for hits."""
    span = tail_span(s, r)
    return span.accesses + WLFU_BONUS * math.log(1.0 + span.hits), span.stamp
