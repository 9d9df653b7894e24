"""Links between workers and their ends: how long a transfer takes, and when it would be there (T1, T2)."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, link_ends, links, transfers, workers
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache.locks import MOVING, PLANNED

INSIDE, BETWEEN = range(2)


@kernel
def kind_of_link(s, source, target):
    """Row of `links` that connects two workers."""
    return INSIDE if workers(s)[source].node == workers(s)[target].node else BETWEEN


@kernel
def ends_of(s, source, target):
    """Places in `link_ends` of the end that sends and of the end that receives."""
    if kind_of_link(s, source, target) == INSIDE:
        return 2 * source, 2 * target + 1
    first = 2 * config(s).n_workers
    return first + 2 * workers(s)[source].node, first + 2 * workers(s)[target].node + 1


@kernel
def transfer_ps(s, source, target, tokens):
    """How long the KV of `tokens` tokens is under way."""
    link = links(s)[kind_of_link(s, source, target)]
    return max(1, link.latency_ps + np.int64(np.rint(tokens * link.ps_per_token)))


@kernel
def free_ps(s, send, receive):
    """When both ends of a link have done what is planned for them."""
    return max(clock(s).now_ps, link_ends(s)[send], link_ends(s)[receive])


@kernel
def planned_end_ps(s, source, target, tokens):
    """When a transfer that is decided now would be there."""
    send, receive = ends_of(s, source, target)
    return free_ps(s, send, receive) + transfer_ps(s, source, target, tokens)


@kernel
def plan_transfers(s):
    """Plans all transfers in the order of decisions: each starts when both its ends have done the ones before it."""
    ck = clock(s)
    busy_until = link_ends(s)
    size = config(s).page_size
    busy_until[:] = 0
    ck.next_transfer_ps = INFINITE
    for i in range(ck.n_transfers):
        transfer = transfers(s)[i]
        send, receive = ends_of(s, transfer.source, transfer.target)
        if transfer.stage == PLANNED:
            transfer.start_ps = free_ps(s, send, receive)
            transfer.end_ps = transfer.start_ps + transfer_ps(
                s, transfer.source, transfer.target, transfer.pages * size
            )
        busy_until[send] = transfer.end_ps
        busy_until[receive] = transfer.end_ps
        ck.next_transfer_ps = min(
            ck.next_transfer_ps, transfer.end_ps if transfer.stage == MOVING else transfer.start_ps
        )


@kernel
def better_source(s, w, own, v, tokens, source, best, best_end_ps):
    """Whether worker `v`, which has `tokens` tokens of a prefix, is a better source for `w` than `source` with `best`.

    Returns (source, tokens, planned end) of the better one; `own` tokens are on `w` already.
    """
    if v == w or not workers(s)[v].up or tokens <= own or tokens < best:
        return source, best, best_end_ps
    end_ps = planned_end_ps(s, v, w, tokens - own)
    if tokens > best or end_ps < best_end_ps:
        return v, tokens, end_ps
    return source, best, best_end_ps
