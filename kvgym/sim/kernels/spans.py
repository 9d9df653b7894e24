"""What a worker remembers of its pages, for evictors that ask: spans of pages with the same history.

Rules C7 and 21 to 27 of docs/semantics.md; the fields are those of ``cache_tables.SPAN``. Every span holds a resident
page at least, so `kv_pages` spans per worker are enough.
"""

from kvgym._kernel import kernel
from kvgym.sim.cache_tables import N_CATEGORIES
from kvgym.sim.kernels.access import categories, clock, config, ghosts, memories, requests, rows, spans, workers

PS_PER_US = 1_000_000


@kernel
def tail_span(s, r):
    """The span of the last resident page of row `r`."""
    return spans(s)[memories(s)[r].span]


@kernel
def category_of(s, q):
    """Category of the pages that request `q` used last, for `workload_aware`."""
    return min(requests(s)[q].turn, N_CATEGORIES - 1)


@kernel
def category(s, w, number):
    """What worker `w` counts of a category."""
    return categories(s)[w * N_CATEGORIES + number]


@kernel
def remember_entry(s, w, q, r, old, time_ps):
    """Pages [old, cached) of row `r`, computed by request `q`, entered at `time_ps`."""
    cached = rows(s)[r].cached
    known = _count_ghosts(s, w, r, old)
    if known > 0:
        _add_span(s, w, q, r, old, time_ps, 1)
    if old + known < cached:
        _add_span(s, w, q, r, old + known, time_ps, 0)
    category(s, w, category_of(s, q)).uses += cached - old


@kernel
def _count_ghosts(s, w, r, old):
    """How many of the pages [old, cached) that enter are ghosts; deeper pages went first, so ghosts come first."""
    if not config(s).tracks_ghosts:
        return 0
    wk = workers(s)[w]
    first = memories(s)[r].ghosts
    page = old
    while page < rows(s)[r].cached:
        number = ghosts(s)[first + page]
        if number == 0 or wk.evicted - number >= wk.kv_pages:
            break
        page += 1
    return page - old


@kernel
def _add_span(s, w, q, r, first, time_ps, ghost):
    wk = workers(s)[w]
    memory = memories(s)[r]
    i = wk.free_span
    span = spans(s)[i]
    wk.free_span = span.above
    span.above = memory.span
    memory.span = i
    span.first = first
    span.born = wk.counter
    span.stamp = 0
    span.hits = 0
    span.session = requests(s)[q].session
    span.sessions = 1
    span.category = category_of(s, q)
    span.ghost = ghost
    span.born_ps = time_ps
    span.used_ps = time_ps
    span.gap_us = 0
    span.accesses = 0
    span.inflation = wk.inflation


@kernel
def touch_span_pages(s, w, q, r, n):
    """An admission of request `q` touches the first `n` pages of row `r`."""
    wk = workers(s)[w]
    now = clock(s).now_ps
    session = requests(s)[q].session
    own_category = category_of(s, q)
    i = _cut(s, w, r, n)
    end = n
    while i >= 0:
        span = spans(s)[i]
        pages = end - span.first
        gap_us = (now - span.used_ps) // PS_PER_US
        before = category(s, w, span.category)
        before.reuses += pages
        before.gap_us += gap_us * pages
        category(s, w, own_category).uses += pages
        span.category = own_category
        span.hits += 1
        span.gap_us += gap_us
        if span.session != session:
            span.session = session
            span.sessions += 1
        span.inflation = wk.inflation
        _stamp(s, wk, span)
        end = span.first
        i = span.above


@kernel
def stamp_span_pages(s, w, r, n):
    """Writes the recency counter on the first `n` pages of row `r`."""
    wk = workers(s)[w]
    i = _cut(s, w, r, n)
    while i >= 0:
        _stamp(s, wk, spans(s)[i])
        i = spans(s)[i].above


@kernel
def _stamp(s, wk, span):
    span.stamp = wk.counter
    span.used_ps = clock(s).now_ps
    span.accesses = wk.accesses


@kernel
def _cut(s, w, r, n):
    """The deepest span of the first `n` pages of row `r`, all resident; a span that goes on below them is cut."""
    table = spans(s)
    i = memories(s)[r].span
    end = rows(s)[r].cached
    while table[i].first >= n:
        end = table[i].first
        i = table[i].above
    if end == n:
        return i
    wk = workers(s)[w]
    j = wk.free_span
    wk.free_span = table[j].above
    table[j] = table[i]
    table[i].first = n
    table[i].above = j
    return j


@kernel
def halve_categories(s, w):
    """Old counts of worker `w` fade: a category that has seen four times its pages counts half from now on."""
    for number in range(N_CATEGORIES):
        count = category(s, w, number)
        if count.uses > 4 * workers(s)[w].kv_pages:
            count.uses //= 2
            count.reuses //= 2
            count.gap_us //= 2


@kernel
def forget_pages(s, w, r, old):
    """Pages [cached, old) of row `r` have gone: the last one of them first. True if the tail is of another span now."""
    wk = workers(s)[w]
    memory = memories(s)[r]
    cached = rows(s)[r].cached
    if config(s).tracks_ghosts:
        for page in range(cached, old):
            ghosts(s)[memory.ghosts + page] = wk.evicted + old - page
    changed = False
    while memory.span >= 0 and spans(s)[memory.span].first >= cached:
        i = memory.span
        memory.span = spans(s)[i].above
        spans(s)[i].above = wk.free_span
        wk.free_span = i
        changed = True
    return changed
