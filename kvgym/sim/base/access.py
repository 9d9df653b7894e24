"""From the address of a handle to the tables: ``workers(s)[w].free``.

A handle is an int64 array of (data pointer, length) pairs, one pair per name in ``tables.handle_order()``. Kernels
pass its address, one integer, around: a call from Python with twenty structured arrays would cost more than a step.
"""

import numpy as np
from numba import from_dtype, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from kvgym._kernel import kernel
from kvgym.sim.base import tables


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


@intrinsic
def copy_bytes(typing_context, target, source, n):
    """Copies `n` bytes from one address to another."""

    def codegen(context, builder, signature, args):
        to, of = (builder.inttoptr(address, address.type.as_pointer()) for address in args[:2])
        cgutils.raw_memcpy(builder, to, of, args[2], 1)
        return context.get_dummy_value()

    return types.none(types.int64, types.int64, types.int64), codegen


def _load_constant(builder, address):
    """The int64 at an address where nothing changes while a kernel runs: the compiler may load it once for all uses."""
    word = builder.load(builder.inttoptr(address, address.type.as_pointer()))
    word.set_metadata("invariant.load", builder.module.add_metadata([]))
    return word


def _table(name, dtype=None):
    """A function for kernels that returns table `name` of the simulator at address `s`.

    An intrinsic: with `carray` in a kernel there were two more functions to compile for each of nearly forty tables.
    """
    array_type = types.Array(from_dtype(np.dtype(dtype or tables.TABLES[name])), 1, "C")

    @intrinsic
    def table(typing_context, s):
        def codegen(context, builder, signature, args):
            at = 16 * tables.handle_order().index(name)
            data, length = (_load_constant(builder, builder.add(args[0], args[0].type(at + i))) for i in (0, 8))
            return _array(context, builder, array_type, data, length)

        return array_type(types.int64), codegen

    return table


def kept_table(module, name, dtype, rows, read_only=False):
    """The same for a table that is there only while an evictor keeps it.

    Args:
        module: `__name__` of the module of `kvgym.sim.evictors` that keeps it.
        name: Of the table.
        dtype: Of its rows, all zero at the beginning.
        rows: Gives the number of rows from `tables.Sizes`.
        read_only: Whether no run writes it.
    """
    tables.declare(tables.KeptTable(module.rpartition(".")[2], name, np.dtype(dtype), rows, read_only))
    return _table(name, dtype)


def __getattr__(name):
    """Function for kernels that returns table `name`, one of `tables.TABLES`: `from .. import workers`."""
    if name not in tables.TABLES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, _table(name))


index_rows = _table("index")
g_table = _table("g")
_config_table = _table("config")
_clock_table = _table("clock")


@kernel
def config(s):
    """The settings of the run."""
    return _config_table(s)[0]


@kernel
def clock(s):
    """The time, and what is counted for the whole cluster."""
    return _clock_table(s)[0]
