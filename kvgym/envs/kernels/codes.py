"""Numbers that the kernels of the environments and Python share; numba is not needed to read them."""

SKIP = -1
"""What `act_many` does with an environment: leaves it alone; else as `act`."""
LOOK, PASS, SEND, EVICT_LEAF, EVICT_BY = range(5)
"""What `act` does first: nothing at all, nothing but counting as a decision, ROUTE to worker `choice` naming the
evictor `rule`, EVICT the leaf in slot `choice`, EVICT by rule `choice`."""

SCALED, ROUTES, EVICTS, FETCHES = 1, 2, 4, 8
"""What an observation consists of: bits of `form`."""
