"""Delimited text through pyarrow, straight into typed columns, every fault told with its line."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from nasrec_nni.data.prefetch import in_parallel
from nasrec_nni.data.sources.base import Meter
from nasrec_nni.data.sources.blocks import NotPlainError, blocks
from nasrec_nni.data.sources.opening import opened
from nasrec_nni.data.sources.records import OPEN_QUOTE, Layout, records, refuse_open_quote
from nasrec_nni.errors import UserError

BLOCK = 1 << 24  # bytes of text parsed at a time where it can be cut at line ends
STREAMED = 1 << 23  # the same where it cannot; the longest row
MARK = b"\xef\xbb\xbf"
CATEGORY = pa.dictionary(pa.int32(), pa.string())


def batches(
    path: Path,
    layout: Layout,
    categories: Sequence[str],
    numbers: Sequence[str] = (),
    *,
    plain: bool = False,
    missing: Sequence[str] = (),
    meter: Meter | None = None,
) -> Generator[Any, None, None]:
    """Record batches of the columns asked for; an empty field is null.

    A column of numbers is float64. If a cell of it is none, it comes as strings from that batch on, so that whoever
    turns them into numbers tells the row.

    Args:
        path: text, plain or compressed.
        layout: how it is cut.
        categories: columns wanted as dictionary<int32, string>.
        numbers: columns wanted as numbers.
        plain: categories as strings.
        missing: words that are null beside the empty field.
        meter: is moved on.

    Raises:
        UserError: a row with another number of fields, text of another encoding, a file that cannot be read.
    """
    text = pa.string() if plain else CATEGORY
    last = layout.names[-1]
    watched = () if not layout.quoted or last in categories or last in numbers else (last,)
    types = dict.fromkeys((*categories, *watched), text) | dict.fromkeys(numbers, pa.float64())
    untyped = types | dict.fromkeys(numbers, text)
    plain_text, typed, done = True, True, 0
    begin = meter.done if meter else 0
    while True:
        if meter:
            meter.done = begin
        try:
            if plain_text:
                found = _in_blocks(path, layout, types, untyped, missing, meter)
            else:
                found = _streamed(path, layout, types if typed else untyped, missing, meter)
            with closing(found), closing(_behind(0 if plain_text else done, found)) as rest:
                for batch in rest:
                    done += len(batch)
                    yield batch
            return
        except NotPlainError:
            plain_text = False
        except pa.ArrowInvalid as error:
            if next(records(path, layout, done + layout.header), None) is None:
                return  # nothing, or a header and nothing
            if not typed or "conversion error to double" not in str(error):
                raise _told(path, layout, done, error) from None
            typed = False


def _behind(rows: int, found: Iterator[Any]) -> Generator[Any, None, None]:
    """What follows the first `rows` rows. Arrow's own way of skipping counts blank lines as rows."""
    for batch in found:
        passed = min(rows, len(batch))
        rows -= passed
        if passed < len(batch):
            yield batch.slice(passed)


def _reading(layout: Layout, size: int, header: bool) -> Any:
    return pa_csv.ReadOptions(
        block_size=size,
        column_names=list(layout.names),
        skip_rows=int(header),
        encoding=layout.encoding,
        use_threads=False,  # blocks have their threads, and a stream gains nothing from more
    )


def _parsing(layout: Layout) -> Any:
    return pa_csv.ParseOptions(
        delimiter=layout.delimiter,
        quote_char='"' if layout.quoted else False,
        newlines_in_values=layout.quoted,
    )


def _converting(types: dict[str, Any], missing: Sequence[str]) -> Any:
    return pa_csv.ConvertOptions(
        column_types=types, include_columns=list(types), null_values=["", *missing], strings_can_be_null=True
    )


def _in_blocks(
    path: Path,
    layout: Layout,
    types: dict[str, Any],
    untyped: dict[str, Any],
    missing: Sequence[str],
    meter: Meter | None,
) -> Generator[Any, None, None]:
    """All rows. Raises NotPlainError behind those before the first that cannot be read so."""
    parsing, converting = _parsing(layout), _converting(types, missing)

    def parse(item: tuple[int, bytes]) -> Any:
        number, block = item
        if number and block.startswith(MARK):  # Arrow takes it for the mark of a file and drops it
            raise NotPlainError
        reading = _reading(layout, len(block) + 1, layout.header and not number)
        try:
            try:
                found = pa_csv.read_csv(pa.BufferReader(block), reading, parsing, converting)
            except pa.ArrowInvalid as error:
                if "conversion error to double" not in str(error):
                    raise
                found = pa_csv.read_csv(pa.BufferReader(block), reading, parsing, _converting(untyped, missing))
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return []
            raise
        return found.to_batches()

    with (
        opened(path, meter) as stream,
        closing(in_parallel(enumerate(blocks(stream, BLOCK, layout.quoted)), parse)) as parsed,
    ):
        for some in parsed:
            yield from some


def _streamed(
    path: Path, layout: Layout, types: dict[str, Any], missing: Sequence[str], meter: Meter | None
) -> Generator[Any, None, None]:
    """All rows, line ends within quotes included."""
    reading = _reading(layout, STREAMED, layout.header)
    parsing, converting = _parsing(layout), _converting(types, missing)
    final, rows = None, 0
    with opened(path, meter) as stream:
        with pa_csv.open_csv(pa.PythonFile(stream, mode="r"), reading, parsing, converting) as reader:
            for batch in reader:
                rows += len(batch)
                if len(batch):
                    final = batch.slice(len(batch) - 1)
                    yield batch
        ending = stream.tail.rstrip(b"\r\n").rpartition(b"\n")[2]
    if layout.quoted and final is not None:
        last = final[layout.names[-1]][0].as_py()
        if ending.count(b'"') % 2 or (isinstance(last, str) and "\n" in last):
            refuse_open_quote(path, layout, rows - 1)


def _ragged(line: int, record: list[str], layout: Layout) -> str:
    if line == 1 and len(record) == len(layout.names) - 1:
        return "A file without clicks, such as Kaggle's test.txt, cannot be prepared"
    if len(record) == len(layout.names) + 1 and not record[-1]:
        return "It ends with a delimiter: if all rows do, name that column in the header too"
    return "Mend or remove that line; at the end of a file it means that the copy stopped there"


def _told(path: Path, layout: Layout, done: int, error: Exception) -> UserError:
    """The error of the first row behind `done` that has one."""
    expected = len(layout.names)
    for line, record in records(path, layout, done + layout.header):
        where = f"{path}:{line}"
        if len(record) != expected:
            return UserError(
                "a row has another number of fields",
                value=f"{len(record)} fields",
                where=where,
                allowed=f"{expected} fields",
                hint=_ragged(line, record, layout),
            )
        try:
            "".join(record).encode()
        except UnicodeEncodeError as found:
            byte = ord(found.object[found.start]) - 0xDC00
            return UserError(
                f"not {layout.encoding} text", value=f"byte 0x{byte:02x}", where=where, hint="Save it as UTF-8"
            )
        if sum(map(len, record)) > STREAMED:
            return UserError(
                f"a row of more than {STREAMED >> 20} MB",
                where=where,
                hint=OPEN_QUOTE,
            )
    return UserError(
        f"cannot be parsed ({str(error).splitlines()[0][:200]})",
        where=str(path),
        hint="Check quotes, delimiter and encoding (UTF-8)",
    )
