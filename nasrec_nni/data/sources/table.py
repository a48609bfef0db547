"""CSV, TSV and their like with a header line, or Parquet: one file, several, or a folder of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nasrec_nni.data.cells import type_name
from nasrec_nni.data.sources.base import Chunk, Columns, LogSource
from nasrec_nni.data.sources.delimited import DelimitedReader, refuse_other_headers
from nasrec_nni.data.sources.files import Inputs
from nasrec_nni.data.sources.header import detect_delimiter, listed
from nasrec_nni.data.sources.opening import kind_of
from nasrec_nni.data.sources.parquet import ParquetReader, family, refuse_other_types
from nasrec_nni.data.sources.raw import RawRows, Wanted
from nasrec_nni.data.sources.raw_text import as_written, optional_labels, raw_rows
from nasrec_nni.data.sources.roles import assign, refuse_no_label
from nasrec_nni.data.sources.table_options import Options
from nasrec_nni.data.sources.times import Clock
from nasrec_nni.data.sources.values import Place, labels, numbers, weights
from nasrec_nni.data.split_names import SPLITS
from nasrec_nni.errors import UserError

SAMPLE = 20_000  # rows that roles are inferred from
SPLIT_WORDS = {"train": 0, "val": 1, "valid": 1, "validation": 1, "test": 2}
DELIMITERS = {"\t": "a tab"}

Reader = DelimitedReader | ParquetReader


@dataclass
class Source(LogSource):
    """Categories are read as text and stay exact; an empty field is a missing value."""

    Options = Options

    @property
    def missing_words(self) -> tuple[str, ...]:
        found: tuple[str, ...] = self.options.missing
        return found

    @property
    def kinds(self) -> Mapping[str, str]:
        first = self._readers[0]
        if not isinstance(first, ParquetReader):
            return {}
        return {field.name: type_name(field.type) for field in first.schema}

    @cached_property
    def _inputs(self) -> Inputs:
        if not self.inputs:
            raise UserError("source 'table' needs a file", where="inputs")
        by_column = self.options.split_column is not None
        return Inputs.of(self, [None] * len(self.inputs) if by_column else None)

    @cached_property
    def _readers(self) -> Sequence[Reader]:
        paths = [path for path, _ in self._inputs.files]
        parquet = [kind_of(path) == "parquet" for path in paths]
        if any(parquet) and not all(parquet):
            raise UserError(
                "Parquet and text together",
                value=f"{paths[parquet.index(True)].name}, {paths[parquet.index(False)].name}",
                where="inputs",
                hint="Give files of one kind",
            )
        missing = self.options.missing
        if all(parquet):
            if self.options.delimiter is not None:
                raise UserError("Parquet has no delimiter", value=self.options.delimiter, where="delimiter")
            return [ParquetReader(path, missing) for path in paths]
        delimiter = self.options.delimiter
        if delimiter is None:
            delimiter = detect_delimiter(paths[0], self.options.quotes)
            self.notes.append(f"delimiter {delimiter!r}, found in the header of {paths[0].name}")
        readers = [DelimitedReader(path, delimiter, missing, quoted=self.options.quotes) for path in paths]
        refuse_other_headers(readers)
        return readers

    @cached_property
    def _found(self) -> tuple[Columns, dict[str, str]]:
        options, first = self.options, self._readers[0]
        where = f"{first.path}:1" if isinstance(first, DelimitedReader) else str(first.path)
        if options.label is None:
            refuse_no_label(first.names, where)
        if options.split_column is not None and self.split != "given":
            raise UserError("a split column is read by split 'given' only", value=self.split, where="split")
        special = {str(options.label): "label"}
        for option in ("weight", "split_column"):
            name = getattr(options, option)
            if name is not None and name in special:
                raise UserError(f"column {name!r} is both {special[name]} and {option}", where=option)
            if name is not None:
                special[name] = option
        given = {"numeric": options.numeric, "categorical": options.categorical, "ignore": options.ignore}
        if options.time in special:
            raise UserError(f"column {options.time!r} is both {special[options.time]} and time", where="time")
        columns, ignored = assign(first.names, special, given, self._sample, where, time=options.time)
        self._refuse_other_columns(columns)
        return columns, ignored

    def _sample(self) -> Mapping[str, Any]:
        found = self._readers[0].sample(SAMPLE)
        if not len(next(iter(found.values()))) and len(self._readers) == 1:
            self.refuse_empty(self._readers[0].path, 0)
        return found

    def _refuse_other_columns(self, columns: Columns) -> None:
        """Raise UserError for a Parquet file that lacks a column, or has it in a type that cannot be read."""
        readers = [reader for reader in self._readers if isinstance(reader, ParquetReader)]
        if not readers:
            return
        used = self._used(columns)
        for reader in readers:
            absent = next((name for name in used if name not in reader.names), None)
            if absent is not None:
                raise UserError(f"no column {absent!r}", where=str(reader.path), allowed=listed(reader.names))
        refuse_other_types(readers, used)
        for name in (*columns.dense, columns.label, *([columns.weight] if columns.weight else [])):
            kind = readers[0].schema.field(name).type
            if family(kind) == "time":
                raise UserError(
                    f"column {name!r} holds times, where numbers are needed",
                    value=str(kind),
                    where=readers[0].path.name,
                )

    def _used(self, columns: Columns) -> list[str]:
        extra = (columns.time, columns.weight, self.options.split_column)
        every = (columns.label, *columns.dense, *columns.sparse, *(name for name in extra if name is not None))
        return list(dict.fromkeys(every))

    def columns(self) -> Columns:
        columns, ignored = self._found
        self.notes.extend(note for note in self._inputs.notes if note not in self.notes)
        roles = {name: f"numeric, {reason}" for name, reason in columns.dense.items()}
        roles |= {name: f"categorical, {reason}" for name, reason in columns.sparse.items()}
        roles |= {name: f"ignored, {reason}" for name, reason in ignored.items()}
        for name, role in ((columns.time, "time of the row"), (columns.weight, "weight of the row")):
            if name:
                roles[name] = f"{roles[name]}; {role}" if name in roles else f"{role}, as asked for"
        self.notes.extend(f"{name}: {roles[name]}" for name in self._readers[0].names if name in roles)
        return columns

    def chunks(self) -> Iterator[Chunk]:
        columns, options = self._found[0], self.options
        clock = Clock(columns.time) if columns.time else None
        measured = [*columns.dense, *([columns.weight] if columns.weight else [])]
        categories = [*columns.sparse, *([options.split_column] if options.split_column else [])]
        readers = {reader.path: reader for reader in self._readers}
        for path, part in self._inputs.start(self.meter):
            reader, first = readers[path], 0
            others = [name for name in (columns.label, columns.time) if name and name not in (*measured, *categories)]
            # a text file says nothing of types, so words are compared; Parquet's own types are taken as they are
            as_words, as_is = ([], others) if isinstance(reader, ParquetReader) else (others, [])
            for batch in reader.batches([*categories, *as_words], [*measured, *as_is], self.meter):
                place = reader.place(first)
                label = labels(batch[columns.label], columns.label, place)
                yield Chunk(
                    label,
                    {name: numbers(batch[name], name, place, _way_out(name)) for name in columns.dense},
                    {name: batch[name] for name in columns.sparse},
                    self._said(batch[options.split_column], place)
                    if options.split_column
                    else self.whole_part(part, len(label)),
                    time=clock.read(batch[columns.time], place) if clock and columns.time else None,
                    weight=weights(batch[columns.weight], columns.weight, place) if columns.weight else None,
                )
                first += len(label)
            self._inputs.ended(path, first, self.warnings)
        self._tell_nan()

    def raw_rows(self, wanted: Wanted) -> Iterator[RawRows]:
        if not isinstance(self._readers[0], ParquetReader):
            yield from raw_rows(self, self._inputs, self._readers, wanted)  # type: ignore[arg-type]
            return
        readers = {reader.path: reader for reader in self._readers if isinstance(reader, ParquetReader)}
        for reader in readers.values():
            wanted.refuse_absent(reader.names, str(reader.path))
        refuse_other_types(list(readers.values()), wanted.needed)
        label, weight = wanted.optional(self._readers[0].names)
        extra = [name for name in (label, weight, *wanted.kept) if name]
        for path, _ in self._inputs.start(self.meter):
            reader, first = readers[path], 0
            texts = [name for name in wanted.categories if family(reader.schema.field(name).type) == "text"]
            as_is = [*wanted.numbers, *wanted.categories, *extra]  # other types are compared with the log's
            for batch in reader.batches(texts, [name for name in as_is if name not in texts], self.meter):
                place = reader.place(first)
                yield RawRows(
                    len(batch[next(iter(batch))]),
                    {name: numbers(batch[name], name, place, "Mend that row") for name in wanted.numbers},
                    {name: batch[name] for name in wanted.categories},
                    optional_labels(batch[label], label, place) if label else None,
                    weights(batch[weight], weight, place) if weight else None,
                    {name: as_written(batch[name]) for name in wanted.kept},
                )
                first += len(batch[next(iter(batch))])
            self._inputs.ended(path, first, self.warnings)

    def _tell_nan(self) -> None:
        counts: dict[str, int] = {}
        for reader in self._readers:
            if isinstance(reader, ParquetReader):
                for name, count in reader.not_a_number.items():
                    counts[name] = counts.get(name, 0) + count
                reader.not_a_number.clear()
        self.warnings = [text for text in self.warnings if not text.endswith("read as missing")]
        self.warnings += [f"column {name}: {count:,} cells are NaN, read as missing" for name, count in counts.items()]

    def _said(self, column: Any, place: Place) -> NDArray[np.int8]:
        words = pc.index_in(column.dictionary, value_set=pa.array(list(SPLIT_WORDS))).fill_null(-1).to_numpy()
        table = np.append(np.array([*SPLIT_WORDS.values(), -1], np.int8)[words], np.int8(-1))
        said: NDArray[np.int8] = table[column.indices.fill_null(len(words)).to_numpy()]
        if (said < 0).any():
            place.refuse(
                f"column {self.options.split_column!r} does not name a split",
                str(self.options.split_column),
                column,
                int(np.flatnonzero(said < 0)[0]),
                allowed=", ".join(SPLITS),
            )
        return said


def _way_out(name: str) -> str:
    return f"Read it as a category (--categorical {name}), or name the word for missing (--missing WORD)"
