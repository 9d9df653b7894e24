"""Functions that nobody but the evaluation may call in a process in which ranked agents play.

Python tells whoever listens when memory is walked, and `Scenario.workload` when a workload is made; a listener can't be
taken away again. It makes rules out of what would else be easy to do without noticing: it is no wall, since whoever
copies the suite's code can make a test workload without a word.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from kvgym.envs.view import RULE, RuleBroken

_WALKS = ("gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys._current_frames")
_watching = False


@contextmanager
def watch(on: bool = True) -> Iterator[None]:
    """Has walks through memory, and workloads of the splits "test" and "all", refused with a `RuleBroken`.

    Args:
        on: False: inside, the evaluation itself makes a workload.
    """
    global _watching
    if on:
        _listen()
    before, _watching = _watching, on
    try:
        yield
    finally:
        _watching = before


@lru_cache(maxsize=1)
def _listen() -> None:
    sys.addaudithook(_heard)


def _heard(event: str, args: tuple[Any, ...]) -> None:
    if _watching and event in _WALKS:
        raise RuleBroken(f"{event}() leads to what is behind the view: {RULE}")
    if _watching and event == "kvgym.workload" and args[0] in ("test", "all"):
        raise RuleBroken(f"a workload of the split {args[0]} was asked for, which is the future: {RULE}")
