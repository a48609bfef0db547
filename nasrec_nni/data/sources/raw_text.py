"""Rows to score from delimited text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nasrec_nni.data.sources.base import LogSource, Meter
from nasrec_nni.data.sources.delimited import DelimitedReader
from nasrec_nni.data.sources.files import Inputs
from nasrec_nni.data.sources.raw import RawRows, Wanted
from nasrec_nni.data.sources.records import Layout, records
from nasrec_nni.data.sources.text import batches
from nasrec_nni.data.sources.values import Place, labels, numbers, weights


class LayoutReader:
    """A file without a header, which has one of several layouts: the one with as many fields as its first row.

    Args:
        path: the file.
        layouts: the first is taken if none fits, so that the error is told of it.
    """

    def __init__(self, path: Path, layouts: Sequence[Layout]) -> None:
        self.path = path
        first = next(records(path, layouts[0]), (1, []))[1]
        self.layout = next((layout for layout in layouts if len(layout.names) == len(first)), layouts[0])

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.layout.names)

    def place(self, first: int) -> Place:
        return Place(self.path, first, self.layout)

    def batches(self, categories: Sequence[str], numbers: Sequence[str], meter: Meter | None = None) -> Iterator[Any]:
        return batches(self.path, self.layout, categories, numbers, meter=meter)


def raw_rows(
    source: LogSource, inputs: Inputs, readers: Sequence[DelimitedReader | LayoutReader], wanted: Wanted
) -> Iterator[RawRows]:
    """All rows of some text files.

    Args:
        source: whose meter and warnings these are.
        inputs: the files.
        readers: one for each.
        wanted: the columns.

    Raises:
        UserError: a column that is needed is not there, or a bad row.
    """
    for reader in readers:
        wanted.refuse_absent(reader.names, f"{reader.path}:1")
    for (path, _), reader in zip(inputs.start(source.meter), readers, strict=True):
        label, weight = wanted.optional(reader.names)
        # what is handed through stays text, even where it is read as a number too
        texts = list(dict.fromkeys([*wanted.categories, *wanted.kept, *([label] if label else [])]))
        others = [name for name in (*wanted.numbers, *([weight] if weight else [])) if name not in texts]
        first = 0
        for batch in reader.batches(texts, others, source.meter):
            place = reader.place(first)
            yield RawRows(
                len(batch),
                {name: numbers(batch[name], name, place, "Mend that line") for name in wanted.numbers},
                {name: batch[name] for name in wanted.categories},
                optional_labels(batch[label], label, place) if label else None,
                weights(batch[weight], weight, place) if weight else None,
                {name: as_written(batch[name]) for name in wanted.kept},
            )
            first += len(batch)
        inputs.ended(path, first, source.warnings)


def optional_labels(column: Any, name: str, place: Place) -> NDArray[np.float32]:
    """`[n]` float32 of 0 and 1, NaN for an empty cell. Raises UserError with the row of anything else."""
    if not column.null_count:
        return labels(column, name, place)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    empty = column.is_null().to_numpy(zero_copy_only=False)
    found = labels(pc.fill_null(column, pa.scalar(0).cast(column.type)), name, place)
    found[empty] = np.nan
    return found


def as_written(column: Any) -> Any:
    """A column that is handed through, without its dictionary."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
