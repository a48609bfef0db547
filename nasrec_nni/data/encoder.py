"""Raw rows to what a network reads, by the very transforms and vocabularies of a prepared set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nasrec_nni.data.cells import as_texts, codes_of, split_cells, type_name, without_words
from nasrec_nni.data.encoding import encode_dense, place_values
from nasrec_nni.data.hashing import NotHexError, hashed
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.data.schema import RESERVED, TEXT, Schema, SparseColumn
from nasrec_nni.data.sources.values import LARGEST, parsed
from nasrec_nni.data.transforms import log2_bins
from nasrec_nni.errors import UserError
from nasrec_nni.files import read_json

if TYPE_CHECKING:
    from nasrec_nni.data.lookup import Lookup


EXPORTED = "network.json"  # stands beside schema and vocabulary in an exported model
RARE, ABSENT = 1, -1  # id of a value without one of its own, and what a look-up says of it


class Encoded(NamedTuple):
    """Rows of a prepared set, or what they would be.

    Attributes:
        dense: `[n, D]` float32.
        sparse: `[n, C]` int32, see `PreparedSet.sparse`.
    """

    dense: NDArray[np.float32]
    sparse: NDArray[np.int32]


class Encoder:
    """The scoring path: what `prepare` did to the rows of the log, done to other rows.

    The first rows make the tables that later ones are looked up in. For one thread at a time.

    Args:
        schema: columns with their fitted transforms.
        values: per field with a vocabulary its values, in the order of their ids.
    """

    def __init__(self, schema: Schema, values: Mapping[str, Any]) -> None:
        self.schema = schema
        self._values = dict(values)
        self._words = pa.array(["", *schema.missing], pa.string())
        self._lookups: dict[str, Lookup] = {}

    @classmethod
    def load(cls, folder: Path | str) -> Encoder:
        """Of a prepared set, or of an exported model, whose files `load_model` verifies.

        Raises:
            UserError: it is neither, or a file of a prepared set was changed.
        """
        folder = Path(folder)
        if (folder / EXPORTED).is_file():
            return cls.of_files(folder)
        PreparedSet.load(folder)
        return cls.of_files(folder)

    @classmethod
    def of_files(cls, folder: Path) -> Encoder:
        """Of `schema.json` and `vocabulary.parquet` in a folder.

        Raises:
            UserError: the schema is none.
        """
        try:
            schema = Schema.from_dict(read_json(folder / "schema.json"))
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"not a schema ({error})", where=str(folder / "schema.json")) from None
        return cls(schema, read_vocabulary(folder / "vocabulary.parquet", schema))

    @property
    def numbers(self) -> list[str]:
        """Columns that are read as numbers, those that become bins included."""
        binned = [column.name for column in self.schema.sparse if column.bins]
        return [*(column.name for column in self.schema.dense), *binned]

    @property
    def categories(self) -> list[str]:
        """Columns that are read as categories."""
        return [column.name for column in self.schema.sparse if not column.bins]

    @property
    def names(self) -> list[str]:
        """Columns that are needed."""
        return [*(column.name for column in self.schema.dense), *(column.name for column in self.schema.sparse)]

    def encode(self, dense: Mapping[str, NDArray[np.float64]], sparse: Mapping[str, Any], rows: int) -> Encoded:
        """Rows as a source gives them.

        Args:
            dense: per numeric column of the log `[n]` float64, NaN for missing; binned columns too.
            sparse: per categorical column `[n]` Arrow strings, plain or dictionary, null for missing.
            rows: `n`.

        Raises:
            UserError: a number leaves float32, or a value does not fit `hash_mod`.
        """
        numbers = [dense[column.name] for column in self.schema.dense]
        found = np.empty((sum(self.schema.lengths), rows), np.int32)  # by columns, as it is filled
        at = 0
        for column in self.schema.sparse:
            cells = log2_bins(dense[column.name]) if column.bins else sparse[column.name]
            found[at : at + column.length] = self._field(column, cells).T
            at += column.length
        return Encoded(encode_dense(self.schema.dense, numbers, rows), np.ascontiguousarray(found.T))

    def encode_table(self, table: Any) -> Encoded:
        """Rows of a table with the columns of the log; other columns are not looked at.

        Args:
            table: Arrow table or record batch, or pandas frame. A categorical column is text, whole numbers, or of
                the type that a Parquet log had; other types would be written otherwise than in the log. Null and
                NaN are missing: a reader that makes them of words such as NA changes values of the log.

        Raises:
            UserError: a column is missing or of a type that does not fit, or a cell of a numeric one is no finite
                number.
        """
        if not isinstance(table, (pa.Table, pa.RecordBatch)):
            table = _from_pandas(table)
        absent = [name for name in self.names if name not in table.schema.names]
        if absent:
            raise UserError("a column is missing", value=absent[0], where="columns", allowed=", ".join(self.names))
        dense = {name: self._numbers(name, table[name]) for name in dict.fromkeys(self.numbers)}
        return self.encode(dense, self.texts({name: table[name] for name in self.categories}), table.num_rows)

    def texts(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        """Categorical columns of any type that fits, as `encode` takes them.

        Raises:
            UserError: a type in which values might be written otherwise than in the log.
        """
        return {
            column.name: self._texts(column, cells[column.name]) for column in self.schema.sparse if not column.bins
        }

    def _field(self, column: SparseColumn, cells: Any) -> NDArray[np.int32]:
        codes, distinct = codes_of(cells)
        if column.separator is None:
            ids: NDArray[np.int32] = np.append(self._ids(column, distinct), np.int32(0))[codes]
            return ids[:, None]
        starts, places, values = split_cells(distinct, column.separator, self._words)
        return place_values(codes, starts, self._ids(column, values)[places], column.length)

    def _ids(self, column: SparseColumn, values: Any) -> NDArray[np.int32]:
        if column.encoding != "vocabulary":
            try:
                return hashed(column.encoding, values.to_pylist(), column.rows, column.decimal_first)
            except NotHexError as error:
                raise UserError(
                    "not a hexadecimal integer", value=error.args[0], where=f"column {column.name}"
                ) from None
        found = self._lookup(column.name).find(values)
        known = found != ABSENT
        found += np.int32(RESERVED)
        found[~known] = RARE
        return found

    def _lookup(self, name: str) -> Lookup:
        from nasrec_nni.data.lookup import Lookup  # numba takes half a second to import

        if name not in self._lookups:
            self._lookups[name] = Lookup(self._values[name])
        return self._lookups[name]

    def _texts(self, column: SparseColumn, cells: Any) -> Any:
        cells = _whole(cells)
        kind = type_name(cells.type)
        if kind != TEXT and kind != column.kind and as_texts(cells).null_count < len(cells):
            cells = self._as_prepared(column, cells)
        return without_words(as_texts(cells), self._words)

    @staticmethod
    def _as_prepared(column: SparseColumn, cells: Any) -> Any:
        """Typed cells in the type that the log had. Whole numbers are written alike in text and in any width."""
        if pa.types.is_integer(cells.type) and (column.kind == TEXT or column.kind.startswith(("int", "uint"))):
            return cells
        try:
            return cells.cast(pa.type_for_alias(column.kind))
        except (ValueError, pa.ArrowException):
            raise UserError(
                "a categorical column is of another type than in the log, so its values might be written otherwise",
                value=str(cells.type),
                where=f"column {column.name}",
                allowed="text, or whole numbers" if column.kind == TEXT else f"text, or {column.kind}",
                hint="Read it as text: pandas.read_csv(…, dtype=str, keep_default_na=False)",
            ) from None

    def _numbers(self, name: str, column: Any) -> NDArray[np.float64]:
        cells = _whole(column)
        if pa.types.is_nested(cells.type) or pa.types.is_temporal(cells.type):
            raise UserError("not a column of numbers", value=str(cells.type), where=f"column {name}")
        if len(self._words) > 1 or type_name(cells.type) == TEXT:
            cells = without_words(cells, self._words)
        found = parsed(cells)
        given = cells.is_valid().to_numpy(zero_copy_only=False)
        if pa.types.is_floating(cells.type):
            given &= ~np.isnan(found)  # NaN is how a frame says missing
        bad = given & ~(np.abs(found) <= LARGEST)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise UserError("not a number", value=cells[row].as_py(), where=f"column {name}, row {row + 1}")
        return found


def _from_pandas(frame: Any) -> Any:
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise UserError(f"the frame cannot be read ({str(error).splitlines()[0][:200]})", where="columns") from None


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def read_vocabulary(path: Path, schema: Schema) -> dict[str, Any]:
    """Values of each field with a vocabulary, in the order of their ids."""
    table = pq.read_table(path, columns=["field", "value"])
    names = table["field"].combine_chunks()
    known = names.dictionary.to_pylist() if len(names) else []
    codes = names.indices.to_numpy() if len(names) else np.empty(0, np.int32)
    values = table["value"].cast(pa.large_string()).combine_chunks()
    found = {}
    for column in schema.sparse:
        if column.encoding == "vocabulary":
            places = np.flatnonzero(codes == known.index(column.name)) if column.name in known else np.empty(0, int)
            start = int(places[0]) if len(places) else 0
            found[column.name] = values.slice(start, len(places))
    return found
