"""Numbers that the kernels of the environments and Python share; numba is not needed to read them."""

from typing import NamedTuple

SKIP = -1
"""A command of `act_many` alone: the environment is left alone."""
LOOK, FORWARD, PASS, SEND, EVICT_LEAF, EVICT_BY, REFUSE = range(7)
"""Commands of `act`. No decision of the environment's agent: nothing at all; ROUTE to worker `choice`, as a router
that is not the agent has it. A decision of the agent, with which a step begins: nothing; ROUTE to worker `choice`,
naming the evictor `rule`; EVICT the leaf in slot `choice`; EVICT by rule `choice`; refuse the request."""

SCALED, ROUTES, EVICTS, FETCHES, COSTS_ANEW, PAYS_TTFT, PAYS_MISSES, COUNTS_MISSES = (1 << bit for bit in range(8))
"""Bits of `form`: parts of an observation, how costs are counted and which of them rewards pay."""
REWARDS = {"e2e": 0, "ttft": PAYS_TTFT, "slo": PAYS_MISSES | COUNTS_MISSES}
"""Bits of what a reward pays, by its name."""


class Costs(NamedTuple):
    """Costs of a step, as `write_costs` has them."""

    waiting: int  # integral of the counted requests without a first token, in request seconds
    decoding: int  # of those with one
    slo_misses: int  # counted requests that miss a target, where misses are counted
    gpu_seconds: int  # busy seconds of the workers times their GPUs
    prefill_tokens: int  # prompt tokens of the counted requests that finished that were not in a cache


COST = Costs(*range(len(Costs._fields)))
"""Their places."""


class Sums(NamedTuple):
    """Sums over the requests that count; `earliest_ps` and `latest_ps`: over all that have arrived."""

    hit: int  # tokens of those that have finished, as the next two
    prompt: int
    output: int
    preemptions: int
    returns: int  # to the router after a crash
    fetched: int  # tokens
    first_ps: int  # first arrival
    finish_ps: int  # last finish
    earliest_ps: int  # first arrival of all
    latest_ps: int  # last arrival of all
    refused: int  # requests that count and were refused
    refused_e2e_ps: int  # time that they were in the system, and what the refusals cost, in request time
    refused_ttft_ps: int  # the same without the time after a first token
    bound_ttft_ps: int  # lower bounds of the latencies of those that have finished
    bound_e2e_ps: int


SUM = Sums(*range(len(Sums._fields)))
"""Their places in the array that `measure` returns."""
