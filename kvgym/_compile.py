"""Loads compiled kernels: from disk where they were compiled before, else with progress on standard error.

Machine code lies in `kvgym/<hash>/` under `KVGYM_CACHE_DIR`, `XDG_CACHE_HOME` or `~/.cache`, and serves every
installation of the same sources.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from filelock import FileLock, Timeout

from kvgym._import import import_from
from kvgym._progress import progress

_PACKAGE = Path(__file__).parent
# A module that another thread is importing is in sys.modules before it is complete.
_LOCK = threading.RLock()


# `ast` would read the same in 0.1 to 0.2 s, for which every process would wait.
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|.*)|import[ \t]+(.*))", re.MULTILINE
)


def kernel_sources() -> list[Path]:
    """Files that make up the compiled code: those with kernels, and all that they import of the package, at any depth.

    Constants, dtypes and functions of an imported module may be compiled in. Agents lie in the package only where a
    wheel was installed: left out, they give the same machine code there as in a checkout. A kernel of theirs is
    compiled anew when its own file changes, which numba sees to.
    """
    paths = [path for path in _PACKAGE.rglob("*.py") if path.relative_to(_PACKAGE).parts[0] != "agents"]
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    files = {".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts): path for path in texts}
    files |= {name.removesuffix(".__init__"): path for name, path in files.items()}
    left = [name for name, path in files.items() if "njit" in texts[path] or "kvgym._kernel" in texts[path]]
    found: set[str] = set()
    while left:
        name = left.pop()
        if name in files and name not in found:
            found.add(name)
            folder = name if files[name].name == "__init__.py" else name.rpartition(".")[0]
            left += _imported(texts[files[name]], folder, files)
    return sorted({files[name] for name in found})


def _imported(text: str, folder: str, files: Collection[str]) -> Iterator[str]:
    """Modules that a text in a folder may import; a folder counts (its __init__.py) where a name is its own."""
    for dots, module, names, modules in _IMPORT.findall(text):
        yield from re.findall(r"(?:^|,)\s*([\w.]+)", modules)
        if dots:
            module = ".".join(filter(None, (*folder.split(".")[: folder.count(".") + 2 - len(dots)], module)))
        for name in re.findall(r"(?:^|[(,])\s*([\w*]+)", re.sub(r"#.*", "", names)):
            yield f"{module}.{name}" if f"{module}.{name}" in files else module


@lru_cache(maxsize=1)
def _cache_folder() -> Path:
    """A folder whose name changes with the kernels' sources, the versions that compile them and the processor.

    numba looks at a kernel's own file only, not at those of the functions it calls: without this, a change to a small
    function would leave old machine code in use.
    """
    import numba
    from llvmlite import binding

    made_by = (
        *(platform.python_version(), version("numba"), version("llvmlite"), version("numpy")),
        *(binding.get_process_triple(), binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()),
        *(numba.config.CPU_NAME, numba.config.CPU_FEATURES),
    )
    digest = hashlib.sha256(repr(made_by).encode())
    for path in kernel_sources():
        digest.update(path.read_bytes())
    base = os.environ.get("KVGYM_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "kvgym" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass  # it can be written
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"kvgym-{os.getuid()}" / digest.hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def load(name: str) -> ModuleType:
    """Imports module `name`, whose kernels have explicit signatures and `cache=True`.

    The first import after a change compiles, and says so on standard error every few seconds. Processes that need the
    same machine code compile one at a time; one that waits says so too, and then loads what the other has compiled.
    """
    with _LOCK:
        return sys.modules[name] if name in sys.modules else _import(name)


def load_all() -> Path:
    """Imports every module that Python calls kernels of, so that nothing is left to compile; returns the folder."""
    for path in sorted(_PACKAGE.rglob("*.py")):
        if re.search("^@entry_point", path.read_text(encoding="utf-8"), re.MULTILINE):
            load(".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts))
    return _cache_folder()


def _import(name: str) -> ModuleType:
    folder = _cache_folder()
    done = folder / f"{name}.done"  # beside what numba writes: it says nothing about machine code that lies elsewhere
    if not done.exists():
        with _one_at_a_time(folder.with_name(f"{folder.name}.lock")):
            if not done.exists():  # else the process that had the lock has compiled it
                _compile(name, folder)
                done.touch()
    return import_from(folder, name)


def _compile(name: str, folder: Path) -> None:
    """Compiles a module, and says so."""
    sources = (path.read_text(encoding="utf-8") for path in kernel_sources())
    # A module compiles those that it calls, so that no module reaches the number of all.
    total = sum(len(re.findall(r"^ *@(?:njit|kernel|entry_point)\b", text, re.MULTILINE)) for text in sources)
    began = time.monotonic()
    count = "0"
    with progress(lambda seconds: f"kvgym: compiling {name}: {seconds:.0f} s, {count} of {total} kernels"):
        compiled = False
        if sys.executable and not hasattr(sys, "frozen"):  # else that is no Python
            with suppress(OSError), _child(name, folder) as process:
                for line in process.stdout or ():
                    count = line.strip()
                compiled = process.wait() == 0
        if not compiled:  # here, where an error is seen
            import_from(folder, name)
    if sys.stderr is not None:
        print(f"kvgym: compiled {name} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


@contextmanager
def _child(name: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that compiles a module, and ends with the block.

    An interrupt does not reach Python while LLVM works, for seconds on end; but a process can be killed.
    """
    path = list(map(str, sys.path))
    code = f"import sys; sys.path[:] = {path}; from kvgym._import import child; child({name!r}, {str(folder)!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Waits, and says so, while another process holds the lock, which goes with the process that holds it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        with progress(lambda s: f"kvgym: waiting while another process compiles: {s:.0f} s"):
            lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        lock.release()
