"""Where a worker has seen paths part or end: where SGLang's radix tree would have split a node.

`shown` of a row says how the paths seen so far went on after the node's last page: NOTHING yet; child node c as c;
ENDED; or SPLIT once two of these differ. Only what has happened counts: a request shows its next page as soon as
that is known, and its end when it finishes.
"""

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, nodes, paths, progress, requests, rows
from kvgym.sim.base.requests import known_tokens
from kvgym.sim.base.rows import row_of

NOTHING = -1
SPLIT = -2
ENDED = -3


@kernel
def _show(row, continuation):
    """A path went on after the last page of `row` with child node `continuation`, or ENDED there."""
    if row.shown == NOTHING:
        row.shown = continuation
    elif row.shown != continuation:
        row.shown = SPLIT


@kernel
def _show_next(s, w, q, i):
    """Request `q` shows its next page after the i-th node of its path, resident on `w`, if it is known."""
    request = requests(s)[q]
    v = paths(s)[request.path_start + i]
    node = nodes(s)[v]
    known_pages = known_tokens(s, q) // config(s).page_size
    if i + 1 < request.path_nodes and node.start_page + node.n_pages < known_pages:
        _show(rows(s)[row_of(s, w, v)], paths(s)[request.path_start + i + 1])


@kernel
def touched(s, w, q, pages):
    """Request `q` has been admitted."""
    for i in range(progress(s)[q].full_nodes):
        _show_next(s, w, q, i)


@kernel
def entered(s, w, q, i, first, last, old, time_ps):
    """Pages [first, last) of the i-th node of the path of `q` are its tree pages."""
    v = paths(s)[requests(s)[q].path_start + i]
    node = nodes(s)[v]
    if first == 0 and node.parent >= 0:
        _show(rows(s)[row_of(s, w, node.parent)], v)
    if last == node.n_pages:
        _show_next(s, w, q, i)


@kernel
def finished(s, w, q):
    """Request `q` finished: its path ends at its last node."""
    request = requests(s)[q]
    if request.path_nodes > 0:
        v = paths(s)[request.path_start + request.path_nodes - 1]
        _show(rows(s)[row_of(s, w, v)], ENDED)


@kernel
def dropped(s, w, r, n):
    """The last `n` pages of row `r` have gone."""
    rows(s)[r].shown = NOTHING
