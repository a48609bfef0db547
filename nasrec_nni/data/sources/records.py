"""The slow and exact reader: each record of a text file with its line, for headers and for errors.

Rows before the one asked for are passed over in blocks of bytes where a block says by itself how many it holds.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nasrec_nni.data.sources.opening import ByteStream, opened
from nasrec_nni.errors import UserError

OPEN_QUOTE = "Look for a quote that is opened there and never closed; if quotes mean nothing: --no-quotes"
STEP = 1 << 20  # bytes looked at at a time
MARK = b"\xef\xbb\xbf"  # byte order mark of UTF-8
LONGEST = 1 << 24  # characters of a field; a longer one is an open quote


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


class _Feed:
    """Lines of a file, one by one, or skipped by the block.

    Attributes:
        line: how many were given out or skipped.
    """

    def __init__(self, stream: ByteStream, layout: Layout, step: int) -> None:
        self._layout = layout
        self._blocks = _blocks(stream, step, layout.encoding)
        self._lines: Iterator[bytes] | None = None
        self._waiting: bytes | None = None
        self._left = 0  # lines of the block not yet given out
        self.line = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self._left:
            block = self._waiting if self._waiting is not None else next(self._blocks)
            self._waiting = None
            pieces = block.splitlines(keepends=True)
            self._left = len(pieces)
            self._lines = iter(pieces)
        assert self._lines is not None
        self._left -= 1
        self.line += 1
        return next(self._lines).decode(self._layout.encoding, "surrogateescape")

    def skip(self, most: int) -> int:
        """Pass over whole blocks of at most so many records; returns how many they held."""
        passed = 0
        while not self._left:
            block = self._waiting if self._waiting is not None else next(self._blocks, None)
            self._waiting = block
            held = None if block is None else _plain_records(block, self._layout.quoted)
            if held is None or passed + held > most:
                break
            passed += held
            self.line += held
            self._waiting = None
        return passed


def _blocks(stream: ByteStream, step: int, encoding: str) -> Iterator[bytes]:
    """Bytes that end with a line."""
    rest, first = b"", encoding == "utf-8"
    while data := stream.read(step):
        data = rest + data
        if first and len(data) < len(MARK):
            rest = data
            continue
        if first:
            data, first = data.removeprefix(MARK), False
        cut = data.rfind(b"\n") + 1 or data.rfind(b"\r", 0, -1) + 1
        rest = data[cut:]
        if cut:
            yield data[:cut]
    if first:
        rest = rest.removeprefix(MARK)
    if rest:
        yield rest


def _plain_records(block: bytes, quoted: bool) -> int | None:
    """How many records a block of whole lines holds, or None where that needs a parser: a quote, a blank line."""
    if (quoted and b'"' in block) or block.startswith((b"\n", b"\r\n")) or b"\n\n" in block:
        return None
    if b"\r" in block and (b"\n\r\n" in block or block.count(b"\r") != block.count(b"\r\n")):
        return None
    return block.count(b"\n") + (not block.endswith(b"\n"))


def records(
    path: Path, layout: Layout, skip: int = 0, *, strict: bool = False, step: int = STEP
) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not a blank line, with the line it begins on.

    Bytes of another encoding come as lone surrogates.

    Args:
        path: text, plain or compressed.
        layout: how it is cut.
        skip: records to pass over, the header being one.
        strict: a quote that nobody closes is an error.
        step: bytes looked at at a time.

    Raises:
        UserError: the file cannot be read or cut.
    """
    csv.field_size_limit(LONGEST)  # 128 KB otherwise
    with opened(path) as stream:
        feed = _Feed(stream, layout, step)
        reader = csv.reader(
            feed,
            delimiter=layout.delimiter,
            quoting=csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE,
            strict=strict,
        )
        seen = feed.skip(skip)
        begin = feed.line + 1
        try:
            for record in reader:
                if record:
                    seen += 1
                    if seen > skip:
                        yield begin, record
                if seen < skip:
                    seen += feed.skip(skip - seen)
                begin = feed.line + 1
        except csv.Error as error:
            if "field larger" in str(error):
                what = f"a field of more than {LONGEST >> 20} MB"
                raise UserError(what, where=f"{path}:{begin}", hint=OPEN_QUOTE) from None
            raise UserError(f"cannot be parsed ({error})", where=f"{path}:{begin}") from None


def locate(path: Path, layout: Layout, row: int) -> tuple[int, list[str]]:
    """Line and fields of data row `row`; 0 is the first."""
    found = next(records(path, layout, row + layout.header), None)
    if found is None:
        raise ValueError(f"{path} has no row {row}")
    return found


def refuse_open_quote(path: Path, layout: Layout, row: int) -> None:
    """Raise UserError if a quote in that data row is never closed: it swallows the rest of the file."""
    try:
        for _ in records(path, layout, row + layout.header, strict=True):
            return
    except UserError as error:
        if "unexpected end" in error.what:
            raise UserError(
                "a quote is opened and never closed",
                where=error.where,
                hint="Close it, or double it; if quotes mean nothing in this file: --no-quotes",
            ) from None
