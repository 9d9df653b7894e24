"""Histories of resident pages, for evictors that ask: spans of pages with the same history.

Rules: docs/semantics.md#evictors. Every span holds a resident page at least, so `kv_pages` spans per worker
are enough. Histories are kept page by page, and not node by node: where a node ends is known only from the future.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import classes, clock, config, kept_table, nodes, paths, requests, rows, workers
from kvgym.sim.base.codes import NONE
from kvgym.sim.base.requests import class_of, known_tokens
from kvgym.sim.base.rows import row_of, unlocked_pages
from kvgym.sim.evictors.departed import like_returns

SPAN = np.dtype(
    [
        ("first", "i4"),  # page of the node that it begins at
        ("above", "i4"),  # the span before it in the node; the next free one in the list of free spans
        ("born", "i4"),  # recency counter at entry
        ("stamp", "i4"),  # recency counter at the last admission or unlock
        ("hits", "i4"),  # admissions that touched it since its entry
        ("session", "i4"),  # of the last use
        ("sessions", "i4"),  # 1 + changes of session from use to use
        ("turn", "i4"),  # of the last use
        ("ghost", "i4"),  # it entered as a ghost
        ("priority", "i4"),  # the smallest of its uses
        ("used", "i4"),  # recency counter at the last use
        ("used_before", "i4"),  # and at the use before that, -1 if there is none
        ("count", "i4"),  # of s3_fifo
        ("main", "i4"),  # it is in the main queue of s3_fifo
        ("place", "i4"),  # there
        ("born_ps", "i8"),
        ("used_ps", "i8"),  # time of the stamp; of the entry if it has none
        ("gap_us", "i8"),  # sum of the idle times that its hits ended
        ("accesses", "i8"),  # page accesses of the worker at the stamp
        ("inflation", "f8"),  # of gdsf, at the last use
        ("until_ps", "i8"),  # continuum holds it until then
    ],
    align=True,
)
"""Neighbouring pages of one node with the same history: they entered together and were used together since."""
WORKER = np.dtype([("free_span", "i8"), ("accesses", "i8"), ("inflation", "f8"), ("moves", "i8")], align=True)
"""Per worker: the first free span, pages of the prompts admitted so far, the inflation of gdsf, moves of s3_fifo."""

PS_PER_US = 1_000_000
LARGEST_COUNT = 3

DATES_PAGES = True
"""Pages that fill up during a burst of decodes enter one by one, each at its time."""

spans = kept_table(__name__, "spans", SPAN, lambda sizes: sizes.pages)
last_spans = kept_table(__name__, "last_spans", "i4", lambda sizes: sizes.rows)
remembered = kept_table(__name__, "remembered", WORKER, lambda sizes: sizes.workers)


@kernel
def row_cleared(s, r):
    """Row `r` holds no page."""
    last_spans(s)[r] = NONE


@kernel
def cleared(s, w):
    """The cache of worker `w` is empty: all its spans are free, a list that begins at `free_span`."""
    first = 0
    for v in range(w):
        first += workers(s)[v].kv_pages
    pages = workers(s)[w].kv_pages
    for i in range(first, first + pages):
        spans(s)[i].above = i + 1
    spans(s)[first + pages - 1].above = NONE
    memory = remembered(s)[w]
    memory.free_span = first
    memory.accesses = 0
    memory.inflation = 0.0
    memory.moves = 0


@kernel
def tail_span(s, r):
    """The span of the last resident page of row `r`."""
    return spans(s)[last_spans(s)[r]]


@kernel
def alike(s, r):
    """How many pages of leaf `r`, the last one included, may go and have its history."""
    row = rows(s)[r]
    return min(unlocked_pages(s, row), row.cached - tail_span(s, r).first)


@kernel
def gap_us(s, span):
    """Microseconds since the pages of a span were stamped, or entered."""
    return (clock(s).now_ps - span.used_ps) // PS_PER_US


@kernel
def entered(s, w, q, i, first, last, old, time_ps):
    """Pages [first, last) of the i-th node of the path of `q` are its tree pages; those from `old` on are new."""
    if old >= last:
        return
    r = row_of(s, w, paths(s)[requests(s)[q].path_start + i])
    page = np.int64(old)
    while page < last:
        ghost, pages = like_returns(s, r, page, last)
        _add_span(s, w, q, r, page, time_ps, ghost)
        page += pages


@kernel
def _add_span(s, w, q, r, first, time_ps, ghost):
    memory = remembered(s)[w]
    i = memory.free_span
    span = spans(s)[i]
    memory.free_span = span.above
    span.above = last_spans(s)[r]
    last_spans(s)[r] = i
    span.first = first
    span.born = workers(s)[w].counter
    span.stamp = 0
    span.hits = 0
    span.session = requests(s)[q].session
    span.sessions = 1
    span.turn = requests(s)[q].turn
    span.ghost = ghost
    span.priority = classes(s)[class_of(s, q)].priority
    span.used = workers(s)[w].counter
    span.used_before = -1
    span.count = 0
    span.main = ghost
    span.place = memory.moves
    span.born_ps = time_ps
    span.used_ps = time_ps
    span.gap_us = 0
    span.accesses = 0
    span.inflation = memory.inflation
    span.until_ps = 0


@kernel
def touched(s, w, q, pages):
    """The admission of request `q` is remembered on the first `pages` pages of its path."""
    request = requests(s)[q]
    remembered(s)[w].accesses += known_tokens(s, q) // config(s).page_size
    for i in range(request.path_start, request.path_start + request.path_nodes):
        v = paths(s)[i]
        node = nodes(s)[v]
        n = min(pages - node.start_page, node.n_pages)
        if n <= 0:
            break
        _touch(s, w, q, row_of(s, w, v), n)


@kernel
def _touch(s, w, q, r, n):
    """An admission of request `q` touches the first `n` pages of row `r`."""
    session = requests(s)[q].session
    priority = classes(s)[class_of(s, q)].priority
    i = cut(s, w, r, n)
    while i >= 0:
        span = spans(s)[i]
        span.turn = requests(s)[q].turn
        span.hits += 1
        span.gap_us += gap_us(s, span)
        if span.session != session:
            span.session = session
            span.sessions += 1
        span.inflation = remembered(s)[w].inflation
        span.priority = min(span.priority, priority)
        span.used_before = span.used
        span.used = workers(s)[w].counter
        span.count = min(span.count + 1, LARGEST_COUNT)
        _stamp(s, w, span)
        i = span.above


@kernel
def stamped(s, w, r, n):
    """The recency counter has been written on the first `n` pages of row `r`."""
    i = cut(s, w, r, n)
    while i >= 0:
        _stamp(s, w, spans(s)[i])
        i = spans(s)[i].above


@kernel
def _stamp(s, w, span):
    span.stamp = workers(s)[w].counter
    span.used_ps = clock(s).now_ps
    span.accesses = remembered(s)[w].accesses


@kernel
def cut(s, w, r, n):
    """The deepest span of the first `n` pages of row `r`, all resident; a span that goes on below them is cut."""
    table = spans(s)
    i = last_spans(s)[r]
    end = rows(s)[r].cached
    while table[i].first >= n:
        end = table[i].first
        i = table[i].above
    if end == n:
        return i
    memory = remembered(s)[w]
    j = memory.free_span
    memory.free_span = table[j].above
    table[j] = table[i]
    table[i].first = n
    table[i].above = j
    return j


@kernel
def dropped(s, w, r, n):
    """The last `n` pages of row `r` have gone."""
    while last_spans(s)[r] >= 0 and spans(s)[last_spans(s)[r]].first >= rows(s)[r].cached:
        i = last_spans(s)[r]
        last_spans(s)[r] = spans(s)[i].above
        spans(s)[i].above = remembered(s)[w].free_span
        remembered(s)[w].free_span = i


def each_touched(tell):
    """A kernel for `touched` that tells of each span, as it was before, how many of its pages are touched.

    Args:
        tell: A kernel (s, w, q, span, pages).
    """

    @kernel
    def tell_of_row(s, w, q, r, n):
        i = last_spans(s)[r]
        end = rows(s)[r].cached
        while i >= 0:
            span = spans(s)[i]
            pages = min(end, n) - span.first
            if pages > 0:
                tell(s, w, q, span, np.int64(pages))
            end = span.first
            i = span.above

    @kernel(inlined=False)
    def tell_of_path(s, w, q, pages):
        request = requests(s)[q]
        for i in range(request.path_start, request.path_start + request.path_nodes):
            v = paths(s)[i]
            node = nodes(s)[v]
            n = min(pages - node.start_page, node.n_pages)
            if n <= 0:
                break
            tell_of_row(s, w, q, row_of(s, w, v), n)

    return tell_of_path


def each_dropped(tell):
    """A kernel for `dropped` that tells of each span, as it was before, which pages of the row go, the last ones first.

    Args:
        tell: A kernel (s, w, r, span, first, last): pages [first, last) go.
    """

    @kernel(inlined=False)
    def tell_of_row(s, w, r, n):
        left = rows(s)[r].cached
        last = np.int64(left + n)
        i = last_spans(s)[r]
        while last > left:
            span = spans(s)[i]
            first = np.int64(max(span.first, left))
            tell(s, w, r, span, first, last)
            last = first
            i = span.above

    return tell_of_row
