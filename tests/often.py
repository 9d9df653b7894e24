"""How many cases random tests play: some every day, all of them in the slow tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any, TypeVar

import hypothesis
import pytest

Test = TypeVar("Test", bound=Callable[..., Any])

SHARE = 3
"""Every day one case in so many is played."""

ALL = (pytest.mark.slow, pytest.mark.all_cases)
"""Marks of all the cases of a test that plays some of them every day: the gate leaves them out."""

only_slow = False
"""Whether all slow tests have been asked for (-m slow); tests/conftest.py says so before any test is imported."""


def examples(n: int) -> Callable[[Test], Test]:
    """Makes hypothesis play `n` examples when all slow tests are asked for, and a share of them every day."""

    def decorate(test: Test) -> Test:
        made = hypothesis.settings(max_examples=n if only_slow else max(2, n // SHARE))(test)
        return pytest.mark.slow(made) if only_slow else made

    return decorate


def diagonals(*factors: Iterable[Any], share: int = SHARE, first: int = 0) -> list[Any]:
    """All combinations of the factors as parameters: every day one in `share`, and the rest in the slow tests.

    Of a table of two factors these are diagonals: each value of a factor is played if the other has `share` or more.

    Args:
        *factors: Values of each.
        share: One in so many.
        first: Which diagonal; another one plays what the first leaves out.
    """
    found = []
    for combination in product(*(enumerate(factor) for factor in factors)):
        places, values = zip(*combination, strict=True)
        found.append(pytest.param(*values, marks=ALL if (sum(places) - first) % share else ()))
    return found


def cases(n: int) -> pytest.MarkDecorator:
    """Parametrises a test with `cases`: a share of `n` every day, and `n` in the slow tests."""
    return pytest.mark.parametrize("cases", [n // SHARE, pytest.param(n, marks=ALL)])
