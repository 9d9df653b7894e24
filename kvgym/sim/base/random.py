"""xoshiro256** (Blackman and Vigna, 2018) with its four words in a table row, and bounded draws (Lemire, 2019)."""

import numpy as np

from kvgym._kernel import kernel


@kernel
def _rotate(x, k):
    return (x << np.uint64(k)) | (x >> np.uint64(64 - k))


@kernel
def next_word(row):
    """Next 64 random bits of the generator in fields s0 .. s3 of `row`."""
    s1 = row.s1
    word = _rotate(s1 * np.uint64(5), 7) * np.uint64(9)
    s2 = row.s2 ^ row.s0
    s3 = row.s3 ^ s1
    row.s1 = s1 ^ s2
    row.s0 = row.s0 ^ s3
    row.s2 = s2 ^ (s1 << np.uint64(17))
    row.s3 = _rotate(s3, 45)
    return word


@kernel
def below(row, n):
    """Uniform integer in [0, n), n < 2**32, without bias."""
    bound = np.uint64(n)
    while True:
        product = (next_word(row) >> np.uint64(32)) * bound
        rest = product & np.uint64(0xFFFFFFFF)
        # The division is slow, and only a rest below the bound can be below its remainder.
        if rest >= bound or rest >= (np.uint64(1 << 32) - bound) % bound:
            return np.int64(product >> np.uint64(32))
