"""`rlt_code`: RLT as its authors' code has it (docs/semantics.md#c6-rlt_code)."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, progress, workers
from kvgym.sim.evictors.leaves import leaves
from kvgym.sim.evictors.rlt import mark_path, new_phase
from kvgym.sim.evictors.tails import tail_of


@kernel(inlined=False)
def grown(s, w, q):
    """Request `q` has got tree pages: all that it has are marked; a full count starts a phase that keeps them."""
    pages = np.int64(progress(s)[q].tree_pages)
    mark_path(s, w, q, pages)
    wk = workers(s)[w]
    if wk.marked >= wk.kv_pages:
        new_phase(s, w)
        mark_path(s, w, q, pages)


finished = grown  # which marks as well


@kernel
def rlt_code_pool(s, w, q, wanted, left):
    """The unmarked leaves; before the first page of an allocation goes, a new phase if they can't give as many."""
    wk = workers(s)[w]
    if left == wanted and (wanted + wk.marked >= wk.kv_pages or _unmarked_pages(s, w, wanted) < wanted):
        new_phase(s, w)
    return wk.n_unmarked


@kernel
def _unmarked_pages(s, w, enough):
    """Pages in the unmarked parts of the chains of the unmarked leaves; counts no further than `enough`."""
    first = w * config(s).leaf_capacity
    total = 0
    for position in range(workers(s)[w].n_unmarked):
        total += tail_of(s, w, leaves(s)[first + position])[0]
        if total >= enough:
            break
    return total
