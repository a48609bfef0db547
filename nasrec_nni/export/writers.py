"""Scores to a file, part by part, in the order of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from nasrec_nni.errors import UserError
from nasrec_nni.files import atomic_path

ENDINGS = (".parquet", ".csv")
SCORE = "score"


def check_place(path: Path, overwrite: bool, kept: str | None) -> None:
    """Raises UserError for a file that cannot be written as asked, before any work."""
    if path.suffix.lower() not in ENDINGS:
        raise UserError(
            "not a kind of file that is written", value=path.name, where="--out", allowed=" or ".join(ENDINGS)
        )
    if path.is_dir():
        raise UserError("is a folder", where=str(path), hint="Name a file")
    if path.exists() and not overwrite:
        raise UserError("exists already", where=str(path), hint="Name another file, or add --overwrite")
    if kept == SCORE:
        raise UserError(f"the scores are in a column {SCORE!r} already", value=kept, where="--id")


class ScoreFile:
    """A file under way; its columns are those of its first part."""

    def __init__(self, path: Path, csv: bool) -> None:
        self._path = path
        self._csv = csv
        self._writer: Any = None
        self._schema: Any = None

    def add(self, columns: dict[str, Any]) -> None:
        """The next rows. Raises UserError if a column does not fit the type that its first part had."""
        if self._writer is None:
            self._open(pa.schema([(name, cells.type) for name, cells in columns.items()]))
        self._writer.write_table(pa.table({name: self._as_first(name, cells) for name, cells in columns.items()}))

    def _as_first(self, name: str, cells: Any) -> Any:
        kind = self._schema.field(name).type
        try:
            return cells.cast(kind)
        except pa.ArrowException:
            raise UserError(
                f"column {name!r} has another type in a later file, which does not fit that of the first",
                value=str(cells.type),
                where="--id",
                allowed=str(kind),
                hint="Write the files with one schema",
            ) from None

    def close(self, names: list[str]) -> None:
        """A file without rows has these columns, as text, and no row."""
        if self._writer is None:
            self._open(pa.schema([(name, pa.float64() if name == SCORE else pa.string()) for name in names]))
        self._writer.close()

    def _open(self, schema: Any) -> None:
        self._schema = schema
        if self._csv:
            self._writer = pa_csv.CSVWriter(
                self._path, schema, write_options=pa_csv.WriteOptions(quoting_style="needed")
            )
        else:
            self._writer = pq.ParquetWriter(self._path, schema)

    def abandon(self) -> None:
        """Give the file back to the system, whatever is in it."""
        if self._writer is not None:
            self._writer.close()


@contextmanager
def score_file(path: Path, names: list[str]) -> Iterator[ScoreFile]:
    """A file that is there, whole, when the block has ended well, and not at all otherwise."""
    with atomic_path(path) as temporary:
        file = ScoreFile(temporary, path.suffix.lower() == ".csv")
        try:
            yield file
        except BaseException:
            file.abandon()
            raise
        file.close(names)
