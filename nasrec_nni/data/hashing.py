"""Values to ids without a vocabulary: by remainder as the authors do, or by a stable hash."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.data.schema import RESERVED

HashName = Literal["hash_mod", "hash"]
MERSENNE = 2**31 - 1


class NotHexError(ValueError):
    """A value that `hash_mod` cannot read; `args[0]` is the value."""


def hash_mod(values: Sequence[str], rows: int, decimal_first: bool) -> NDArray[np.int32]:
    """`[n]` ids 1 .. rows - 1: `v mod (rows - 1) + 1` of the value read as a hexadecimal integer.

    Args:
        values: present ones; a missing value has id 0 by the caller.
        rows: `n_f`, at least 2.
        decimal_first: read it as decimal if it is one, else as hexadecimal, and take the remainder by 2^31 - 1
            before; the eight hexadecimal digits in between change nothing (Avazu, KDD Cup 2012).

    Raises:
        NotHexError: a value is not a number in that notation.

    Source: NASRec, authors' implementation.
    """
    found = np.empty(len(values), np.int32)
    for index, value in enumerate(values):
        found[index] = _number(value, decimal_first) % (rows - 1) + 1
    return found


def _number(value: str, decimal_first: bool) -> int:
    try:
        if not decimal_first:
            return int(value, 16)
        try:
            return int(value) % MERSENNE
        except ValueError:
            return int(value, 16) % MERSENNE
    except ValueError:
        raise NotHexError(value) from None


def stable_hash(values: Sequence[str], rows: int) -> NDArray[np.int32]:
    """`[n]` ids 2 .. rows - 1: the first 8 bytes of BLAKE2b over UTF-8, little-endian, mod (rows - 2). Source: ours."""
    size = rows - RESERVED
    digests = b"".join(blake2b(value.encode(), digest_size=8).digest() for value in values)
    found: NDArray[np.int32] = (np.frombuffer(digests, "<u8") % np.uint64(size)).astype(np.int32)
    found += np.int32(RESERVED)
    return found


def hashed(name: HashName, values: Sequence[str], rows: int, decimal_first: bool) -> NDArray[np.int32]:
    """Ids by the named rule."""
    return hash_mod(values, rows, decimal_first) if name == "hash_mod" else stable_hash(values, rows)
