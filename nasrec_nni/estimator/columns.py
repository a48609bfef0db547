"""Frames and arrays as columns of numbers and of texts, the same way in `fit` and in `predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nasrec_nni.data.cells import as_texts
from nasrec_nni.data.sources.roles import infer
from nasrec_nni.data.sources.values import LARGEST

BINS = 16  # of a number that stands in for a category, where there is none
CATEGORICAL, NUMERIC = "categorical", "numeric"


@dataclass(frozen=True)
class Roles:
    """What a classifier reads, fixed by the rows it was fitted to.

    Args:
        names: of all columns, in order, as the tables name them.
        numeric: those read as numbers.
        categorical: those read as categories.
        edges: of each number that is read as a category too, where no column is one: the ends of its bins.
    """

    names: tuple[str, ...]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    edges: Mapping[str, NDArray[np.float64]]

    def numbers(self, columns: Sequence[Any]) -> dict[str, NDArray[np.float64]]:
        """`[n]` float64 per numeric column, NaN for missing."""
        given = dict(zip(self.names, columns, strict=True))
        return {name: as_numbers(given[name], name) for name in self.numeric}

    def texts(self, columns: Sequence[Any]) -> dict[str, Any]:
        """`[n]` Arrow strings per category, null for missing."""
        given = dict(zip(self.names, columns, strict=True))
        found = {name: written(given[name]) for name in self.categorical}
        return found | {binned(name): _bins(as_numbers(given[name], name), edges) for name, edges in self.edges.items()}


def binned(name: str) -> str:
    """The name of a number read as a category."""
    return f"{name} in bins"


def split_into_columns(rows: Any) -> list[Any]:
    """The columns of a pandas or Arrow frame or of an array `[n, columns]`, as Arrow arrays.

    Raises:
        ValueError: a column of times, or of complex numbers.
        TypeError: cells that are neither numbers nor texts.
    """
    if hasattr(rows, "iloc"):
        return [_from_series(rows.iloc[:, at], str(name)) for at, name in enumerate(rows.columns)]
    if hasattr(rows, "to_arrow"):
        rows = rows.to_arrow()
    if isinstance(rows, pa.Table):
        return [_checked(rows.column(at).combine_chunks(), str(name)) for at, name in enumerate(rows.column_names)]
    return [_from_values(np.ascontiguousarray(rows[:, at]), f"x{at}") for at in range(rows.shape[1])]


def roles_of(
    columns: Sequence[Any], names: Sequence[str], framed: bool, numeric: Sequence[int], categorical: Sequence[int]
) -> Roles:
    """Which column is what: as asked for, else by its type; whole numbers of a frame as `nasrec prepare` does.

    Args:
        columns: Arrow arrays.
        names: of the columns.
        framed: they come from a frame. The whole numbers of an array are numbers.
        numeric: places of columns that are numbers.
        categorical: places of columns that are categories.
    """
    found: dict[str, str] = {}
    for at, (name, column) in enumerate(zip(names, columns, strict=True)):
        found[name] = NUMERIC if at in numeric else CATEGORICAL if at in categorical else _role(column, name, framed)
    numbers = tuple(name for name in names if found[name] == NUMERIC)
    categories = tuple(name for name in names if found[name] == CATEGORICAL)
    given = dict(zip(names, columns, strict=True))
    edges = {} if categories else {name: _edges(as_numbers(given[name], name)) for name in numbers}
    return Roles(tuple(names), numbers, categories, edges)


def _role(column: Any, name: str, framed: bool) -> str:
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return NUMERIC
    if pa.types.is_integer(kind):
        role = infer(column, name)[0] if framed else NUMERIC
        return NUMERIC if role == NUMERIC else CATEGORICAL
    return CATEGORICAL


def as_numbers(column: Any, name: str) -> NDArray[np.float64]:
    """`[n]` float64, NaN for missing.

    Raises:
        ValueError: a cell that is no number, or is infinite.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        cells = pc.cast(pc.cast(column, pa.uint8()) if pa.types.is_boolean(column.type) else column, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"column {name!r} is numeric, and has a cell that is no number ({error})") from None
    found: NDArray[np.float64] = cells.to_numpy(zero_copy_only=False)
    if (np.abs(found) > LARGEST).any():
        raise ValueError(f"Input X contains infinity or a value too large for float32 (column {name!r})")
    return found


def written(column: Any) -> Any:
    """Arrow strings: a whole number is written the same as an integer and as a float."""
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    texts = as_texts(column)
    return pc.replace_substring_regex(texts, r"\.0$", "") if pa.types.is_floating(column.type) else texts


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    present = values[~np.isnan(values)]
    if not len(present):
        return np.empty(0)
    return np.unique(np.quantile(present, np.arange(1, BINS) / BINS))


def _bins(values: NDArray[np.float64], edges: NDArray[np.float64]) -> Any:
    codes = np.searchsorted(edges, values, "right").astype(np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(codes, mask=np.isnan(values)), pa.array([str(number) for number in range(len(edges) + 1)])
    )


def _from_series(series: Any, name: str) -> Any:
    """A pandas column; cells of several types are told apart one by one."""
    kind = str(series.dtype)
    if kind == "object":
        return _from_values(series.to_numpy(), name)
    try:
        found = pa.Array.from_pandas(series)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return _from_values(series.to_numpy(dtype=object), name)
    return _checked(found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found, name)


def _from_values(values: NDArray[Any], name: str) -> Any:
    if values.dtype.kind == "c":
        raise ValueError(f"Complex data not supported (column {name!r})")
    if values.dtype.kind in "mM":
        return _checked(pa.array(values), name)
    if values.dtype.kind in "biuf":
        return pa.array(values.astype(np.float32) if values.dtype == np.float16 else values, from_pandas=True)
    cells = [None if _missing(cell) else cell for cell in values.tolist()]
    present = [cell for cell in cells if cell is not None]
    if all(isinstance(cell, (bool, np.bool_)) for cell in present):
        return pa.array(cells, pa.bool_())
    if all(isinstance(cell, (int, float, np.number)) for cell in present):
        return pa.array([None if cell is None else float(cell) for cell in cells], pa.float64())
    for cell in present:
        if not isinstance(cell, (str, int, float, np.number, np.bool_)):
            what = f"argument must be a string or a number, not {type(cell).__name__!r} (column {name!r})"
            raise TypeError(what)
    return pa.array([None if cell is None else _text(cell) for cell in cells], pa.string())


def _missing(cell: Any) -> bool:
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, (float, np.floating)) and bool(np.isnan(cell))


def _text(cell: Any) -> str:
    if isinstance(cell, (bool, np.bool_)):
        return str(cell).lower()
    if isinstance(cell, (float, np.floating)) and float(cell).is_integer():
        return str(int(cell))
    return str(cell)


def _checked(column: Any, name: str) -> Any:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_temporal(kind):
        raise ValueError(
            f"column {name!r} holds times ({kind}), which no network reads: make numbers or categories of them, "
            "such as the hour or the weekday"
        )
    if pa.types.is_nested(kind):
        raise TypeError(f"column {name!r} holds {kind} cells; argument must be a string or a number")
    if pa.types.is_floating(kind) and kind == column.type:
        return pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    return column
