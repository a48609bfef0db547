"""Rows and columns a plan reckons with: exact for a prepared set, estimated from a look at a raw log."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasrec_nni.config import DataConfig
from nasrec_nni.errors import UserError

LOOK = 1 << 20  # bytes of a file that are looked at
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
        rows_per_field: table rows of each sparse field.
        source: where the figures come from, in words.
    """

    train: int
    val: int
    test: int
    dense: int
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
        prepared.rows_per_field,
        "exact, of the prepared set",
    )


def _raw(config: DataConfig) -> DataFacts:
    from nasrec_nni.data.prepare import open_source

    log, _ = open_source(config.source, config.inputs, config.options)
    columns = log.columns()
    chunks = iter(log.chunks())
    chunk = next((found for found in chunks if len(found.label)), None)  # a source may leave out rows
    if chunk is None:
        raise UserError("the log has no rows", where=", ".join(config.inputs) or "data.inputs")
    seen = len(chunk.label)
    if next(chunks, None) is None:
        rows, counted = seen, "rows counted"
    elif asked := getattr(log.options, "rows", None):
        rows, counted = asked, "rows as asked for"
    else:
        rows, counted = max(seen, _lines(log.inputs)), "rows estimated from the size of the files"
    growth = (rows / seen) ** GROWTH
    tables = tuple(2 + round(len(chunk.sparse[name].unique()) * growth) for name in columns.sparse)
    parts = [round(rows * part) for part in PARTS]
    told = f"{counted}, distinct values from the first {seen:,} rows, splits taken as 80/10/10"
    return DataFacts(parts[0], parts[1], parts[2], len(columns.dense), tables, told)


def _lines(inputs: Sequence[Path]) -> int:
    """Lines of some text files, from the length of their first ones; of a folder, of its largest file."""
    total = 0.0
    for path in inputs:
        file = max(path.rglob("*"), key=lambda child: child.stat().st_size) if path.is_dir() else path
        with file.open("rb") as stream:
            look = stream.read(LOOK)
        used, text = len(look), look
        if look.startswith(b"\x1f\x8b"):
            unpack = zlib.decompressobj(wbits=31)
            text = unpack.decompress(look, LOOK)
            used -= len(unpack.unconsumed_tail)
        total += text.count(b"\n") * file.stat().st_size / max(1, used)
    return round(total)
