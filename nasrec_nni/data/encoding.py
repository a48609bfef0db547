"""Raw numbers and values to the cells of the arrays: for a whole log, and for rows to score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.data.schema import PADDING, DenseColumn
from nasrec_nni.errors import UserError


def encode_dense(columns: Sequence[DenseColumn], values: Sequence[NDArray[np.float64]], rows: int) -> NDArray[Any]:
    """`[n, D]` float32 of raw numbers.

    Raises:
        UserError: a number leaves float32.
    """
    found = np.empty((rows, len(columns)), np.float32)
    for index, (column, raw) in enumerate(zip(columns, values, strict=True)):
        found[:, index] = column.transform.apply(raw)
    finite = np.isfinite(found)
    if not finite.all():
        row, index = np.argwhere(~finite)[0]
        raise UserError(
            f"a value leaves float32 under transform {columns[index].transform.name!r}",
            value=float(values[index][row]),
            where=f"column {columns[index].name}",
            hint="Use --transform log1p, or prepare the column as categories",
        )
    return found


def place_values(
    codes: NDArray[Any], starts: NDArray[np.int32], ids: NDArray[np.int32], length: int
) -> NDArray[np.int32]:
    """`[n, length]` ids of a multi-valued field.

    Args:
        codes: `[n]` cell numbers, `k` for missing.
        starts: `[k + 1]` where a cell's ids begin.
        ids: of all values of all cells, one behind the other.
        length: most that are kept.
    """
    size = len(starts) - 1
    cells = np.full((size + 1, length), PADDING, np.int32)
    lengths = np.minimum(np.diff(starts), length)
    cell = np.repeat(np.arange(size), lengths)
    place = np.arange(len(cell)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    cells[cell, place] = ids[starts[cell] + place]
    cells[:size][lengths == 0, 0] = 0
    cells[size, 0] = 0
    found: NDArray[np.int32] = cells[codes]
    return found
