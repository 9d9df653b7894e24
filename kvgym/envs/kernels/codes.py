"""Numbers that the kernels of the environments and Python share; numba is not needed to read them."""

from typing import NamedTuple

SKIP = -1
"""A command of `act_many` alone: the environment is left alone."""
LOOK, FORWARD, PASS, SEND, EVICT_LEAF, EVICT_BY = range(6)
"""Commands of `act`. No decision of the environment's agent: nothing at all; ROUTE to worker `choice`, as a router
that is not the agent has it. A decision of the agent, with which a step begins: nothing; ROUTE to worker `choice`,
naming the evictor `rule`; EVICT the leaf in slot `choice`; EVICT by rule `choice`."""

SCALED, ROUTES, EVICTS, FETCHES, COSTS_ANEW = 1, 2, 4, 8, 16
"""Bits of `form`: parts of an observation, and how costs are counted."""


class Sums(NamedTuple):
    """Sums over the requests that count; those of all are over the requests that have arrived.

    Attributes:
        good: Requests that met both objectives.
        hit: Hit tokens.
        prompt: Prompt tokens.
        output: Output tokens.
        preemptions: Preemptions.
        returns: Returns to the router after a crash.
        fetched: Fetched tokens.
        first_ps: First arrival.
        finish_ps: Last finish.
        earliest_ps: First arrival of all.
        latest_ps: Last arrival of all.
    """

    good: int
    hit: int
    prompt: int
    output: int
    preemptions: int
    returns: int
    fetched: int
    first_ps: int
    finish_ps: int
    earliest_ps: int
    latest_ps: int


SUM = Sums(*range(len(Sums._fields)))
"""Their places in the array that `measure` returns."""
