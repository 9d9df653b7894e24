"""A worker's prefix tree: lookup, locks, pages that enter, unlocks (docs/semantics.md, C1 to C5)."""

from kvgym._kernel import kernel
from kvgym.sim.kernels.access import config, known_tokens, nodes, paths, progress, requests, row_of, rows, workers
from kvgym.sim.kernels.births import see_birth, see_death
from kvgym.sim.kernels.boundaries import NOTHING, show, show_next
from kvgym.sim.kernels.leaves import (
    add_leaf,
    locked_pages,
    refresh_leaf,
    remove_leaf,
    replace_leaf,
    unlocked_pages,
)
from kvgym.sim.kernels.lists import list_newest, unlist
from kvgym.sim.kernels.locks import locked_part
from kvgym.sim.kernels.marks import drop_marks, mark_as_code, mark_entered, mark_path
from kvgym.sim.kernels.spans import (
    forget_pages,
    halve_categories,
    remember_entry,
    stamp_span_pages,
    touch_span_pages,
)


@kernel
def resident_prefix(s, w, q, pages):
    """How many of the first `pages` pages of request `q` are resident on worker `w`, and how many of those unlocked."""
    request = requests(s)[q]
    resident = 0
    unlocked = 0
    for i in range(request.path_start, request.path_start + request.path_nodes):
        v = paths(s)[i]
        node = nodes(s)[v]
        if node.start_page >= pages:
            break
        row = rows(s)[row_of(s, w, v)]
        n = min(row.cached, pages - node.start_page)
        resident += n
        unlocked += max(0, n - locked_pages(s, row))
        if n < node.n_pages:
            break
    return resident, unlocked


@kernel
def settle(s, w, r, unlocked_before):
    """Books the change of unlocked pages of row `r`; a row without any leaves the evictor's sets."""
    wk = workers(s)[w]
    row = rows(s)[r]
    unlocked = unlocked_pages(s, row)
    wk.evictable += unlocked - unlocked_before
    if unlocked == 0:
        unlist(s, w, r)
        remove_leaf(s, w, r)


@kernel
def lock_pages(s, w, q, pages):
    """Locks the first `pages` pages of request `q`'s path, all resident; returns how many nodes they cover whole."""
    request = requests(s)[q]
    full_nodes = 0
    for i in range(request.path_nodes):
        v = paths(s)[request.path_start + i]
        node = nodes(s)[v]
        n = min(pages - node.start_page, node.n_pages)
        if n <= 0:
            break
        r = row_of(s, w, v)
        row = rows(s)[r]
        unlocked = unlocked_pages(s, row)
        if n == node.n_pages:
            row.locks += 1
            full_nodes += 1
        else:
            row.part_locks += 1
            row.part_pages = max(row.part_pages, n)
        settle(s, w, r, unlocked)
    return full_nodes


@kernel
def hold_prefix(s, w, q, pages):
    """Request `q` locks the first `pages` pages of its path, all resident on worker `w`, which it is on."""
    run = progress(s)[q]
    run.tree_pages = pages
    run.held_pages = pages
    run.full_nodes = lock_pages(s, w, q, pages)


@kernel
def lock_prefix(s, w, q, pages):
    """Locks the first `pages` pages of request `q`'s path, all resident, for a request that is being admitted."""
    run = progress(s)[q]
    hold_prefix(s, w, q, pages)
    cf = config(s)
    if cf.tracks_boundaries:
        for i in range(run.full_nodes):
            show_next(s, w, q, i)
    if cf.tracks_marks and not cf.marks_as_code:
        mark_path(s, w, q, pages)
    if cf.tracks_spans:
        _touch_prefix(s, w, q, pages)


@kernel
def _touch_prefix(s, w, q, pages):
    """The admission of request `q` is remembered on the first `pages` pages of its path."""
    request = requests(s)[q]
    wk = workers(s)[w]
    wk.counter += 1
    wk.accesses += known_tokens(s, q) // config(s).page_size
    for i in range(request.path_start, request.path_start + request.path_nodes):
        v = paths(s)[i]
        node = nodes(s)[v]
        n = min(pages - node.start_page, node.n_pages)
        if n <= 0:
            break
        touch_span_pages(s, w, q, row_of(s, w, v), n)
    halve_categories(s, w)


@kernel
def _drop_part_lock(s, w, q, r):
    """Request `q` no longer locks a part of the node of row `r`: what the others lock of it remains."""
    row = rows(s)[r]
    row.part_locks -= 1
    if row.part_locks == 0:
        row.part_pages = 0
    elif config(s).transfers:  # without them, whoever locks more goes first
        row.part_pages = locked_part(s, w, q, row.node)


