"""CSV or TSV with a header line, plain or gzip: one file or several with the same header."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, field_validator

from nasrec_nni.data.sources.base import Chunk, Columns, LogSource, SourceOptions
from nasrec_nni.data.sources.header import detect_delimiter, read_header
from nasrec_nni.data.sources.roles import REST, assign
from nasrec_nni.data.sources.text import Layout, batches, data_line, labels, numbers
from nasrec_nni.data.splits import SPLITS
from nasrec_nni.errors import UserError

SAMPLE = 20_000  # rows that roles are inferred from
SPLIT_WORDS = {"train": 0, "val": 1, "valid": 1, "validation": 1, "test": 2}


class Options(SourceOptions):
    """How the table is read, and which column is what."""

    label: str = Field(description="column of clicks, 0 or 1")
    numeric: tuple[str, ...] = Field((), description=f"numeric columns; {REST!r} for all not named")
    categorical: tuple[str, ...] = Field((), description=f"categorical columns; {REST!r} for all not named")
    ignore: tuple[str, ...] = Field((), description=f"columns to leave out; {REST!r} for all not named")
    delimiter: str | None = Field(None, description="one character, or the word tab; detected if not given")
    missing: tuple[str, ...] = Field((), description="words that mean no value, beside the empty field")
    split_column: str | None = Field(None, description="column of train, val, test, for split given")

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value in ("tab", "\\t"):
            return "\t"
        if value is not None and (len(value) != 1 or not value.isascii() or value in '"\r\n\0'):
            raise ValueError("a delimiter is one ASCII character, no quote and no line end, or the word tab")
        return value


@dataclass
class Source(LogSource):
    """Categories are read as text and stay exact; an empty field is a missing value."""

    Options = Options

    @cached_property
    def _layout(self) -> Layout:
        if not self.inputs:
            raise UserError("source 'table' needs a file", where="inputs")
        for path in self.inputs:
            if path.is_dir():
                raise UserError("is a folder", where=str(path), allowed="CSV or TSV files")
        delimiter = self.options.delimiter
        if delimiter is None:
            delimiter = detect_delimiter(self.inputs[0])
            self.notes.append(f"delimiter {delimiter!r}, found in the header of {self.inputs[0].name}")
        names = read_header(self.inputs[0], delimiter)
        for path in self.inputs[1:]:
            other = read_header(path, delimiter)
            if other != names:
                wrong = next((a or "nothing" for a, b in zip(other, names, strict=False) if a != b), "more or fewer")
                raise UserError(
                    f"another header than {self.inputs[0].name}",
                    value=wrong,
                    where=f"{path}:1",
                    allowed=", ".join(names),
                )
        return Layout(names, delimiter)

    @cached_property
    def _columns(self) -> Columns:
        options, layout = self.options, self._layout
        given = {"numeric": options.numeric, "categorical": options.categorical, "ignore": options.ignore}
        special = {options.label: "label"}
        if self.split == "given" and options.split_column is not None:
            special[options.split_column] = "split_column"
        elif options.split_column is not None:
            raise UserError("a split column is read by split 'given' only", value=self.split, where="split")
        return assign(layout.names, special, given, self._sample, f"{self.inputs[0]}:1")

    def _sample(self) -> dict[str, Any]:
        """Strings of the first rows, for roles that nobody gave."""
        taken, size = [], 0
        for batch in batches(self.inputs[0], self._layout):
            taken.append(self._cleaned(batch.slice(0, SAMPLE - size)))
            size += len(taken[-1])
            if size >= SAMPLE:
                break
        if not taken:
            self.refuse_empty(self.inputs[0], 0)
        table = pa.Table.from_batches(taken)
        return {name: table[name].combine_chunks() for name in table.column_names}

    def columns(self) -> Columns:
        found = self._columns
        if self.split == "given" and self.options.split_column is None:
            self.parts()
        self.notes.extend(f"{name}: numeric, {reason}" for name, reason in found.dense.items())
        self.notes.extend(f"{name}: categorical, {reason}" for name, reason in found.sparse.items())
        return found

    def _cleaned(self, batch: Any) -> Any:
        """Words for missing become null."""
        if not self.options.missing:
            return batch
        words = pa.array(self.options.missing, pa.string())
        arrays = [
            pc.if_else(pc.is_in(batch[name], value_set=words), pa.scalar(None, pa.string()), batch[name])
            for name in batch.schema.names
        ]
        return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)

    def chunks(self) -> Iterator[Chunk]:
        by_column = self.options.split_column
        parts = [None] * len(self.inputs) if by_column else self.parts()
        for path, part in zip(self.inputs, parts, strict=True):
            first = 0
            for raw in batches(path, self._layout):
                batch = self._cleaned(raw)
                dense = {
                    name: numbers(
                        batch[name],
                        name,
                        path,
                        self._layout,
                        first,
                        f"Read it as a category (--categorical {name}), or name the word for missing (--missing WORD)",
                    )
                    for name in self._columns.dense
                }
                yield Chunk(
                    labels(batch[self.options.label], self.options.label, path, self._layout, first),
                    dense,
                    {name: batch[name] for name in self._columns.sparse},
                    self._said(batch[by_column], path, first) if by_column else self.whole_part(part, len(batch)),
                )
                first += len(batch)
            self.refuse_empty(path, first)

    def _said(self, column: Any, path: Path, first: int) -> NDArray[np.int8]:
        found = pc.index_in(column, value_set=pa.array(list(SPLIT_WORDS)))
        if found.null_count:
            row = int(np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False))[0])
            raise UserError(
                f"column {self.options.split_column!r} does not name a split",
                value=column[row].as_py() or "",
                where=f"{path}:{data_line(path, self._layout, first + row)}",
                allowed=", ".join(SPLITS),
            )
        said: NDArray[np.int8] = np.array(list(SPLIT_WORDS.values()), np.int8)[found.to_numpy()]
        return said
