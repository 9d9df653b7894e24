"""Loads compiled kernels: from disk where they were compiled before, with a word to the user where they were not."""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import sys
import tempfile
import threading
import time
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

_PACKAGE = Path(__file__).parent
# A module that another thread is importing is in sys.modules before it is complete.
_LOCK = threading.RLock()


def kernel_sources() -> list[Path]:
    """The files that make up the compiled code: kernels, and the modules whose constants are compiled into them."""
    return [
        path
        for path in sorted(_PACKAGE.rglob("*.py"))
        if path.parent.name == "kernels"
        or path.name in ("tables.py", "cache_tables.py", "features.py")
        or "njit" in path.read_text(encoding="utf-8")
    ]


@lru_cache(maxsize=1)
def _cache_folder() -> Path:
    """A folder whose name changes with the kernels' sources and with the versions that compile them.

    numba looks at a kernel's own file only, not at those of the functions it calls: without this, a change to a small
    function would leave old machine code in use.
    """
    digest = hashlib.sha256(
        f"{platform.python_version()} {version('numba')} {version('llvmlite')} {version('numpy')}".encode()
    )
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

    The first import after a change compiles for up to a minute and says so on standard error.
    """
    with _LOCK:
        return sys.modules[name] if name in sys.modules else _import(name)


def _import(name: str) -> ModuleType:
    import numba

    done = _cache_folder() / f"{name}.done"
    cached = done.exists()
    if not cached:
        print(f"kvgym: compiling {name} (once for this version, up to a minute) ...", file=sys.stderr, flush=True)
    began = time.perf_counter()
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_cache_folder())
    try:
        module = importlib.import_module(name)
    finally:
        numba.config.CACHE_DIR = before
    if not cached:
        done.touch()
        print(f"kvgym: compiled in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return module
