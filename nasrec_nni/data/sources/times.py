"""Times of rows as numbers that can be put in order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nasrec_nni.data.sources.values import Place, is_text, parsed

NANOSECONDS = ("ns", 1000.0)
MICROSECONDS = ("us", 1.0)
ISO = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?( ?Z|[+-]\d\d(:?\d\d)?)?)?$"
# in the order in which they are tried: a number, a time without a zone, one with a zone
FORMATS: dict[str, list[tuple[tuple[str, float], str | None]]] = {
    "a number": [],
    "an ISO time without zone": [(MICROSECONDS, None), (NANOSECONDS, None)],
    "an ISO time with a zone": [(MICROSECONDS, "UTC"), (NANOSECONDS, "UTC")],
}


class Clock:
    """Reads a column of times; what the first batch has must hold for all of them.

    Args:
        name: of the column, for errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._format: str | None = None

    def read(self, column: Any, place: Place, written: str | None = None) -> NDArray[np.float64]:
        """`[n]` as they are if they are numbers, else microseconds since 1970; a float64 cannot tell less apart.

        Args:
            column: strings, numbers, or what Arrow has for times.
            place: for errors.
            written: the column's name in the file, if it is another.

        Raises:
            UserError: a cell is empty, no time, or not of the kind that the first row is.
        """
        if is_text(column.type):
            encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
            codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy()
            found: NDArray[np.float64] = np.append(self._cells(encoded.dictionary, int(codes[0])), np.nan)[codes]
        elif pa.types.is_temporal(column.type):
            whole = pc.cast(column, pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
            found = parsed(pc.cast(whole, pa.int64()))
        else:
            found = parsed(column)
        bad = ~np.isfinite(found)
        if bad.any():
            place.refuse(
                f"column {self._name!r} is the time of a row, and this is none",
                written or self._name,
                column,
                int(np.flatnonzero(bad)[0]),
                allowed=f"{self._format or 'a number or an ISO time'} in every row",
                hint="Mend or remove that line",
            )
        return found

    def _cells(self, cells: Any, first: int) -> NDArray[np.float64]:
        """`[k]` times of distinct strings; the format is that of number `first`, if it is not known yet."""
        for name in FORMATS if self._format is None else (self._format,):
            found = _in_format(cells, name)
            if self._format is not None or (first < len(cells) and np.isfinite(found[first])):
                self._format = name
                return found
        return np.full(len(cells), np.nan)


def _in_format(cells: Any, name: str) -> NDArray[np.float64]:
    """`[k]` numbers of distinct strings, NaN for what is not in that format."""
    if not FORMATS[name]:
        return parsed(cells)
    found = np.full(len(cells), np.nan)
    for (unit, divisor), zone in FORMATS[name]:
        left = np.flatnonzero(np.isnan(found))
        if not len(left):
            break
        kind = pa.timestamp(unit, zone)
        part = cells.take(pa.array(left))
        try:
            read = pc.cast(part, kind)
        except pa.ArrowInvalid:
            read = pa.array([_one(text, kind) for text in part.to_pylist()], kind)
        found[left] = parsed(pc.cast(read, pa.int64())) / divisor
    return found


def _one(text: str | None, kind: Any) -> Any:
    try:
        return pc.cast(pa.scalar(text, pa.string()), kind)
    except pa.ArrowInvalid:
        return None
