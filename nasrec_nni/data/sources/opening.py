"""Files at rest as bytes: what a file is by its first bytes, decompressed, every fault told."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from nasrec_nni.data.sources.base import Meter
from nasrec_nni.errors import UserError

Kind = Literal["text", "gzip", "zstd", "parquet"]

READ: dict[bytes, Kind] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PAR1": "parquet"}
NAMED: dict[str, Kind] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".parquet": "parquet", ".pq": "parquet"}
REFUSED = {
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "Unpack it, or save it as CSV"),
    b"BZh91AY&SY": ("compressed by bzip2", "Unpack it, or compress it with gzip or zstd"),
    b"\xfd7zXZ\x00": ("compressed by xz", "Unpack it, or compress it with gzip or zstd"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "Unpack it"),
    b"\xd0\xcf\x11\xe0": ("a spreadsheet", "Save it as CSV"),
    b"ARROW1\x00\x00": ("an Arrow file", "Save it as Parquet"),
    b"\x89HDF": ("an HDF5 file", "Save it as Parquet or CSV"),
    b"SQLite format 3": ("a SQLite database", "Save the table as CSV"),
    b"\xff\xfe": ("UTF-16 text", "Save it as UTF-8"),
    b"\xfe\xff": ("UTF-16 text", "Save it as UTF-8"),
}
COUNTING = 1 << 20  # bytes looked at at a time where a line is counted


def kind_of(path: Path) -> Kind:
    """What the file is, told by its first bytes.

    Raises:
        UserError: it cannot be read, is of no kind that can be read, or is not what its name says.
    """
    try:
        mode = path.stat().st_mode  # before it is opened: a pipe would wait for its writer
        if stat.S_ISDIR(mode):
            raise UserError("is a folder", where=str(path), hint="Name a file")
        if not stat.S_ISREG(mode):
            raise UserError("not a file at rest", where=str(path), hint="Copy the data to a file: it is read twice")
        with path.open("rb") as stream:
            start = stream.read(16)
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=str(path), hint="Name a file") from None
    for magic, (what, hint) in REFUSED.items():
        if start.startswith(magic):
            raise UserError(f"this is {what}", where=str(path), allowed="text, gzip, zstd or Parquet", hint=hint)
    found: Kind = next((kind for magic, kind in READ.items() if start.startswith(magic)), "text")
    named = NAMED.get(path.suffix.lower())
    if not start:
        raise UserError("the file is empty", where=str(path), hint="Name a file with rows")
    if named and named != found:
        raise UserError(
            f"not {named}, though its name ends in {path.suffix}",
            value=found,
            where=str(path),
            hint="Rename it if it is whole, or copy it again",
        )
    return found


class ByteStream(io.RawIOBase):
    """Decompressed bytes of a text file, in order; a fault of the file raises UserError.

    Attributes:
        tail: the last bytes given out, for looks at how the file ends.
    """

    def __init__(self, path: Path, meter: Meter | None = None) -> None:
        super().__init__()
        self._path = path
        self._kind = kind_of(path)
        if self._kind == "parquet":
            raise UserError("this is Parquet, where text is expected", where=str(path))
        self._file = path.open("rb", buffering=0)
        self._stream: Any = self._file
        if self._kind != "text":
            self._stream = pa.CompressedInputStream(pa.PythonFile(self._file, mode="r"), self._kind)
        self._meter = meter
        self._before = meter.done if meter else 0
        self._given = 0
        self.tail = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        try:
            data: bytes = self._stream.read(None if size < 0 else size)
        except OSError as error:
            raise self._told(error) from None
        if self._meter:
            self._meter.done = self._before + self._file.tell()
        if b"\0" in data:
            raise UserError(
                "a zero byte in the text",
                where=f"{self._path}:{self._line(self._given + data.index(0))}",
                hint="The file is damaged, or not UTF-8 (UTF-16?): save it as UTF-8 or copy it again",
            )
        self._given += len(data)
        self.tail = data[-4096:] or self.tail
        return data

    def close(self) -> None:
        self._file.close()
        super().close()

    def _told(self, error: OSError) -> UserError:
        text = str(error)
        if "runcated" in text:
            return UserError(
                "compressed data ends early", where=str(self._path), hint="The copy is cut: fetch it again"
            )
        if self._kind == "text":
            return UserError(f"cannot be read ({error.strerror})", where=str(self._path))
        return UserError(
            f"compressed data is damaged ({text.splitlines()[0]})", where=str(self._path), hint="Fetch it again"
        )

    def _line(self, offset: int) -> int:
        """The line of a byte."""
        with self._path.open("rb", buffering=0) as file:
            kind = self._kind
            stream: Any = file if kind == "text" else pa.CompressedInputStream(pa.PythonFile(file, mode="r"), kind)
            line = 1
            while offset > 0:
                data = stream.read(min(COUNTING, offset))
                line += data.count(b"\n") or data.count(b"\r")
                offset -= len(data)
        return line


@contextmanager
def opened(path: Path, meter: Meter | None = None) -> Iterator[ByteStream]:
    """A stream, closed behind the block."""
    stream = ByteStream(path, meter)
    try:
        yield stream
    finally:
        stream.close()


def lines(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """Number and text of each line of a small file, without its end. Raises UserError for another encoding."""
    with opened(path) as stream:
        for number, line in enumerate(io.BytesIO(stream.read()), 1):
            try:
                yield number, line.decode("utf-8-sig" if encoding == "utf-8" else encoding).rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise UserError(
                    f"not {encoding} text ({error.reason})", where=f"{path}:{number}", hint="Save it as UTF-8"
                ) from None
