"""Imports a module whose kernels' machine code comes from a folder, or goes there."""

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
        """Remembers the function, and its file for numba's warnings."""
        self._py_file = file
        self._function = function

    @classmethod
    def from_function(cls, function: FunctionType, file: str) -> Locator:
        """A locator for a function of a file."""
        return cls(function, file)

    def get_cache_path(self) -> str:
        """A folder per module."""
        return str(self.folder / self._function.__module__)

    def ensure_cache_path(self) -> None:
        """Makes that folder."""
        os.makedirs(self.get_cache_path(), exist_ok=True)

    def get_source_stamp(self) -> str:
        """The folder's name holds the hash of all sources."""
        return self.folder.name

    def get_disambiguator(self) -> str:
        """Tells functions of one name apart."""
        return str(self._function.__code__.co_firstlineno)


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
