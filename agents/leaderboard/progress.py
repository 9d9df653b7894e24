"""How far work is: a bar on a terminal, and a line now and then where standard error is a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from kvgym._progress import progress as lines

EVERY_S = 10.0


@contextmanager
def progress(total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Shows progress on standard error while the block runs; gives a function to be told of what is done.

    Args:
        total: How much there is to do.
        unit: Of what.
    """
    if sys.stderr.isatty():
        with tqdm(total=total, unit=unit, leave=False) as bar:

            def advance(n: int) -> None:
                bar.update(n)

            yield advance
        return
    done = [0]
    with lines(lambda seconds: line(sum(done), total, unit, seconds), EVERY_S):
        yield done.append


def line(done: int, total: int, unit: str, seconds: float) -> str:
    """Done of `total`, for how long, and how long the rest will take at the same pace."""
    rest = f"about {clock(seconds * (total - done) / done)} to go" if done else "no estimate yet"
    return f"{done} of {total} {unit}s in {clock(seconds)}, {rest}"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds as 1:02:03, without hours 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
