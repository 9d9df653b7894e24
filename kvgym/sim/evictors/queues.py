"""Several queues of unlocked leaves per worker, each a heap."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import config
from kvgym.sim.base.codes import NONE
from kvgym.sim.evictors.heap import heaps, put, take_out, top


@kernel
def empty_queues(s, w):
    """No leaf stands anywhere."""
    for h in range(w, len(heaps(s)), config(s).n_workers):
        heaps(s)[h].rule = config(s).evictor
        heaps(s)[h].size = 0


@kernel(inlined=False)
def stand(s, w, r, queue, key, tie):
    """Leaf `r` stands in one queue, with this key, wherever it stood before."""
    here = w + queue * config(s).n_workers
    for h in range(w, len(heaps(s)), config(s).n_workers):
        if h != here:
            take_out(s, h, r)
    put(s, here, r, key, tie)


@kernel(inlined=False)
def stand_nowhere(s, w, r):
    """Row `r` is no leaf, if it was one."""
    for h in range(w, len(heaps(s)), config(s).n_workers):
        take_out(s, h, r)


@kernel
def first_of(s, w, queue):
    """Row of the first leaf of a queue, NONE if it is empty."""
    h = w + queue * config(s).n_workers
    return top(s, h).row if heaps(s)[h].size > 0 else np.int64(NONE)
