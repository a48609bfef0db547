"""Cells of a categorical column as Arrow has them, to numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nasrec_nni.data.schema import TEXT

SMALL = np.iinfo(np.uint16).max


def codes_of(column: Any) -> tuple[NDArray[Any], Any]:
    """`[n]` numbers of the cells and the `k` distinct cells; a missing cell has number `k`.

    Args:
        column: `[n]` Arrow strings, plain or dictionary.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    cells = column.dictionary
    size = len(cells)
    indices = column.indices.fill_null(size) if column.null_count else column.indices
    kind = np.uint16 if size <= SMALL else np.uint32
    return indices.to_numpy().astype(kind), cells


def split_cells(cells: Any, separator: str, words: Any) -> tuple[NDArray[np.int32], NDArray[np.int32], Any]:
    """The values within distinct cells.

    Args:
        cells: `[k]` Arrow strings.
        separator: between two values.
        words: Arrow strings that are no value, the empty one among them.

    Returns:
        starts: `[k + 1]`: cell `c` has the values from `starts[c]` to `starts[c + 1]`.
        places: their numbers among the distinct values.
        values: the distinct values, Arrow strings.
    """
    lists = pc.split_pattern(cells, separator)
    flat = lists.flatten()
    kept = pc.invert(pc.is_in(flat, value_set=words)).to_numpy(zero_copy_only=False)
    before = np.concatenate([[0], np.cumsum(kept)])
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    starts = before[np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)].astype(np.int32)
    encoded = flat.filter(pa.array(kept)).dictionary_encode()
    return starts, encoded.indices.to_numpy().astype(np.int32), encoded.dictionary


def type_name(kind: Any) -> str:
    """`text`, or the Arrow type of a typed column, by name."""
    if pa.types.is_dictionary(kind):
        return type_name(kind.value_type)
    views = str(kind) in ("string_view", "binary_view")
    return TEXT if views or any(test(kind) for test in _TEXTS) else str(kind)


_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)


def without_words(column: Any, words: Any) -> Any:
    """The column with null in place of cells that are such words when written out.

    Args:
        column: text, or typed and not nested.
        words: Arrow strings.
    """
    if pa.types.is_dictionary(column.type):
        if not pc.any(pc.is_in(pc.cast(column.dictionary, pa.string()), value_set=words)).as_py():
            return column
        column = pc.cast(column, column.type.value_type)
    found = pc.is_in(pc.cast(column, pa.string()), value_set=words)
    return pc.if_else(found, pa.scalar(None, column.type), column)


def as_texts(column: Any) -> Any:
    """Cells of any type but a nested one, written out as Arrow strings. NaN is no value."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_texts(pc.cast(column, kind.value_type))
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
        if pa.types.is_float16(kind):
            column = pc.cast(column, pa.float32())
    return column if pa.types.is_string(column.type) else pc.cast(column, pa.string())
