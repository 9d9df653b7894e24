"""Rows of a cache that holds nothing and of an index that knows nothing: at the start, and after a crash."""

from kvgym._kernel import kernel
from kvgym.sim.cache_tables import N_LISTS
from kvgym.sim.kernels.access import config, ends, index_rows, memories, rows, spans, workers
from kvgym.sim.kernels.boundaries import NOTHING
from kvgym.sim.kernels.lists import NONE, NOT_LISTED
from kvgym.sim.kernels.marks import NO_MARKS


@kernel
def blank_row(s, r, v):
    """Row `r`, of node `v`, holds no page."""
    row = rows(s)[r]
    row.node = v
    row.cached = 0
    row.locks = 0
    row.part_locks = 0
    row.part_pages = 0
    row.children = 0
    row.older = NOT_LISTED
    row.newer = NONE
    row.leaf = -1
    row.phase = 0
    row.mark_to = 0
    row.mark_from = NO_MARKS
    row.shown = NOTHING


@kernel
def blank_memory(s, r):
    """Evictors remember nothing of row `r`."""
    memory = memories(s)[r]
    memory.span = NONE
    memory.older = NOT_LISTED
    memory.newer = NONE


@kernel
def blank_index(s, r):
    """The router has sent nothing through the node of row `r`."""
    entry = index_rows(s)[r]
    entry.sent_ps = -1
    entry.pages = 0
    entry.older = NOT_LISTED
    entry.newer = NONE
    entry.active = 0


@kernel
def blank_lists(s, w):
    """Nothing of worker `w` is listed."""
    for which in range(N_LISTS):
        end = ends(s)[which * config(s).n_workers + w]
        end.oldest = NONE
        end.newest = NONE


@kernel
def free_spans(s, w):
    """All spans of worker `w` are free: a list that begins at `free_span`."""
    first = 0
    for v in range(w):
        first += workers(s)[v].kv_pages
    pages = workers(s)[w].kv_pages
    for i in range(first, first + pages):
        spans(s)[i].above = i + 1
    spans(s)[first + pages - 1].above = NONE
    workers(s)[w].free_span = first
