"""Brings what a decision will touch into the processor's cache while decisions of other simulators are taken.

Between two decisions of one simulator a large batch touches more memory than a cache holds. Waiting for it piece by
piece takes longer than the play, but many pieces can be on their way at once. Nothing here changes a result.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kvgym._kernel import kernel
from kvgym.sim.base import access
from kvgym.sim.base.access import clock, config
from kvgym.sim.base.rows import row_of

_LINE = 64
"""Bytes that come at a time."""
_DEEPEST = 2
"""Nodes of a path that are fetched: where the prefix is shared, and where the prompt goes on alone."""


@intrinsic
def _prefetch(typing_context, address):
    def codegen(context, builder, signature, args):
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, keep, data = number(0), number(3), number(1)
        builder.call(function, [builder.inttoptr(args[0], cgutils.voidptr_t), read, keep, data])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@kernel
def _prefetch_rows(table, row, n):
    """The `n` rows of a table that begin with `row`."""
    first = table.ctypes.data + row * table.itemsize
    for address in range(first, first + n * table.itemsize, _LINE):
        _prefetch(address)


@kernel
def prefetch_requests(s):
    """First: the request that is due, the one that will probably be next, and the oldest running one of each worker."""
    ck = clock(s)
    for q in (ck.request, ck.next_open):
        if 0 <= q < config(s).n_requests:
            _prefetch_rows(access.requests(s), q, 1)
            _prefetch_rows(access.progress(s), q, 1)
    _prefetch_rows(access.arrived(s), ck.n_arrived, 1)
    _prefetch_rows(access.finished(s), ck.n_finished, 1)
    for w in range(config(s).n_workers):
        if access.workers(s)[w].n_running > 0:
            _prefetch_rows(access.progress(s), access.running(s)[w * config(s).max_running], 1)


@kernel
def prefetch_paths(s):
    """Second, when these requests are there: what is known of the beginnings of their paths on every worker."""
    ck = clock(s)
    cf = config(s)
    for q in (ck.request, ck.next_open):
        if not 0 <= q < cf.n_requests:
            continue
        request = access.requests(s)[q]
        _prefetch_rows(access.sessions(s), request.session, 1)
        for i in range(request.path_start, request.path_start + min(_DEEPEST, request.path_nodes)):
            v = access.paths(s)[i]
            copies = cf.n_workers if access.nodes(s)[v].slot < cf.n_shared else 1
            _prefetch_rows(access.page_ids(s), v, 1)
            _prefetch_rows(access.rows(s), row_of(s, 0, v), copies)
            _prefetch_rows(access.index_rows(s), row_of(s, 0, v), copies)
