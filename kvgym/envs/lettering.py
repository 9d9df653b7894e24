"""Digits, capitals and a few signs, three pixels wide and five high, for pictures without a font."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# An octal digit per row, from the top; its bits are the three pixels.
_GLYPHS = {
    " ": "00000", "-": "00700", ".": "00002", ",": "00024", ":": "02020", "/": "11244",
    "0": "75557", "1": "26227", "2": "71747", "3": "71717", "4": "55711",
    "5": "74717", "6": "74757", "7": "71122", "8": "75757", "9": "75717",
    "A": "25755", "B": "65656", "C": "34443", "D": "65556", "E": "74647", "F": "74644", "G": "34553",
    "H": "55755", "I": "72227", "J": "11152", "K": "55655", "L": "44447", "M": "57755", "N": "65555",
    "O": "25552", "P": "65644", "Q": "25563", "R": "65655", "S": "34216", "T": "72222", "U": "55557",
    "V": "55552", "W": "55775", "X": "55255", "Y": "55222", "Z": "71247",
}  # fmt: skip
SCALE = 2
"""Pixels of the picture per pixel of a glyph."""
HEIGHT = 5 * SCALE
ADVANCE = 4 * SCALE
"""Pixels from a letter to the next one."""


@lru_cache(maxsize=1024)
def _pixels(text: str) -> NDArray[np.bool_]:
    """The inked pixels of a line of text: bool (HEIGHT, ADVANCE * len(text))."""
    octal = np.array([[int(digit) for digit in _GLYPHS[letter]] for letter in text])  # (letters, 5)
    inked = (octal.T[:, :, None] >> np.array([2, 1, 0, 3])) & 1  # the fourth column is the space between letters
    return np.repeat(np.repeat(inked.astype(bool).reshape(5, -1), SCALE, axis=0), SCALE, axis=1)


def write(picture: NDArray[np.uint8], y: int, x: int, text: str, colour: tuple[int, int, int]) -> None:
    """Writes a line of text with its upper left corner at (y, x); what is beyond the right edge is cut off."""
    inked = _pixels(text)[:, : max(0, picture.shape[1] - x)]
    picture[y : y + HEIGHT, x : x + inked.shape[1]][inked] = colour
