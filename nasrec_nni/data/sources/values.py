"""Columns of a batch to labels, numbers, times and weights; the row of a bad cell is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nasrec_nni.data.sources.records import Layout, locate, refuse_open_quote
from nasrec_nni.errors import UserError

LARGEST = float(np.finfo(np.float32).max)
LABELS = ("0", "1", "0.0", "1.0")
SHOWN = 100  # characters of a bad value


@dataclass(frozen=True)
class Place:
    """Where a batch comes from.

    Attributes:
        path: the file.
        first: number of its first row in the file; the file's first is 0.
        layout: of text; None for Parquet.
    """

    path: Path
    first: int
    layout: Layout | None = None

    def where(self, row: int) -> str:
        """Line of a row of the batch, or its number in a Parquet file."""
        if self.layout is None:
            return f"{self.path}:row {self.first + row + 1}"
        return f"{self.path}:{locate(self.path, self.layout, self.first + row)[0]}"

    def refuse(self, what: str, name: str, column: Any, row: int, *, allowed: str, hint: str | None = None) -> NoReturn:
        """Raise the UserError of a cell, its value as written."""
        if self.layout is None:
            value = column[row].as_py()
            shown = "" if value is None else value if isinstance(value, str) else str(value)
            where = self.where(row)
        else:
            line, record = locate(self.path, self.layout, self.first + row)
            shown, where = record[list(self.layout.names).index(name)], f"{self.path}:{line}"
            if "\n" in shown:
                refuse_open_quote(self.path, self.layout, self.first + row)
        cut = shown if len(shown) <= SHOWN else shown[:SHOWN] + "…"
        raise UserError(what, value=cut, where=where, allowed=allowed, hint=hint)


def _first(mask: NDArray[np.bool_]) -> int:
    return int(np.flatnonzero(mask)[0])


def is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def parsed(column: Any) -> NDArray[np.float64]:
    """`[n]` float64 of a column of any kind: NaN for null and for what is no number."""
    kind = column.type
    if is_text(kind):
        if pa.types.is_dictionary(kind):
            table = np.append(parsed(column.dictionary), np.nan)
            found: NDArray[np.float64] = table[column.indices.fill_null(len(table) - 1).to_numpy()]
            return found
        tidy = pc.replace_substring_regex(pc.utf8_trim_whitespace(column), r"^\+([0-9.])", r"\1")
        try:
            column = pc.cast(tidy, pa.float64())
        except pa.ArrowInvalid:
            return np.array([_number(text) for text in tidy.to_pylist()])
    elif pa.types.is_decimal(kind):
        column = pc.cast(pc.cast(column, pa.string()), pa.float64())  # Arrow's own cast is off by a bit
    elif not pa.types.is_float64(kind):
        column = pc.cast(pc.cast(column, pa.uint8()) if pa.types.is_boolean(kind) else column, pa.float64(), safe=False)
    found = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return found


def _number(text: str | None) -> float:
    if text is None:
        return float("nan")
    try:
        return pc.cast(pa.scalar(text), pa.float64()).as_py()  # type: ignore[no-any-return]
    except pa.ArrowInvalid:
        return float("nan")


def numbers(column: Any, name: str, place: Place, hint: str | None = None) -> NDArray[np.float64]:
    """`[n]` float64, NaN for null.

    Args:
        column: numbers, or strings of numbers; spaces around them do not matter.
        name: of the column, for errors.
        place: for errors.
        hint: what to do about a cell that is no number.

    Raises:
        UserError: a cell is not a finite number that float32 can hold.
    """
    found = parsed(column)
    with np.errstate(invalid="ignore"):
        good = np.abs(found) <= LARGEST
    if int(good.sum()) + column.null_count < len(found):
        bad = ~good & column.is_valid().to_numpy(zero_copy_only=False)
        place.refuse(
            f"column {name!r} is numeric, and this is not a number",
            name,
            column,
            _first(bad),
            allowed=f"a finite number within ±{LARGEST:.1e}, or an empty field",
            hint=hint,
        )
    return found


def labels(column: Any, name: str, place: Place) -> NDArray[np.float32]:
    """`[n]` float32 of 0 and 1. Raises UserError with the row of anything else."""
    found: NDArray[np.float32]
    if is_text(column.type):
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        words = pc.index_in(pc.utf8_trim_whitespace(encoded.dictionary), value_set=pa.array(LABELS))
        table = np.append(words.fill_null(-1).to_numpy(zero_copy_only=False), -1)
        codes = table[encoded.indices.fill_null(len(table) - 1).to_numpy()]
        bad, found = codes < 0, (codes % 2).astype(np.float32)
    else:
        values = parsed(column)
        bad, found = ~np.isin(values, (0.0, 1.0)), values.astype(np.float32)
    if bad.any():
        place.refuse(
            f"label {name!r} is not a click or none",
            name,
            column,
            _first(bad),
            allowed="0 or 1",
            hint="Mend that line, or name another label column",
        )
    return found


def weights(column: Any, name: str, place: Place) -> NDArray[np.float32]:
    """`[n]` float32 above 0. Raises UserError with the row of anything else."""
    values = parsed(column)
    with np.errstate(over="ignore", invalid="ignore"):
        found = values.astype(np.float32)
        bad = ~((found > 0) & (found <= LARGEST))
    if bad.any():
        place.refuse(
            f"column {name!r} is the weight of a row, and this is none",
            name,
            column,
            _first(bad),
            allowed="a number above 0",
            hint="Remove that row, or do without --weight",
        )
    return found


def compact(column: Any) -> Any:
    """The same dictionary column without entries that no row has: they are no values of this batch."""
    size = len(column.dictionary)
    indices = column.indices.fill_null(size) if column.null_count else column.indices
    codes = indices.to_numpy()
    used = np.zeros(size + 1, bool)
    used[codes] = True
    used = used[:size]
    if used.all():
        return column
    moved = np.append(np.cumsum(used) - 1, -1).astype(np.int32)[codes]
    return pa.DictionaryArray.from_arrays(pa.array(moved, mask=codes == size), column.dictionary.filter(pa.array(used)))
