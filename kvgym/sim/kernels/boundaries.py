"""Where a worker has seen paths part or end.

`shown` of a row says how the paths seen so far went on after the node's last page: NOTHING yet; child node c as c;
ENDED; or BOUNDARY once two of these differ. Only what has happened counts: a request shows its next page as soon as
that is known, and its end when it finishes.
"""

from kvgym._kernel import kernel
from kvgym.sim.kernels.access import config, known_tokens, nodes, paths, requests, row_of, rows

NOTHING = -1
BOUNDARY = -2
ENDED = -3


@kernel
def show(row, continuation):
    """A path went on after the last page of `row` with child node `continuation`, or ENDED there."""
    if row.shown == NOTHING:
        row.shown = continuation
    elif row.shown != continuation:
        row.shown = BOUNDARY


@kernel
def show_next(s, w, q, i):
    """Request `q` shows its next page after the i-th node of its path, resident on `w`, if it is known."""
    request = requests(s)[q]
    v = paths(s)[request.path_start + i]
    node = nodes(s)[v]
    known_pages = known_tokens(s, q) // config(s).page_size
    if i + 1 < request.path_nodes and node.start_page + node.n_pages < known_pages:
        show(rows(s)[row_of(s, w, v)], paths(s)[request.path_start + i + 1])


@kernel
def show_end(s, w, q):
    """Request `q` finished: its path ends at its last node."""
    request = requests(s)[q]
    if request.path_nodes > 0:
        v = paths(s)[request.path_start + request.path_nodes - 1]
        show(rows(s)[row_of(s, w, v)], ENDED)
