"""`kernel` and `entry_point`, for compiled functions that compiled functions call, and for those that Python calls.

numba's own `njit` optimises and emits each function with all that it calls, so once more at each level of calls: two
thirds of what compiling the simulator took. Here a kernel is lowered and left at that. An entry point links all that it
reaches, optimises it together, once, and emits it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from llvmlite.binding import Linkage
from numba import _dynfunc, njit
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.typed_passes import NativeLowering


def kernel(
    function: Callable[..., Any] | None = None, *, allocates: bool = False, inlined: bool = True, **options: Any
) -> Any:
    """Decorates a function that only compiled functions call.

    Args:
        function: The function.
        allocates: Whether it makes arrays, or returns any; others are spared the counting of references.
        inlined: Whether it may be inlined where it is called: what is rare is compiled faster without.
        options: Of numba's `njit`.
    """
    compiler = _KernelCompiler if inlined else _OutOfLineCompiler
    decorate = njit(nogil=True, _nrt=allocates, pipeline_class=compiler, **options)
    return decorate if function is None else decorate(function)


def kernel_of_cases(parameters: str, cases: Iterable[tuple[str, Callable[..., Any]]], **names: Any) -> Any:
    """A kernel that calls others, each in its case, as one would write it out from a table.

    One kernel for all cases: a chain of kernels, each calling the next, takes several times as long to compile.

    Args:
        parameters: As in a function's head: "s, w, rule".
        cases: Statements, one after the other, with {} where the kernel beside it is called: "if rule == 3: {}(s, w)".
        **names: Kernels that statements call besides.
    """
    names["__name__"] = __name__  # whose function it is
    lines = [f"def cases({parameters}):", "    pass"]
    for i, (statement, function) in enumerate(cases):
        names[f"case_{i}"] = function
        lines.append("    " + statement.format(f"case_{i}"))
    exec("\n".join(lines), names)
    return kernel(names["cases"])


def entry_point(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorates a function that Python calls, with arguments and result of a signature; compiled ahead, kept on disk.

    A module that has any is imported with `kvgym._compile.load`.
    """
    decorate: Callable[[Callable[..., Any]], Any] = njit(
        signature, cache=True, nogil=True, pipeline_class=_EntryPointCompiler
    )
    return decorate


class _KernelLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The code of one kernel, neither optimised nor emitted, and the libraries that it calls."""

    _shared_module: Any
    inlined = True

    def finalize(self) -> None:
        """Nothing is to be done before another library links this one."""
        self._raise_if_finalized()
        self._finalize_dynamic_globals()
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        """A module with the kernel and all that it calls."""
        module = self._own_module().clone()
        # What can be left out is linked where it is called already: callers come first.
        for library in reversed(list(_callees_first(self, set()))):
            of_kernel = isinstance(library, _KernelLibrary)
            module.link_in(library._own_module() if of_kernel else library._get_module_for_linking(), preserve=True)
        return module

    def _own_module(self) -> Any:
        """The kernel alone, marked as what may be defined several times, inlined, and left out."""
        if self._shared_module is None:
            for function in self._final_module.functions:
                if not function.is_declaration and function.linkage == Linkage.external:
                    function.linkage = "linkonce_odr"
                    if not self.inlined:
                        function.add_function_attribute("noinline")
            self._shared_module = self._final_module
        return self._shared_module


def _callees_first(library: Any, seen: set[int]) -> Iterator[Any]:
    """Libraries that kernels in `library` call, directly or not; what others call is part of them already."""
    if isinstance(library, _KernelLibrary):
        for callee in library._linking_libraries:
            if id(callee) not in seen:
                seen.add(id(callee))
                yield from _callees_first(callee, seen)
                yield callee


class _EntryPointLibrary(JITCodeLibrary):  # type: ignore[misc]
    """An entry point with all that it calls."""

    def _optimize_final_module(self) -> None:
        """Nobody else calls these copies of the kernels, which decides what is inlined."""
        for function in self._final_module.functions:
            if function.linkage == Linkage.linkonce_odr and not function.name.lower().startswith("nrt_"):
                function.linkage = "internal"
        super()._optimize_final_module()


@register_pass(mutates_CFG=True, analysis_only=False)
class _EntryPointLowering(NativeLowering):  # type: ignore[misc]
    """Lowers, optimises and emits a function."""

    _name = "kvgym_entry_point_lowering"

    def run_pass(self, state: Any) -> bool:
        """As numba's, into a library of our own."""
        state.library = _EntryPointLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        state.flags.no_cfunc_wrapper = True
        return bool(super().run_pass(state))


@register_pass(mutates_CFG=True, analysis_only=False)
class _KernelLowering(NativeLowering):  # type: ignore[misc]
    """Lowers a function to LLVM's language, for other functions to call."""

    _name = "kvgym_kernel_lowering"
    inlined = True

    def run_pass(self, state: Any) -> bool:
        """Lowers, and registers the function with what calls need."""
        library = state.library = _KernelLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        library.inlined = self.inlined
        state.flags.no_cpython_wrapper = state.flags.no_cfunc_wrapper = state.flags.no_compile = True
        super().run_pass(state)
        library.finalize()
        result = state["cr"]
        of_module, name = result.fndesc.lookup_module(), result.fndesc.qualname.split(".")[-1]
        refusal = _dynfunc.make_function(
            of_module, name, kernel_called_from_python.__doc__, _address_of_refusal(), result.env, (library,)
        )
        state.targetctx.insert_user_function(refusal, result.fndesc, [library])
        state["cr"] = result._replace(cfunc=refusal)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _OutOfLineLowering(_KernelLowering):
    """The same for kernels that are called, and never inlined."""

    _name = "kvgym_out_of_line_lowering"
    inlined = False


class _Compiler(CompilerBase):  # type: ignore[misc]
    """numba's compiler with another lowering."""

    lowering: type[NativeLowering]

    def define_pipelines(self) -> list[Any]:
        """Numba's passes, but for the lowering."""
        numbas = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes = PassManager(self.lowering._name)
        for made, description in numbas.passes:
            passes.add_pass(self.lowering if made is NativeLowering else made, description)
        passes.finalize()
        return [passes]


class _KernelCompiler(_Compiler):
    lowering = _KernelLowering


class _OutOfLineCompiler(_Compiler):
    lowering = _OutOfLineLowering


class _EntryPointCompiler(_Compiler):
    lowering = _EntryPointLowering


def kernel_called_from_python() -> None:
    """Runs in place of a kernel that Python calls; its name is in the error where there are arguments."""
    raise TypeError("a kernel is called by compiled functions only: call it in a function with @njit")


@lru_cache(maxsize=1)
def _address_of_refusal() -> int:
    """Address of the code that runs where Python calls a kernel."""
    (result,) = njit("void()")(kernel_called_from_python).overloads.values()
    address: int = result.library.get_pointer_to_function(result.fndesc.llvm_cpython_wrapper_name)
    return address
