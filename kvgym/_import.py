"""The part of `_compile` that runs in the process that compiles, too."""

from __future__ import annotations

import importlib
import os
import threading
import time
from pathlib import Path
from types import FunctionType, ModuleType


def import_from(folder: Path, name: str) -> ModuleType:
    """Imports a module whose kernels' machine code comes from a folder, or goes there."""
    import numba

    numba.config.reload_config()  # not in between: it would undo what follows
    before, Locator.folder = numba.config.CACHE_LOCATOR_CLASSES, folder
    numba.config.CACHE_LOCATOR_CLASSES = f"{Locator.__module__}.{Locator.__qualname__}"
    try:
        return importlib.import_module(name)
    finally:
        numba.config.CACHE_LOCATOR_CLASSES = before


class Locator:
    """Tells numba where a kernel's machine code lies: by its module, not by the path of this installation."""

    folder = Path()

    def __init__(self, function: FunctionType, file: str) -> None:
        self._function, self._py_file = function, file  # the latter for numba's warnings

    @classmethod
    def from_function(cls, function: FunctionType, file: str) -> Locator:
        return cls(function, file)

    def get_cache_path(self) -> str:
        return str(self.folder / self._function.__module__)

    def ensure_cache_path(self) -> None:
        os.makedirs(self.get_cache_path(), exist_ok=True)

    def get_source_stamp(self) -> str:
        return self.folder.name  # it holds the hash of all sources

    def get_disambiguator(self) -> str:
        return str(self._function.__code__.co_firstlineno)  # tells functions of one name apart


def child(name: str, folder: str) -> None:
    """Compiles a module for the process that started this one, and prints now and then how many kernels are done."""
    from numba.core import event

    package = name.split(".")[0]
    with event.install_recorder("numba:compile") as recorder:

        def count() -> None:
            while True:
                ended = [happened.data["dispatcher"] for _, happened in list(recorder.buffer) if happened.is_end]
                ours = [one.py_func for one in ended if one.py_func.__module__.split(".")[0] == package]
                try:
                    print(len({function.__code__ for function in ours}), flush=True)  # a factory's have one code
                except OSError:  # nobody reads it any more
                    os._exit(1)
                time.sleep(0.5)

        threading.Thread(target=count, daemon=True).start()
        import_from(Path(folder), name)
