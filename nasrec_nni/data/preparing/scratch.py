"""Scratch files: arrays of each chunk one behind the other, read back without mapping them into memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

KINDS = tuple(np.dtype(kind) for kind in ("u1", "i1", "u2", "i4", "u4", "f4", "f8"))
_CODES = {kind: code for code, kind in enumerate(KINDS)}


class ChunkFile:
    """Records of one-dimensional arrays; what is kept in memory is five bytes an array.

    Args:
        path: to be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing: Any = path.open("wb")
        self._reading: Any = None
        self._offsets = [0]
        self._index: list[tuple[NDArray[np.uint8], NDArray[np.uint32]]] = []

    def append(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Add a record. Raises KeyError for a type that is not in `KINDS`."""
        kinds = np.array([_CODES[array.dtype] for array in arrays], np.uint8)
        self._index.append((kinds, np.array([len(array) for array in arrays], np.uint32)))
        for array in arrays:
            self._writing.write(np.ascontiguousarray(array).data)
        self._offsets.append(self._offsets[-1] + sum(array.nbytes for array in arrays))

    def close(self) -> None:
        """No more records; from now on they can be read."""
        self._writing.close()
        self._reading = self._path.open("rb", buffering=0)

    def delete(self) -> None:
        """Free the disk."""
        self._reading.close()
        self._path.unlink()

    def __len__(self) -> int:
        return len(self._index)

    def read(self, record: int) -> list[NDArray[Any]]:
        """The arrays of a record, in the order of `append`; read-only."""
        start, stop = self._offsets[record], self._offsets[record + 1]
        content = os.pread(self._reading.fileno(), stop - start, start)
        found, at = [], 0
        for code, length in zip(*self._index[record], strict=True):
            kind = KINDS[code]
            found.append(np.frombuffer(content, kind, int(length), at))
            at += int(length) * kind.itemsize
        return found
