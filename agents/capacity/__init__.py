"""What a fleet can take: the highest rate that a router sustains, the fewest workers for a rate, and sweeps.

drive      searches that ask for episodes, answered from a store or by processes
search     bisection over rates and over numbers of workers
common     options, cases and offered rates that both commands share
"""
