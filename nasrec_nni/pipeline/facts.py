"""Rows and columns a plan reckons with: exact for a prepared set, estimated from a look at a raw log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nasrec_nni.config import DataConfig

GROWTH = 0.6  # exponent by which distinct values grow with rows (Heaps' law), for long-tailed columns
PARTS = (0.8, 0.1, 0.1)


@dataclass(frozen=True)
class DataFacts:
    """What the costs depend on.

    Args:
        train: rows.
        val: rows.
        test: rows.
        dense: columns.
        sparse: columns of ids: one a field, more for a multi-valued one.
        rows_per_field: table rows of each sparse field.
        source: where the figures come from, in words.
    """

    train: int
    val: int
    test: int
    dense: int
    sparse: int
    rows_per_field: tuple[int, ...]
    source: str

    @property
    def rows(self) -> int:
        return self.train + self.val + self.test


def facts_of(config: DataConfig) -> DataFacts:
    """Facts of the data a config names.

    Raises:
        UserError: it cannot be read.
    """
    if config.prepared is not None:
        return _prepared(Path(config.prepared))
    return _raw(config)


def _prepared(folder: Path) -> DataFacts:
    from nasrec_nni.data.prepared import PreparedSet

    prepared = PreparedSet.load(folder)
    sizes = prepared.split_sizes()
    return DataFacts(
        sizes["train"],
        sizes["val"],
        sizes["test"],
        len(prepared.dense_names),
        sum(prepared.lengths),
        prepared.rows_per_field,
        "exact, of the prepared set",
    )


def _raw(config: DataConfig) -> DataFacts:
    from nasrec_nni.data.preparing.survey import survey

    look = survey(config.source, config.inputs, config.options)
    if look.whole:
        rows, counted = look.seen, "rows counted"
    else:
        rows, counted = max(look.seen, look.expected or 0), "rows estimated from what was read of the files"
    growth = (rows / look.seen) ** GROWTH
    tables = tuple(field.rows or 2 + round(field.distinct * growth) for field in look.fields)
    parts = [round(rows * part) for part in PARTS]
    told = f"{counted}, distinct values from the first {look.seen:,} rows, splits taken as 80/10/10"
    columns = sum(field.length for field in look.fields)
    return DataFacts(parts[0], parts[1], parts[2], look.dense, columns, tables, told)
