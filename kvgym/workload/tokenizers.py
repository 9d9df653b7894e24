"""Text as tokens, for readers of traces that hold text."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym import _named
from kvgym.workload.trace_file import Record

Tokenizer = Callable[[str], Sequence[int]]
Tokens = NDArray[np.int64]
PIECES = "kvgym.workload.tokenizers:pieces"
_ROLES = 2**40  # no tokenizer gives such numbers


def pieces(text: str) -> list[int]:
    """Tokens where there is no tokenizer: four bytes each, about as many as those of a real one in English."""
    data = text.encode()
    return [int.from_bytes(data[i : i + 4].ljust(4), "little") for i in range(0, len(data), 4)]


def find_tokenizer(name: str) -> Tokenizer:
    """A tokenizer by "module:name".

    Raises:
        ValueError: if there is none.
    """
    found: Any = _named.load("tokenizer", name)
    if not callable(found):
        raise ValueError(f"tokenizer must be a function, got {name!r}, which is {found!r}")
    return found  # type: ignore[no-any-return]


def tokens_of(tokenize: Tokenizer, record: Record, content: Any) -> Tokens:
    """Tokens of a message: text, or a list of parts that have `text`."""
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in content)
    if not isinstance(content, str):
        raise record.error(f"expected a message to be text, got {content!r}")
    return np.asarray(tokenize(content), np.int64)


def opening(role: str, tokens: int) -> Tokens:
    """What a chat template puts in front of a message: so many tokens, equal for equal roles."""
    return np.full(tokens, _ROLES + zlib.crc32(role.encode()))
