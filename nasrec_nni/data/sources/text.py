"""Delimited text through pyarrow, every fault told with its line."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from nasrec_nni.errors import UserError

GZIP = b"\x1f\x8b"
BLOCK = 1 << 24  # bytes of text parsed at a time
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Layout:
    """How a text file is cut.

    Attributes:
        names: of all columns, in order.
        delimiter: one character.
        quoted: fields may stand in double quotes.
        header: the first line names the columns.
        encoding: of the text.
    """

    names: Sequence[str]
    delimiter: str = ","
    quoted: bool = True
    header: bool = True
    encoding: str = "utf-8"


def open_binary(path: Path) -> IO[bytes]:
    """Plain or gzip, told by the first bytes. Raises UserError for what is neither what it is named nor readable."""
    try:
        with path.open("rb") as stream:
            gzipped = stream.read(2) == GZIP
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=str(path), hint="Name a file") from None
    if path.suffix == ".gz" and not gzipped:
        raise UserError(
            "not gzip, though its name ends in .gz",
            where=str(path),
            hint="Rename it if it is plain text, or copy again",
        )
    return cast(IO[bytes], gzip.open(path) if gzipped else path.open("rb"))


@contextmanager
def _faults_told(path: Path) -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise UserError("compressed data ends early", where=str(path), hint="The copy is cut: fetch it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"compressed data is damaged ({error})", where=str(path), hint="Fetch it again") from None


@contextmanager
def open_text(path: Path, encoding: str = "utf-8") -> Iterator[IO[str]]:
    """Text without its byte order mark; read faults become UserErrors."""
    name = "utf-8-sig" if encoding == "utf-8" else encoding
    with _faults_told(path), open_binary(path) as raw, io.TextIOWrapper(raw, name, newline="") as stream:
        try:
            yield stream
        except UnicodeDecodeError as error:
            raise UserError(
                f"not {encoding} text ({error.reason})", where=str(path), hint="Save it as UTF-8 and try again"
            ) from None


def records(path: Path, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it ends on, by Python's slow reader: for headers and for errors."""
    with open_text(path, layout.encoding) as stream:
        reader = csv.reader(
            stream, delimiter=layout.delimiter, quoting=csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE
        )
        try:
            for record in reader:
                yield reader.line_num, record
        except csv.Error as error:
            raise UserError(f"cannot be parsed ({error})", where=f"{path}:{reader.line_num}") from None


def data_line(path: Path, layout: Layout, row: int) -> int:
    """The line of data row `row` (0 is the first); blank lines are counted, not read."""
    seen = -1 - layout.header
    for line, record in records(path, layout):
        seen += bool(record)
        if seen == row:
            return line
    raise ValueError(f"{path} has no row {row}")


def batches(path: Path, layout: Layout) -> Iterator[Any]:
    """Record batches of strings; an empty field is null.

    Raises:
        UserError: a row with another number of fields, text of another encoding, damaged compression.
    """
    reading = pa_csv.ReadOptions(
        block_size=BLOCK, column_names=list(layout.names), skip_rows=int(layout.header), encoding=layout.encoding
    )
    parsing = pa_csv.ParseOptions(
        delimiter=layout.delimiter,
        quote_char='"' if layout.quoted else False,
        newlines_in_values=layout.quoted,
    )
    converting = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(layout.names, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
    )
    with _faults_told(path), open_binary(path) as raw:
        try:
            with pa_csv.open_csv(pa.PythonFile(raw, mode="r"), reading, parsing, converting) as reader:
                last = None
                for batch in reader:
                    last = batch.slice(len(batch) - 1) if len(batch) else last
                    yield batch
            _refuse_open_quote(path, layout, last)
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return
            _tell(path, layout)
            raise UserError(
                f"cannot be parsed ({_short(error)})",
                where=str(path),
                hint="Check quotes, delimiter and encoding (UTF-8)",
            ) from None


def _refuse_open_quote(path: Path, layout: Layout, last: Any) -> None:
    """Raise if a quote that nobody closed has swallowed the end of the file; pyarrow takes it for one long cell."""
    if last is None or not any("\n" in str(column[0].as_py()) for column in last.columns):
        return
    with open_text(path, layout.encoding) as stream:
        reader = csv.reader(stream, delimiter=layout.delimiter, strict=True)
        begin = 1
        try:
            for _ in reader:
                begin = reader.line_num + 1
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise UserError(
                    "a quote is opened and never closed", where=f"{path}:{begin}", hint="Close it, or double it"
                ) from None


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:200]


def _tell(path: Path, layout: Layout) -> None:
    """Raise the error of the first ragged row; return if there is none."""
    expected = len(layout.names)
    for line, record in records(path, layout):
        if record and len(record) != expected:
            raise UserError(
                "a row has another number of fields",
                value=f"{len(record)} fields",
                where=f"{path}:{line}",
                allowed=f"{expected} fields",
                hint="Mend or remove that line; at the end of a file it means that the copy stopped there",
            )


def numbers(column: Any, name: str, path: Path, layout: Layout, first: int, hint: str) -> NDArray[np.float64]:
    """Strings to `[n]` float64, NaN for null.

    Args:
        column: Arrow strings.
        name: of the column, for errors.
        path: for errors.
        layout: for errors.
        first: data row of the first cell.
        hint: what to do about a cell that is no number.

    Raises:
        UserError: a cell is not a finite number that float32 can hold.
    """
    try:
        found: NDArray[np.float64] = (
            pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
        )
    except pa.ArrowInvalid:
        found = np.array([_number(text) for text in column.to_pylist()])
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(found) <= LARGEST) & column.is_valid().to_numpy(zero_copy_only=False)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise UserError(
            f"column {name!r} is numeric, and this is not a number",
            value=column[row].as_py(),
            where=f"{path}:{data_line(path, layout, first + row)}",
            allowed=f"a finite number within ±{LARGEST:.1e}, or an empty field",
            hint=hint,
        )
    return found


def _number(text: str | None) -> float:
    if text is None:
        return float("nan")
    try:
        return pc.cast(pa.scalar(text), pa.float64()).as_py()  # type: ignore[no-any-return]
    except pa.ArrowInvalid:
        return float("nan")


def labels(column: Any, name: str, path: Path, layout: Layout, first: int) -> NDArray[np.float32]:
    """Strings to `[n]` float32 of 0 and 1. Raises UserError with the line of anything else."""
    words = pc.index_in(column, value_set=pa.array(["0", "1", "0.0", "1.0"]))
    if words.null_count:
        row = int(np.flatnonzero(words.is_null().to_numpy(zero_copy_only=False))[0])
        raise UserError(
            f"label {name!r} is not a click or none",
            value=column[row].as_py() or "",
            where=f"{path}:{data_line(path, layout, first + row)}",
            allowed="0 or 1",
            hint="Mend that line, or name another label column",
        )
    found: NDArray[np.float32] = (words.to_numpy() % 2).astype(np.float32)
    return found
