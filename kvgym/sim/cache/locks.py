"""Locks of a part of a node: counted again where transfers lock pages, too."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, nodes, paths, progress, requests, running, transfers, workers

PLANNED, OPENING, MOVING = range(3)
"""Stages of a transfer: waits for its link, allocates pages, is under way."""


@kernel
def locked_part(s, w, leaving, v):
    """Pages of node `v` that those who lock only a part of it lock on worker `w`, request `leaving` left out."""
    most = 0
    first = w * config(s).max_running
    for i in range(workers(s)[w].n_running):
        q = running(s)[first + i]
        if q != leaving:
            most = max(most, _part(s, q, np.int64(progress(s)[q].tree_pages), v))
    for i in range(clock(s).n_transfers):
        transfer = transfers(s)[i]
        q = transfer.request
        if transfer.stage == PLANNED or q == leaving:
            continue
        if transfer.target == w:
            most = max(most, _part(s, q, np.int64(progress(s)[q].tree_pages), v))
        elif transfer.source == w:
            most = max(most, _part(s, q, transfer.end_page, v))
    return most


@kernel
def _part(s, q, pages, v):
    """Pages of node `v` among the first `pages` of request `q`'s path, if these end inside it."""
    request = requests(s)[q]
    node = nodes(s)[v]
    n = pages - node.start_page
    if n <= 0 or n >= node.n_pages:
        return 0
    for i in range(request.path_start, request.path_start + request.path_nodes):
        if paths(s)[i] == v:
            return n
        if nodes(s)[paths(s)[i]].start_page > node.start_page:
            break
    return 0