@kernel
def _enter_node(s, w, q, i, first, last, time_ps):
    """Pages [first, last) of the i-th node of the path of `q` have been computed: into the tree, or found there."""
    cf = config(s)
    request = requests(s)[q]
    wk = workers(s)[w]
    v = paths(s)[request.path_start + i]
    node = nodes(s)[v]
    r = row_of(s, w, v)
    row = rows(s)[r]
    unlocked = unlocked_pages(s, row)
    old = row.cached
    found = min(max(old - first, 0), last - first)
    if old < last:
        row.cached = last
        if old == 0 and node.parent >= 0:
            rows(s)[row_of(s, w, node.parent)].children += 1
        if cf.tracks_marks:
            mark_entered(s, w, r, old)
        if cf.tracks_spans:
            remember_entry(s, w, q, r, old, time_ps)
            see_birth(s, w, r)
    if first > 0:
        _drop_part_lock(s, w, q, r)
    if last == node.n_pages:
        row.locks += 1
    else:
        row.part_locks += 1
        row.part_pages = max(row.part_pages, last)
    wk.free += found
    wk.recomputed += found
    wk.loaded += last - first - found
    settle(s, w, r, unlocked)
    if cf.tracks_boundaries:
        if first == 0 and node.parent >= 0:
            show(rows(s)[row_of(s, w, node.parent)], v)
        if last == node.n_pages:
            show_next(s, w, q, i)


@kernel
def enter_pages(s, w, q, pages, time_ps):
    """The first `pages` pages of request `q` are full at `time_ps`: those not yet its tree pages enter, root first."""
    request = requests(s)[q]
    run = progress(s)[q]
    if run.tree_pages >= pages:
        return
    while run.tree_pages < pages:
        i = run.full_nodes
        node = nodes(s)[paths(s)[request.path_start + i]]
        first = run.tree_pages - node.start_page
        last = min(node.n_pages, pages - node.start_page)
        _enter_node(s, w, q, i, first, last, time_ps)
        run.tree_pages += last - first
        if last == node.n_pages:
            run.full_nodes += 1
    if config(s).marks_as_code:
        mark_as_code(s, w, q)


@kernel
def _deepest_resident(s, w, q):
    """Index in the path of `q` of the deepest node with resident known pages, at least its own deepest; -1 = none."""
    request = requests(s)[q]
    known_pages = known_tokens(s, q) // config(s).page_size
    deepest = -1
    for i in range(request.path_nodes):
        v = paths(s)[request.path_start + i]
        node = nodes(s)[v]
        row = rows(s)[row_of(s, w, v)]
        if node.start_page >= known_pages or row.cached == 0:
            break
        deepest = i
        if row.cached < node.n_pages:
            break
    return deepest


@kernel
def unlock_pages(s, w, q, pages):
    """Unlocks the first `pages` pages of request `q`'s path on worker `w` and stamps what is resident of its path."""
    request = requests(s)[q]
    wk = workers(s)[w]
    known_pages = known_tokens(s, q) // config(s).page_size
    tracks_spans = config(s).tracks_spans
    wk.counter += 1
    for i in range(_deepest_resident(s, w, q), -1, -1):
        v = paths(s)[request.path_start + i]
        node = nodes(s)[v]
        r = row_of(s, w, v)
        row = rows(s)[r]
        unlocked = unlocked_pages(s, row)
        if node.start_page + node.n_pages <= pages:
            row.locks -= 1
        elif node.start_page < pages:
            _drop_part_lock(s, w, q, r)
        if tracks_spans:
            stamp_span_pages(s, w, r, min(row.cached, known_pages - node.start_page))
        now = unlocked_pages(s, row)
        wk.evictable += now - unlocked
        if now > 0:
            list_newest(s, w, r)
            if row.children == 0:
                add_leaf(s, w, r)


@kernel
def release(s, w, q):
    """Unlocks the pages of request `q` (finished or preempted), stamps its path, frees what is not in the tree."""
    run = progress(s)[q]
    unlock_pages(s, w, q, run.tree_pages)
    workers(s)[w].free += run.held_pages - run.tree_pages
    run.held_pages = 0
    run.tree_pages = 0
    run.full_nodes = 0


@kernel
def drop_pages(s, w, r, n):
    """Evicts the last `n` pages of row `r`, all unlocked; its parent may become a leaf."""
    row = rows(s)[r]
    wk = workers(s)[w]
    parent = nodes(s)[row.node].parent
    row.cached -= n
    row.shown = NOTHING
    if row.cached == 0 and parent >= 0:
        rows(s)[row_of(s, w, parent)].children -= 1
    if config(s).tracks_marks:
        drop_marks(s, w, r, n)
    if config(s).tracks_spans and forget_pages(s, w, r, row.cached + n):
        see_death(s, w, r)
    wk.evictable -= n
    wk.free += n
    wk.evicted += n
    if unlocked_pages(s, row) > 0:
        refresh_leaf(s, w, r)
        return
    unlist(s, w, r)
    if row.cached == 0 and parent >= 0:
        above = row_of(s, w, parent)
        parent_row = rows(s)[above]
        if parent_row.children == 0 and unlocked_pages(s, parent_row) > 0:
            replace_leaf(s, w, r, above)
            return
    remove_leaf(s, w, r)
