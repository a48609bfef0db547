"""A look at the first rows of a log: what a plan needs to know before anything is prepared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from nasrec_nni.data.cells import codes_of, split_cells
from nasrec_nni.data.prepare import open_columns, open_source
from nasrec_nni.data.preparing.fields import dense_names, encoding_of, hash_rows_of
from nasrec_nni.data.preparing.options import per_column
from nasrec_nni.data.transforms import log2_bins
from nasrec_nni.errors import UserError


@dataclass(frozen=True)
class FieldLook:
    """One field.

    Attributes:
        distinct: values in the rows looked at.
        rows: of its table where that is known already, else None.
        length: columns of the array.
    """

    distinct: int
    rows: int | None
    length: int


@dataclass(frozen=True)
class Look:
    """What the first rows tell.

    Attributes:
        seen: rows looked at.
        whole: they are the whole log.
        expected: rows of the log, as far as can be told.
        dense: numeric columns.
        fields: the categorical ones.
    """

    seen: int
    whole: bool
    expected: int | None
    dense: int
    fields: tuple[FieldLook, ...]


def survey(source: str, inputs: Iterable[Path | str], options: Mapping[str, Any]) -> Look:
    """Read the first chunk of a log.

    Raises:
        UserError: what is wrong with options, files or those rows; the log has no rows.
    """
    log, settings = open_source(source, inputs, options)
    columns, _ = open_columns(log, settings)
    chunks = log.chunks()
    chunk = next((found for found in chunks if len(found.label)), None)  # a source may leave out rows
    if chunk is None:
        raise UserError("the log has no rows", where=", ".join(map(str, log.inputs)) or "data.inputs")
    kept = dense_names(columns, settings)
    cells = {name: log2_bins(chunk.dense[name]) for name in columns.dense if name not in kept}
    cells |= {name: chunk.sparse[name] for name in columns.sparse}
    words = pa.array(["", *log.missing_words], pa.string())
    fields = []
    for name, column in cells.items():
        separator = settings.separator.get(name)
        distinct = codes_of(column)[1]
        values = distinct if separator is None else split_cells(distinct, separator, words)[2]
        rows = None if encoding_of(settings, name) == "vocabulary" else hash_rows_of(log, settings, name)
        length = 1 if separator is None else per_column(settings.max_length, name, 16)
        fields.append(FieldLook(len(values), rows, length))
    seen = len(chunk.label)
    expected = getattr(log.options, "rows", None) or log.rows_expected(seen)
    return Look(seen, next(chunks, None) is None, expected, len(kept), tuple(fields))
