"""Values to ids: first codes in the order of the log, then ids by count over the training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nasrec_nni.data.schema import RESERVED

ABSENT = -1  # code of a missing value


class Codes:
    """The distinct values of one column, numbered as they first appear; memory grows with them, not with rows."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def encode(self, column: Any) -> NDArray[np.int32]:
        """`[N]` codes of a string array, `ABSENT` for nulls; Python runs once per distinct value of the chunk."""
        encoded = column.dictionary_encode()
        codes = self._codes
        known = [codes.setdefault(value, len(codes)) for value in encoded.dictionary.to_pylist()]
        table = np.array([*known, ABSENT], np.int32)
        found: NDArray[np.int32] = table[encoded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)]
        return found

    def values(self) -> Any:
        """All values, in the order of their codes, as an Arrow array."""
        return pa.array(list(self._codes), pa.string())

    def __len__(self) -> int:
        return len(self._codes)


@dataclass(frozen=True)
class Vocabulary:
    """Ids of one column.

    Attributes:
        values: Arrow strings that have an id of their own; the first has id 2.
        counts: `[V]` training rows of each.
        ids: `[codes + 1]` id of every code; the last entry serves `ABSENT`.
        seen: `[codes]` training rows of every code.
    """

    values: Any
    counts: NDArray[np.int64]
    ids: NDArray[np.int32]
    seen: NDArray[np.int64]

    @property
    def rows(self) -> int:
        return len(self.counts) + RESERVED


def build(codes: Codes, seen: NDArray[np.int64], min_count: int) -> Vocabulary:
    """Ids by falling count, then by value (by code point); below `min_count` it is 1, missing is 0.

    Args:
        codes: the column's.
        seen: `[codes]` training rows of each code.
        min_count: at least 1.
    """
    frequent = np.flatnonzero(seen >= min_count)
    table = pa.table({"code": frequent, "count": seen[frequent], "value": codes.values().take(pa.array(frequent))})
    table = table.take(pc.sort_indices(table, sort_keys=[("count", "descending"), ("value", "ascending")]))
    ids = np.ones(len(codes) + 1, np.int32)
    ids[-1] = 0
    ids[table["code"].to_numpy()] = np.arange(RESERVED, RESERVED + len(frequent), dtype=np.int32)
    return Vocabulary(table["value"].combine_chunks(), table["count"].to_numpy(), ids, seen)
