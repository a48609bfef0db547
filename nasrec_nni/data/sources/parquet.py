"""Parquet files as batches of the same columns that text gives, types kept exact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nasrec_nni.data.cells import as_texts, without_words
from nasrec_nni.data.sources.base import Meter
from nasrec_nni.data.sources.values import Place, compact
from nasrec_nni.errors import UserError

ROWS = 1 << 16  # rows of a batch
BUFFER = 1 << 20  # bytes of a column read at a time, so that a huge row group does not fill the memory


def family(kind: Any) -> str:
    """What two files must agree in: whole numbers of any width are alike, and texts however they are stored."""
    types = pa.types
    if types.is_dictionary(kind):
        return family(kind.value_type)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        return "text"
    if str(kind) in ("string_view", "binary_view"):
        return "text"
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_boolean(kind):
        return "boolean"
    if types.is_timestamp(kind) or types.is_date(kind) or types.is_time(kind):
        return "time"
    return "empty" if types.is_null(kind) else "nested"


class ParquetReader:
    """One file.

    Attributes:
        path: the file.
        not_a_number: cells per column that hold NaN and are read as missing, over all that was read.
    """

    def __init__(self, path: Path, missing: Sequence[str] = ()) -> None:
        self.path = path
        self.not_a_number: dict[str, int] = {}
        self._words = pa.array(["", *missing], pa.string())

    @contextmanager
    def _faults_told(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"Parquet data is damaged or cut ({str(error).splitlines()[0][:200]})",
                where=str(self.path),
                hint="Copy it again, or write it again",
            ) from None

    @cached_property
    def schema(self) -> Any:
        """Arrow's schema. Raises UserError for a file that is not whole, and for two columns of one name."""
        with self._faults_told(), pq.ParquetFile(self.path) as file:
            found = file.schema_arrow
        for index, name in enumerate(found.names):
            if not name.strip():
                raise UserError(f"column {index + 1} has no name", where=str(self.path), hint="Name that column")
            if found.names.index(name) != index:
                raise UserError(
                    f"column name {name!r} is used twice, at positions {found.names.index(name) + 1} and {index + 1}",
                    where=str(self.path),
                    hint="Rename one of them",
                )
        return found

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.schema.names)

    def place(self, first: int) -> Place:
        return Place(self.path, first)

    def sample(self, rows: int) -> Mapping[str, Any]:
        """The first rows; texts as a dictionary, else as they are."""
        with self._faults_told(), pq.ParquetFile(self.path) as file:
            taken, size = [], 0
            for batch in file.iter_batches(ROWS):
                taken.append(batch.slice(0, rows - size))
                size += len(taken[-1])
                if size >= rows:
                    break
            table = pa.Table.from_batches(taken, file.schema_arrow)
        found = {name: table[name].combine_chunks() for name in table.column_names}
        return {
            name: self._category(self._present(name, column)) if family(column.type) == "text" else column
            for name, column in found.items()
        }

    def batches(self, categories: Sequence[str], numbers: Sequence[str], meter: Meter | None = None) -> Iterator[Any]:
        """Per batch a mapping: categories as dictionary<int32, string>, numbers as they are; null for missing."""
        wanted = list(dict.fromkeys((*categories, *numbers)))
        texts = [name for name in categories if family(self.schema.field(name).type) == "text"]
        before, size = (meter.done if meter else 0), self.path.stat().st_size
        options = {"read_dictionary": texts, "buffer_size": BUFFER, "page_checksum_verification": True}
        with self._faults_told(), pq.ParquetFile(self.path, **options) as file:
            total, done = max(1, file.metadata.num_rows), 0
            for batch in file.iter_batches(ROWS, columns=wanted):
                done += len(batch)
                if meter:
                    meter.done = before + size * done // total
                found = {name: self._present(name, batch[name]) for name in wanted}
                yield {name: self._category(found[name]) if name in categories else found[name] for name in found}

    def _present(self, name: str, column: Any) -> Any:
        """NaN, the empty text and the words for missing become null."""
        if pa.types.is_dictionary(column.type):
            self._refuse_damage(name, column)
            if family(column.type) != "text":
                column = column.dictionary_decode()
        kind = column.type
        if pa.types.is_floating(kind):
            nan = pc.is_nan(column).fill_null(False)
            if (count := nan.true_count) > 0:
                self.not_a_number[name] = self.not_a_number.get(name, 0) + count
                column = pc.if_else(nan, pa.scalar(None, kind), column)
        if family(kind) == "text":
            if pa.types.is_dictionary(kind):
                cells = pc.cast(column.dictionary, pa.string())
                column = pa.DictionaryArray.from_arrays(pc.cast(column.indices, pa.int32()), cells)
            else:
                self._refuse_damage(name, column)
                column = pc.cast(column, pa.string())
        elif len(self._words) == 1 or family(kind) in ("nested", "empty"):
            return column
        return without_words(column, self._words)

    def _refuse_damage(self, name: str, column: Any) -> None:
        """Raise UserError for bytes that are no text; Arrow itself takes them as they come."""
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            what = f"column {name!r} holds text that is not UTF-8" if "UTF8" in str(error) else f"{name!r} is damaged"
            raise UserError(what, where=str(self.path), hint="Write the file again") from None

    @staticmethod
    def _category(column: Any) -> Any:
        kind = column.type
        return compact(column if pa.types.is_dictionary(kind) else as_texts(column).dictionary_encode())


def refuse_other_types(readers: Sequence[ParquetReader], used: Sequence[str]) -> None:
    """Raise UserError for a column that cannot be read, or is of another family in another file."""
    first = readers[0]
    for name in used:
        known = family(first.schema.field(name).type)
        for reader in readers:
            kind = reader.schema.field(name).type
            found = family(kind)
            if found == "nested":
                raise UserError(
                    f"column {name!r} holds {kind} values",
                    where=str(reader.path),
                    allowed="numbers, text, true and false, times",
                    hint=f"Write it as text with a separator and give that (--separator {name}='|'), "
                    f"or leave it out: --ignore {name}",
                )
            if "empty" not in (found, known) and found != known:
                raise UserError(
                    f"column {name!r} is of another type than in {first.path.name}",
                    value=str(kind),
                    where=str(reader.path),
                    allowed=str(first.schema.field(name).type),
                    hint="Write the files with one schema",
                )
            if known == "empty":
                known = found
