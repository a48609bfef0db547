"""Options and source to the columns of a prepared set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nasrec_nni.data.preparing.counting import Tally
from nasrec_nni.data.preparing.options import PrepareOptions, per_column
from nasrec_nni.data.preparing.staging import Field
from nasrec_nni.data.preparing.vocabulary import Book, HashBook, ValueBook, Vocabulary
from nasrec_nni.data.schema import TEXT, DenseColumn, EncodingName, SparseColumn
from nasrec_nni.data.sources.base import Columns, LogSource
from nasrec_nni.data.transforms import TransformName, choose, fit
from nasrec_nni.errors import UserError


def dense_names(columns: Columns, settings: PrepareOptions) -> list[str]:
    """Numeric columns that stay numbers."""
    return [name for name in columns.dense if per_column(settings.transform, name, "auto") != "log2_bins"]


def field_names(columns: Columns, settings: PrepareOptions) -> list[str]:
    """The fields in order: numbers that become bins first, then the categorical columns."""
    kept = dense_names(columns, settings)
    return [*(name for name in columns.dense if name not in kept), *columns.sparse]


def fields_of(log: LogSource, columns: Columns, settings: PrepareOptions, scratch: Path) -> list[Field]:
    """The fields in order, with a book of codes each.

    Raises:
        UserError: a hashed column without its number of rows.
    """
    found = []
    for index, name in enumerate(field_names(columns, settings)):
        book = _book(log, settings, name, scratch / f"codes-{index}")
        found.append(Field(name, name not in columns.sparse, settings.separator.get(name), book))
    return found


def encoding_of(settings: PrepareOptions, name: str) -> EncodingName:
    """How a field's values become ids."""
    found: EncodingName = per_column(settings.encoding, name, "vocabulary")
    return found


def _book(log: LogSource, settings: PrepareOptions, name: str, path: Path) -> Book:
    encoding = encoding_of(settings, name)
    if encoding == "vocabulary":
        return ValueBook(path)
    return HashBook(path, name, encoding, hash_rows_of(log, settings, name), log.decimal_first)


def hash_rows_of(log: LogSource, settings: PrepareOptions, name: str) -> int:
    """Table rows of a hashed field. Raises UserError if nobody says them."""
    encoding = encoding_of(settings, name)
    known = log.default_hash_rows.get(name, 0) if encoding == "hash_mod" else 0
    rows = per_column(settings.hash_rows, name, known)
    if not rows:
        raise UserError(
            f"encoding {encoding!r} needs the table rows of column {name!r}",
            where="hash_rows",
            hint=f"For example --hash-rows {name}=100000",
        )
    return rows


def dense_columns(columns: Columns, wanted: Mapping[str, TransformName], tally: Tally) -> tuple[DenseColumn, ...]:
    """Numeric columns with their fitted transforms."""
    found = []
    for (name, asked), known in zip(wanted.items(), tally.dense, strict=True):
        chosen, why = choose(asked, known.moments)
        sample = np.concatenate(known.sample) if known.sample else np.empty(0)
        reason = f"{columns.dense[name]}; {chosen}: {why}"
        found.append(DenseColumn(name, fit(chosen, known.moments, sample), reason))
    return tuple(found)


def sparse_columns(
    log: LogSource,
    columns: Columns,
    fields: Sequence[Field],
    vocabularies: Sequence[Vocabulary],
    min_counts: Sequence[int],
    lengths: Sequence[int],
) -> tuple[SparseColumn, ...]:
    """Fields with the size of their tables."""
    found = []
    for field, vocabulary, least, length in zip(fields, vocabularies, min_counts, lengths, strict=True):
        book = field.book
        reason = f"{columns.dense[field.name]}; log2_bins: asked for" if field.bins else columns.sparse[field.name]
        found.append(
            SparseColumn(
                field.name,
                vocabulary.rows,
                least,
                reason,
                book.name if isinstance(book, HashBook) else "vocabulary",
                field.bins,
                field.separator,
                length,
                log.decimal_first,
                log.kinds.get(field.name, TEXT),
            )
        )
    return tuple(found)
