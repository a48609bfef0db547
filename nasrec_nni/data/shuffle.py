"""A shuffled order that is computed where it is needed and never stored."""

from __future__ import annotations

from itertools import cycle
from math import isqrt

import numpy as np
from numpy.typing import NDArray

ROUNDS = 6
ORDER = "feistel-6"  # another order of the same rows gets another name: checkpoints of the old one are not gone on with


class Shuffle:
    """A permutation of `range(n)` that depends on (n, seed, epoch) only.

    A position is written as a pair (left, right) with `left < a`, `right < b`, `a b ≥ n`, both near the root of `n`.
    A round adds to one half a number that a table of random numbers gives for the other, modulo the half's size; the
    next round does the same the other way round. A round can be undone by subtracting, so all of them together are a
    bijection of the `a b` pairs. Of those fewer than `a` lie beyond `n`: a position that lands there goes through the
    rounds again until it lands inside, which is a bijection of `range(n)`, since each such walk is a part of one cycle.

    Memory is six tables of about `√n` numbers: 1 MB for a billion rows.

    Args:
        n: how many.
        seed: of the order.
        epoch: each has an order of its own.

    Source: a Feistel network over a product of two ranges, with cycle walking (Black and Rogaway 2002, "Ciphers with
    Arbitrary Finite Domains"); random tables in place of keyed functions are ours, since here nothing is secret.
    """

    def __init__(self, n: int, seed: int, epoch: int) -> None:
        if n < 1:
            raise ValueError(f"nothing to shuffle: n is {n}")
        left = isqrt(n - 1) + 1
        right = -(-n // left)
        self._n = n
        self._sizes = left, right
        generator = np.random.default_rng([seed, epoch])
        # tables of even rounds are read by the right half and move the left one, those of odd rounds the other way
        self._tables = [
            generator.integers(left if number % 2 == 0 else right, size=right if number % 2 == 0 else left).astype(
                np.uint32
            )
            for number in range(ROUNDS)
        ]

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """What stands at these positions, `[k]`.

        Raises:
            IndexError: a position outside `range(n)`.
        """
        if len(positions) and not (positions.min() >= 0 and positions.max() < self._n):
            raise IndexError(f"a position outside 0..{self._n - 1}")
        found = self._rounds(positions)
        outside = np.flatnonzero(found >= self._n)
        while len(outside):
            found[outside] = self._rounds(found[outside])
            outside = outside[found[outside] >= self._n]
        return found

    def _rounds(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        left, right = self._sizes
        quotient = positions // right
        moved, other = quotient.astype(np.uint32), (positions - quotient * right).astype(np.uint32)
        for table, size in zip(self._tables, cycle((np.uint32(left), np.uint32(right)))):
            moved += table.take(other)
            np.minimum(moved, moved - size, out=moved)  # modulo: below `size`, unsigned `moved - size` is huge
            moved, other = other, moved
        # an even number of rounds: the halves are back at their sides
        return moved.astype(np.int64) * right + other
