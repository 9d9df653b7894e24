"""Evictors about which the simulator and the reference have to agree: all that both know.

Those in PENDING are not in the reference yet, or not as docs/semantics.md has them now. This is the one place that
keeps them out of comparisons: take a name away and it is compared, and its cases computed by hand are played by both.
"""

from kvgym import sim

PENDING = ("slru", "slru_two_hits", "priority", "lru_k", "arc", "s3_fifo", "lhd", "continuum")

EVICTORS = tuple(name for name in sim.EVICTORS if name not in PENDING)
RULES = tuple(name for name in sim.RULES if name not in PENDING)
