"""Values to ids: codes while the log is read, then ids by count over the training rows.

A chunk of rows comes with the distinct values of each column (Arrow's dictionary). They wait until they are as many
as the values known already; then Arrow numbers both together in one call. So each value is hashed a bounded number
of times however long the log is, memory is that of the distinct values, and no value becomes a Python object.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nasrec_nni.data.hashing import HashName, NotHexError, hashed
from nasrec_nni.data.schema import RESERVED
from nasrec_nni.errors import UserError

WAITING = 1 << 17  # distinct values of chunks that are numbered together, at least
TRAIN, CLICKS, VAL, TEST = range(4)  # columns of counts: training rows without a click, with one, other splits


class Book(Protocol):
    """Numbers the distinct values of one column, chunk by chunk; `codes` can be asked for after `finish`."""

    def add(self, values: Any) -> None:
        """Take the distinct values `[k]` of the next chunk, without null."""

    def finish(self) -> None:
        """All chunks were added."""

    def codes(self, chunk: int) -> NDArray[np.int32]:
        """`[k]` codes of the values of a chunk."""

    @property
    def values(self) -> Any:
        """Arrow strings in the order of their codes, or None where codes are not values."""

    def __len__(self) -> int:
        """Codes in use: 0 .. len - 1."""


class _CodeFile:
    """Arrays of codes, one per chunk, on disk; opened only to write or read, since a log may have many columns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ends = [0]

    def append(self, arrays: list[NDArray[np.int32]]) -> None:
        with self._path.open("ab") as stream:
            for array in arrays:
                stream.write(np.ascontiguousarray(array, np.int32).data)
                self._ends.append(self._ends[-1] + len(array))

    def read(self, chunk: int) -> NDArray[np.int32]:
        start, stop = self._ends[chunk], self._ends[chunk + 1]
        return np.fromfile(self._path, np.int32, stop - start, offset=4 * start)


class ValueBook:
    """Codes by first appearance.

    Args:
        path: scratch file to be made.
    """

    def __init__(self, path: Path) -> None:
        self._file = _CodeFile(path)
        self._known = pa.array([], pa.large_string())
        self._waiting: list[Any] = []
        self._size = 0

    def add(self, values: Any) -> None:
        self._waiting.append(values.cast(pa.large_string()))
        self._size += len(values)
        if self._size > max(WAITING, len(self._known)):
            self.finish()

    def finish(self) -> None:
        if not self._waiting:
            return
        encoded = pa.chunked_array([self._known, *self._waiting], pa.large_string()).dictionary_encode()
        places = np.concatenate([np.empty(0, np.int32), *(part.indices.to_numpy() for part in encoded.chunks)])
        ends = np.cumsum([len(self._known), *map(len, self._waiting)])
        self._file.append(np.split(places, ends[:-1])[1:])
        if encoded.num_chunks:
            self._known = encoded.chunk(0).dictionary
        self._waiting, self._size = [], 0

    def codes(self, chunk: int) -> NDArray[np.int32]:
        return self._file.read(chunk)

    @property
    def values(self) -> Any:
        return self._known

    def __len__(self) -> int:
        return len(self._known)


class HashBook:
    """Codes are the ids of a hashed column: no value is kept, so memory does not grow with them.

    Args:
        path: scratch file to be made.
        column: whose values these are.
        name: the rule.
        rows: ids there are.
        decimal_first: how `hash_mod` reads a value.
    """

    values = None

    def __init__(self, path: Path, column: str, name: HashName, rows: int, decimal_first: bool) -> None:
        self._file = _CodeFile(path)
        self._column = column
        self.name = name
        self._rule = (name, rows, decimal_first)

    def add(self, values: Any) -> None:
        name, rows, decimal_first = self._rule
        try:
            self._file.append([hashed(name, values.to_pylist(), rows, decimal_first)])
        except NotHexError as error:
            raise UserError(
                "encoding 'hash_mod' reads hexadecimal integers, and a value is none",
                value=error.args[0],
                where=f"column {self._column}",
                hint=f"Use --encoding {self._column}=hash",
            ) from None

    def finish(self) -> None:
        """Nothing waits."""

    def codes(self, chunk: int) -> NDArray[np.int32]:
        return self._file.read(chunk)

    def __len__(self) -> int:
        return self._rule[1]


@dataclass(frozen=True)
class Vocabulary:
    """Ids of one column.

    Attributes:
        values: Arrow strings that have an id of their own, the first has id 2; None for a hashed column.
        counts: `[V]` training rows of each.
        clicks: `[V]` of those, rows with a click.
        ids: `[codes]` id of every code; None if codes are ids.
        rows: ids in use.
    """

    values: Any
    counts: NDArray[np.int64]
    clicks: NDArray[np.int64]
    ids: NDArray[np.int32] | None
    rows: int

    def of(self, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Ids `[k]` of codes `[k]`."""
        return codes if self.ids is None else self.ids[codes]


def build(book: Book, seen: NDArray[np.uint32], min_count: int) -> Vocabulary:
    """Ids by falling count, then by value (by code point); below `min_count` it is 1. A hashed column has its ids.

    Args:
        book: the column's, finished.
        seen: `[codes, 4]` rows of each code by `TRAIN`, `CLICKS`, `VAL`, `TEST`.
        min_count: at least 1.
    """
    if book.values is None:
        empty = np.empty(0, np.int64)
        return Vocabulary(None, empty, empty, None, len(book))
    counts = seen[:, TRAIN].astype(np.int64) + seen[:, CLICKS]
    frequent = np.flatnonzero(counts >= min_count)
    table = pa.table({"code": frequent, "count": counts[frequent], "value": book.values.take(pa.array(frequent))})
    order = pc.sort_indices(table, sort_keys=[("count", "descending"), ("value", "ascending")])
    codes = frequent[order.to_numpy()]
    ids = np.ones(len(book), np.int32)
    ids[codes] = np.arange(RESERVED, RESERVED + len(codes), dtype=np.int32)
    values = table["value"].combine_chunks().take(order)
    return Vocabulary(values, counts[codes], seen[codes, CLICKS].astype(np.int64), ids, len(codes) + RESERVED)
