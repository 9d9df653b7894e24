"""Leaves of a worker by the birth of their last page, for `fifo`: locked ones too, skipped by whoever looks.

A leaf in front of the victim is locked, so a search passes no more leaves than there are running requests, however
many leaves there are (as long as `fifo` alone evicts).
"""

from kvgym._kernel import kernel
from kvgym.sim.kernels.access import config, memories, nodes, row_of, rows
from kvgym.sim.kernels.leaves import unlocked_pages
from kvgym.sim.kernels.lists import NONE, births_ends, list_birth_before, unlist_birth
from kvgym.sim.kernels.spans import tail_span


@kernel
def see_birth(s, w, r):
    """Pages have just entered row `r`: it is the youngest leaf, and its parent is none."""
    if not config(s).tracks_births:
        return
    parent = nodes(s)[rows(s)[r].node].parent
    if parent >= 0:
        unlist_birth(s, w, row_of(s, w, parent))
    list_birth_before(s, w, r, NONE)


@kernel
def see_death(s, w, r):
    """The last span of row `r` has gone: it, or its parent, is a leaf that was born earlier."""
    if not config(s).tracks_births:
        return
    unlist_birth(s, w, r)
    if rows(s)[r].cached == 0:
        parent = nodes(s)[rows(s)[r].node].parent
        if parent < 0:
            return
        r = row_of(s, w, parent)
        if rows(s)[r].children > 0:
            return
    born = tail_span(s, r).born
    newer = births_ends(s, w).oldest
    while newer != NONE and tail_span(s, newer).born < born:
        newer = memories(s)[newer].newer
    list_birth_before(s, w, r, newer)


@kernel
def first_born(s, w):
    """The unlocked leaf whose last page was born first; of equals the one with the oldest stamp."""
    best = NONE
    r = births_ends(s, w).oldest
    while r != NONE:
        if unlocked_pages(s, rows(s)[r]) > 0:
            if best == NONE:
                best = r
            elif tail_span(s, r).born > tail_span(s, best).born:
                break
            elif tail_span(s, r).stamp < tail_span(s, best).stamp:
                best = r
        r = memories(s)[r].newer
    return best
