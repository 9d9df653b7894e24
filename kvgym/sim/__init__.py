"""How time passes: a workload on a cluster becomes decisions and records of finished requests.

Start at ``events.advance``, the loop over events. Its kernels lie in rooms, each of which imports those before it:

- ``base``: tables and what everybody needs of them
- ``evictors``: which cached pages go; a table of evictors, and hooks that tell them what happens
- ``cache``: the prefix tree of a worker, locks, allocations, EVICT decisions
- ``routing``: what a router sees and counts, and rules that route
- ``engine``: arrivals, queues, batches, iterations and how long they take, preemption
- ``fleet``: transfers between workers, crashes and slow-downs

``Simulator`` is what a program calls.
"""

from kvgym.sim.base.codes import ROUTERS, VIEWS
from kvgym.sim.evictors import EVICTORS, RULES
from kvgym.sim.simulator import TRANSFERS, Decision, Simulator

__all__ = ["EVICTORS", "ROUTERS", "RULES", "TRANSFERS", "VIEWS", "Decision", "Simulator"]
