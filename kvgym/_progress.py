"""Says on standard error what is under way, until it is over."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

LINE_S = 3.0
"""Seconds between two lines."""
_REWRITE_S = 0.5


@contextmanager
def progress(text: Callable[[float], str], after_s: float | None = None) -> Iterator[None]:
    """While its block runs, a thread writes `text(seconds)`: at once, then every few seconds.

    A terminal's line is rewritten; in a file or a notebook each is a line of its own.

    Args:
        text: Makes the line after so many seconds.
        after_s: Say it every so many seconds, and not before: of what may be over soon.
    """
    file = sys.stderr
    if file is None:  # a program without a console
        yield
        return
    rewrites = file.isatty()
    began = time.monotonic()
    over = threading.Event()

    every_s = after_s or (_REWRITE_S if rewrites else LINE_S)

    def write() -> None:
        if after_s is not None and over.wait(after_s):
            return
        with suppress(OSError, ValueError):  # closed meanwhile: nobody reads it
            while True:
                line = text(time.monotonic() - began)
                print(line, end="\r" if rewrites else "\n", file=file, flush=True)
                if over.wait(every_s):
                    break
            if rewrites:
                print(file=file, flush=True)

    thread = threading.Thread(target=write, name="kvgym-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
