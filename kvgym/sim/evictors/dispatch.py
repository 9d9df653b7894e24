"""Hooks: kernels that tell the evictors of the table what happens; a module takes part in what it has a kernel for."""

from kvgym._kernel import kernel_of_cases
from kvgym.sim.base import tables
from kvgym.sim.base.access import config
from kvgym.sim.evictors import KEPT, TABLE, bit, module

_modules = {name: module(name) for name in dict.fromkeys((*KEPT, *(row.module for row in TABLE.values())))}
tables.seal()


HOOKS = {
    "cleared": ("s, w", "the cache of worker `w` is empty, at the start and after a crash"),
    "row_cleared": ("s, r", "row `r` holds no page, likewise"),
    "routed": ("s, q", "request `q` is being sent to a worker; its session is as it was"),
    "refused": ("s, q", "request `q` has been refused; for oracles alone, nobody else knows of it"),
    "touched": ("s, w, q, pages", "request `q` has been admitted, the first `pages` pages of its path were there"),
    "entered": (
        "s, w, q, i, first, last, old, time_ps",
        "pages [first, last) of the i-th node of the path of `q`, full at `time_ps`, are its tree "
        "pages; those from `old` on are new",
    ),
    "grown": ("s, w, q", "request `q` has got tree pages, all of which have entered"),
    "stamped": ("s, w, r, n", "the recency counter was written on the first `n` pages of row `r`"),
    "dropped": ("s, w, r, n", "the last `n` pages of row `r` have been evicted; the totals don't know it yet"),
    "finished": ("s, w, q", "request `q` has finished; its pages are still locked"),
    "leaf_added": ("s, w, r", "row `r` is an unlocked leaf, now or still; its stamp may be another one"),
    "leaf_removed": ("s, w, r", "row `r` is no unlocked leaf, if it was one"),
    "leaf_changed": ("s, w, r", "row `r`, an unlocked leaf, has another last page"),
    "leaf_replaced": ("s, w, r, above", "the last page of leaf `r` has gone, and row `above` is a leaf instead"),
}
"""Parameters and meaning of each."""


def _told(name):
    """Modules that have a hook of their own, and not one that they import to call it."""
    functions = {kept: getattr(_modules[kept], name, None) for kept in KEPT}
    return {kept: f for kept, f in functions.items() if f and f.py_func.__module__ == f"{__package__}.{kept}"}


def _hook(name):
    """A kernel that tells all modules which are kept, in the order of `KEPT`."""
    parameters, _ = HOOKS[name]
    cases = [
        (f"if config(s).keeps & {bit(kept)}: {{}}({parameters})", function) for kept, function in _told(name).items()
    ]
    return kernel_of_cases(parameters, cases, config=config)


def told(name):
    """Bits of the modules that have a hook."""
    return sum(map(bit, _told(name)))


cleared = _hook("cleared")
row_cleared = _hook("row_cleared")
routed = _hook("routed")
refused = _hook("refused")
touched = _hook("touched")
entered = _hook("entered")
grown = _hook("grown")
stamped = _hook("stamped")
dropped = _hook("dropped")
finished = _hook("finished")
leaf_added = _hook("leaf_added")
leaf_removed = _hook("leaf_removed")
leaf_changed = _hook("leaf_changed")
leaf_replaced = _hook("leaf_replaced")
