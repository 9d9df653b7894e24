"""Rows of the cache: a node of the prefix tree on a worker, and the pages of it that are resident and locked."""

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, nodes, progress, rows


@kernel
def row_of(s, w, v):
    """Row of node `v` on worker `w` in `rows` and `index`.

    Shared nodes have a row per worker. A private node serves one request, which is on one worker at a time, so one
    row is enough: that keeps large runs small. The rows of a node are neighbours: a router looks at all of them.
    """
    cf = config(s)
    slot = nodes(s)[v].slot
    if slot < cf.n_shared:
        return slot * cf.n_workers + w
    return (cf.n_workers - 1) * cf.n_shared + slot


@kernel
def on_worker(s, w, v):
    """Whether node `v` has a row on worker `w`: that of a private node belongs to the worker that its request is on."""
    node = nodes(s)[v]
    return node.slot < config(s).n_shared or progress(s)[node.first_request].worker == w


@kernel
def locked_pages(s, row):
    """Resident pages of `row` that running requests lock: a prefix of the node."""
    if row.locks > 0:
        return nodes(s)[row.node].n_pages
    return row.part_pages


@kernel
def unlocked_pages(s, row):
    """Resident pages of `row` that may be evicted, once nothing is resident below."""
    if row.locks > 0:
        return 0
    return row.cached - min(row.cached, row.part_pages)


@kernel
def is_leaf(s, row):
    """Whether the last resident page of `row` may be evicted now."""
    return row.children == 0 and unlocked_pages(s, row) > 0


@kernel
def depth_tokens(s, r):
    """Tokens up to the end of the last resident page of row `r`."""
    row = rows(s)[r]
    return (nodes(s)[row.node].start_page + row.cached) * config(s).page_size
