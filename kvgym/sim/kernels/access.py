"""From the address of a handle to the tables: ``workers(s)[w].free``.

A handle is an int64 array of (data pointer, length) pairs, one pair per entry of ``tables.TABLES``. Kernels pass its
address, one integer, around: a call from Python with twenty structured arrays would cost more than a whole step.
"""

from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from kvgym.sim.tables import TABLES

_NAMES = [name for name, _ in TABLES]


@intrinsic
def as_pointer(typing_context, address):
    """An address as what `carray` takes."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), codegen


@intrinsic
def _load_constant(typing_context, address):
    """The int64 at an address where nothing changes while a kernel runs: the compiler may load it once for all uses."""

    def codegen(context, builder, signature, args):
        word = builder.load(builder.inttoptr(args[0], ir.IntType(64).as_pointer()))
        word.set_metadata("invariant.load", builder.module.add_metadata([]))
        return word

    return types.int64(types.int64), codegen


def _table(name):
    """A kernel that returns table `name` of the simulator at address `s`."""
    at = 16 * _NAMES.index(name)
    dtype = TABLES[_NAMES.index(name)][1]

    @njit(nogil=True)
    def table(s):
        return carray(as_pointer(_load_constant(s + at)), (_load_constant(s + (at + 8)),), dtype)

    return table


config_table = _table("config")
clock_table = _table("clock")
requests = _table("requests")
nodes = _table("nodes")
paths = _table("paths")
progress = _table("progress")
workers = _table("workers")
ends_of_runs = _table("ends_of_runs")
idle_with_work = _table("idle_with_work")
rows = _table("rows")
ends = _table("ends")
memories = _table("memories")
spans = _table("spans")
ghosts = _table("ghosts")
categories = _table("categories")
candidates = _table("candidates")
index_rows = _table("index")
running = _table("running")
leaves = _table("leaves")
costs = _table("costs")
g_table = _table("g")
pending = _table("pending")
finished = _table("finished")
arrived = _table("arrived")
sessions = _table("sessions")
page_ids = _table("page_ids")
hints = _table("hints")
iterations = _table("iterations")
draws = _table("draws")
use_starts = _table("use_starts")
uses = _table("uses")
use_next = _table("use_next")
transfers = _table("transfers")
link_ends = _table("link_ends")
links = _table("links")
traffic = _table("traffic")
faults = _table("faults")


@njit(nogil=True)
def config(s):
    """The settings of the run."""
    return config_table(s)[0]


@njit(nogil=True)
def clock(s):
    """The time, and what is counted for the whole cluster."""
    return clock_table(s)[0]


@njit(nogil=True)
def row_of(s, w, v):
    """Row of node `v` on worker `w` in `rows` and `index`.

    Shared nodes have a row per worker. A private node serves one request, which is on one worker at a time, so one
    row is enough: that keeps large runs small. The rows of a node are neighbours: a router looks at all of them.
    """
    cf = config(s)
    slot = nodes(s)[v].slot
    if slot < cf.n_shared:
        return slot * cf.n_workers + w
    return (cf.n_workers - 1) * cf.n_shared + slot


@njit(nogil=True)
def known_tokens(s, q):
    """Prompt and emitted tokens."""
    return requests(s)[q].prompt_tokens + progress(s)[q].emitted


@njit(nogil=True)
def hit_tokens(s, resident, tokens):
    """Tokens of `tokens` that hit where `resident` pages of them are there: the last one is always computed."""
    size = config(s).page_size
    return min(resident * size, tokens - 1) // size * size


@njit(nogil=True)
def pages_for(s, tokens):
    """Pages that hold `tokens` tokens, the last one perhaps not full."""
    size = config(s).page_size
    return (tokens + size - 1) // size
