"""From the address of a handle to the tables: ``workers(s)[w].free``.

A handle is an int64 array of (data pointer, length) pairs, one pair per entry of ``tables.TABLES``. Kernels pass its
address, one integer, around: a call from Python with twenty structured arrays would cost more than a whole step.
"""

import numpy as np
from numba import from_dtype, types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from kvgym._kernel import kernel
from kvgym.sim.tables import TABLES

_NAMES = [name for name, _ in TABLES]


def _array(context, builder, array_type, address, length):
    """The array of `length` entries at an address."""
    made = context.make_array(array_type)(context, builder)
    size = context.get_abi_sizeof(context.get_data_type(array_type.dtype))
    data = builder.inttoptr(address, made.data.type)
    populate_array(made, data, (length,), (length.type(size),), size, meminfo=None)
    return made._getvalue()


def array_at(dtype):
    """A function for kernels that returns the array of `n` entries of a type at an address."""

    @intrinsic
    def array(typing_context, address, n):
        array_type = types.Array(from_dtype(np.dtype(dtype)), 1, "C")

        def codegen(context, builder, signature, args):
            return _array(context, builder, array_type, *args)

        return array_type(types.int64, types.int64), codegen

    return array


def _load_constant(builder, address):
    """The int64 at an address where nothing changes while a kernel runs: the compiler may load it once for all uses."""
    word = builder.load(builder.inttoptr(address, address.type.as_pointer()))
    word.set_metadata("invariant.load", builder.module.add_metadata([]))
    return word


def _table(name):
    """A function for kernels that returns table `name` of the simulator at address `s`.

    An intrinsic: with `carray` in a kernel there were two more functions to compile for each of nearly forty tables.
    """
    at = 16 * _NAMES.index(name)
    array_type = types.Array(from_dtype(TABLES[_NAMES.index(name)][1]), 1, "C")

    @intrinsic
    def table(typing_context, s):
        def codegen(context, builder, signature, args):
            data, length = (_load_constant(builder, builder.add(args[0], args[0].type(at + i))) for i in (0, 8))
            return _array(context, builder, array_type, data, length)

        return array_type(types.int64), codegen

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


@kernel
def config(s):
    """The settings of the run."""
    return config_table(s)[0]


@kernel
def clock(s):
    """The time, and what is counted for the whole cluster."""
    return clock_table(s)[0]


@kernel
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


@kernel
def known_tokens(s, q):
    """Prompt and emitted tokens."""
    return requests(s)[q].prompt_tokens + progress(s)[q].emitted


@kernel
def hit_tokens(s, resident, tokens):
    """Tokens of `tokens` that hit where `resident` pages of them are there: the last one is always computed."""
    size = config(s).page_size
    return min(resident * size, tokens - 1) // size * size


@kernel
def pages_for(s, tokens):
    """Pages that hold `tokens` tokens, the last one perhaps not full."""
    size = config(s).page_size
    return (tokens + size - 1) // size
