"""Numbers of known values, found by a table of hashes that is made once: for scoring, batch after batch.

Arrow's `index_in` makes such a table at every call, which for a vocabulary of millions takes longer than the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
ABSENT = -1


def _compiled(function: F) -> F:
    """Compiled at its first call, without Python's lock, and kept on disk for the next process."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return cast(F, numba.njit(nogil=True, error_model="numpy")(function))


@_compiled
def _hash(text: Any, start: int, end: int) -> Any:
    """FNV-1a of some bytes, its upper half folded into the lower one."""
    found = np.uint64(14695981039346656037)
    for at in range(start, end):
        found = (found ^ np.uint64(text[at])) * np.uint64(1099511628211)
    return found ^ (found >> np.uint64(32))


@_compiled
def _fill(ends: Any, text: Any, slots: Any) -> None:
    """Put the numbers of all values into `slots`, whose size is a power of 2; open addressing."""
    mask = np.uint64(len(slots) - 1)
    for number in range(len(ends) - 1):
        slot = _hash(text, ends[number], ends[number + 1]) & mask
        while slots[slot] != ABSENT:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = number


@_compiled
def _find(ends: Any, text: Any, slots: Any, asked_ends: Any, asked: Any, found: Any) -> None:
    """Numbers of the values asked for."""
    mask = np.uint64(len(slots) - 1)
    for which in range(len(asked_ends) - 1):
        start, size = asked_ends[which], asked_ends[which + 1] - asked_ends[which]
        slot = _hash(asked, start, start + size) & mask
        found[which] = ABSENT
        while slots[slot] != ABSENT:
            number = slots[slot]
            known = ends[number]
            if ends[number + 1] - known == size:
                at = 0
                while at < size and text[known + at] == asked[start + at]:
                    at += 1
                if at == size:
                    found[which] = number
                    break
            slot = (slot + np.uint64(1)) & mask


class Lookup:
    """Values, and where each one stands among them.

    Args:
        values: `[V]` Arrow strings, each one different.
    """

    def __init__(self, values: Any) -> None:
        self._ends, self._text = _parts(values)
        self._slots = np.full(1 << max(1, (2 * len(values) - 1).bit_length()), ABSENT, np.int32)
        _fill(self._ends, self._text, self._slots)

    def find(self, values: Any) -> NDArray[np.int32]:
        """`[n]` places of `n` Arrow strings, `ABSENT` for one that is not known."""
        ends, text = _parts(values)
        found = np.empty(len(values), np.int32)
        _find(self._ends, self._text, self._slots, ends, text, found)
        return found


def _parts(values: Any) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Where each value ends in the bytes of all of them, `[n + 1]`, and these bytes."""
    values = values.cast(pa.large_string())
    _, ends, text = values.buffers()
    if ends is None:
        return np.zeros(len(values) + 1, np.int64), np.empty(0, np.uint8)
    found = np.frombuffer(ends, np.int64)[values.offset : values.offset + len(values) + 1]
    return found, np.frombuffer(text, np.uint8) if text is not None and text.size else np.empty(0, np.uint8)
