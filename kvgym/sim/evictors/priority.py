"""`priority`: the page whose users were the least urgent, as SGLang's PriorityStrategy (docs/semantics.md#c7-keys).

There the larger number is the more urgent; priorities of service classes are vLLM's, where the lower one goes first.
"""

from kvgym._kernel import kernel
from kvgym.sim.evictors.histories import tail_span

KEYS_OF_SPANS = True
"""Pages of one history have the same key."""


@kernel
def priority_key(s, w, r):
    """Minus the smallest priority of a class that used the page."""
    span = tail_span(s, r)
    return -float(span.priority), span.stamp
