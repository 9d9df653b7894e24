"""The kernels that `Simulator` calls while time passes, compiled ahead and cached on disk."""

from kvgym._kernel import entry_point
from kvgym.sim import events
from kvgym.sim.base.access import clock
from kvgym.sim.base.codes import ROUNDS
from kvgym.sim.cache import candidates
from kvgym.sim.fleet import transfers
from kvgym.sim.routing import view


@entry_point("int64(int64)")
def advance(s):
    """Runs to the next decision, or for some tenth of a second; returns a code of ``rules``."""
    return events.advance(s, ROUNDS)


@entry_point("void(int64, int64, int64)")
def route(s, w, evictor):
    """Routes the request that is due to worker `w`; `evictor` is ASK, or the rule that does its evictions."""
    events.route(s, w, evictor)


@entry_point("void(int64)")
def refuse(s):
    """Refuses the request that is due."""
    events.refuse(s)


@entry_point("void(int64, int64)")
def evict_candidate(s, slot):
    """Takes the EVICT decision that is due: the leaf in `slot`."""
    candidates.evict_candidate(s, slot)


@entry_point("void(int64, int64)")
def evict_by_rule(s, rule):
    """Takes the EVICT decision that is due: the evictor `rule`."""
    candidates.evict_by_rule(s, rule)


@entry_point("void(int64, float64[:, ::1])")
def describe(s, out):
    """Writes the features of all slots of the EVICT decision that is due, a row each."""
    for slot in range(len(out)):
        candidates.describe(s, clock(s).asking, slot, out[slot])


@entry_point("int64(int64, int64, int64)")
def visible_hit(s, w, q):
    """Prompt tokens of request `q` that hit on worker `w`, as the view shows it."""
    return view.visible_hit(s, w, q)


@entry_point("UniTuple(int64, 2)(int64, int64, int64)")
def offer(s, w, q):
    """Prompt tokens that could be fetched for request `q` on worker `w`, and ps until they would be there."""
    return transfers.visible_offer(s, w, q)
