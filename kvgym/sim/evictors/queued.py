"""Evictors whose leaves stand in several queues (docs/semantics.md#c8-queues): who stands where, all the time.

These evictors work alone, so no queue has to be built anew for another one.
"""

import numpy as np

from kvgym._kernel import kernel, kernel_of_cases
from kvgym.sim.base.access import config
from kvgym.sim.evictors import choosers
from kvgym.sim.evictors.queues import empty_queues, stand, stand_nowhere


@kernel
def _no_queue():
    return np.int64(0), 0.0, np.int64(0)


_queue_of = kernel_of_cases(
    "s, w, r",
    [(f"if config(s).evictor == {number}: return {{}}(s, w, r)", queue) for number, queue in choosers("queue").items()]
    + [("return {}()", _no_queue)],
    config=config,
)
"""(s, w, r): the queue in which leaf `r` stands, and its key and tie there."""


@kernel
def cleared(s, w):
    """The cache of worker `w` is empty."""
    empty_queues(s, w)


@kernel(inlined=False)
def leaf_added(s, w, r):
    """Row `r` is an unlocked leaf, now or still; its stamp may be another one."""
    queue, key, tie = _queue_of(s, w, r)
    stand(s, w, r, queue, key, tie)


leaf_changed = leaf_added


@kernel
def leaf_removed(s, w, r):
    """Row `r` is no unlocked leaf, if it was one."""
    stand_nowhere(s, w, r)


@kernel
def leaf_replaced(s, w, r, above):
    """The last page of leaf `r` has gone, and row `above` is a leaf instead."""
    leaf_removed(s, w, r)
    leaf_added(s, w, above)
