"""Text files: values exact, lines told right, compressed streams read whole or refused."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrec_nni.data.sources import text
from nasrec_nni.data.sources.base import Meter
from nasrec_nni.data.sources.blocks import NotPlainError
from nasrec_nni.data.sources.opening import opened
from nasrec_nni.data.sources.records import Layout, locate, records
from nasrec_nni.data.sources.text import batches
from nasrec_nni.data.sources.values import Place, numbers
from nasrec_nni.errors import UserError

TWO = Layout(("a", "b"), ",")


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


def read(path: Path, layout: Layout = TWO, **options: Any) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for batch in batches(path, layout, layout.names, **options):
        rows += map(list, zip(*(column.to_pylist() for column in batch.columns), strict=True))
    return rows


def slowly(data: bytes, layout: Layout) -> list[tuple[int, list[str]]]:
    """Records and the line each begins on, by Python's reader alone."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")
    quoting = csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=layout.delimiter, quoting=quoting)
    found, begin = [], 1
    for record in reader:
        if record:
            found.append((begin, record))
        begin = reader.line_num + 1
    return found


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([b"a", b"1,", b",", b'"', b"\n", b"\r\n", b"\r", b"x\n", b"\xc3\xa9", b"\xff"])),
    st.booleans(),
    st.integers(1, 9),
    st.integers(0, 12),
)
def test_any_record_is_found_as_if_read_from_the_start(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], quoted: bool, step: int, skip: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "random.csv"
    data = b"".join(pieces)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or not data:
        return
    path.write_bytes(data)
    layout = Layout((), ",", quoted=quoted)
    expected = slowly(data, layout)
    assert list(records(path, layout, step=step)) == expected
    assert list(records(path, layout, skip, step=step)) == expected[skip:]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "1", ",", ",", '"', '""', "\n", "\n", "\r\n", " ", "é"]), max_size=40), st.booleans()
)
def test_the_two_readers_see_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str], quoted: bool
) -> None:
    """A line is told by Python's reader for a row that pyarrow read: both must cut alike."""
    path = tmp_path_factory.getbasetemp() / "alike.csv"
    data = ("a,b\n" + "".join(pieces)).encode()
    path.write_bytes(data)
    layout = Layout(("a", "b"), quoted=quoted)
    rows = [record for _, record in slowly(data, layout)][1:]
    told = None
    try:
        found = read(path, layout)
    except UserError as error:
        told = error.what
    if told is not None:
        assert "quote is opened" in told or any(len(row) != 2 for row in rows)
        return
    assert found == [[cell or None for cell in row] for row in rows]


PLAIN_LINE = st.lists(st.sampled_from(["", "1", "2.5", "x", "é", "N A", "-3", '"', "\ufeff"]), min_size=2, max_size=2)


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(st.one_of(PLAIN_LINE.map(",".join), st.just("")), max_size=40),
    end=st.sampled_from(["\n", "\r\n"]),
    quoted=st.booleans(),
    size=st.integers(16, 90),
    last_end=st.booleans(),
)
def test_blocks_give_the_rows_of_the_stream(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str, quoted: bool, size: int, last_end: bool
) -> None:
    """Wherever blocks are cut, and wherever a quote makes the reader go on as a stream."""
    path = tmp_path_factory.mktemp("blocks") / "log.csv"
    path.write_text("a,b" + end + end.join(lines) + (end if last_end else ""), encoding="utf-8", newline="")
    layout = Layout(("a", "b"), ",", quoted=quoted)

    def read(block: int) -> list[tuple[Any, Any]] | str:
        with patch.object(text, "BLOCK", block), patch.object(text, "STREAMED", max(block, 60)):
            try:
                found = list(batches(path, layout, ["b"], ["a"]))
            except UserError as error:
                return error.message
        cells = [(batch["a"], batch["b"]) for batch in found]
        numbers_ = [value for column, _ in cells for value in numbers_of(column)]
        return list(zip(numbers_, [value for _, column in cells for value in column.to_pylist()], strict=True))

    def numbers_of(column: Any) -> list[str | None]:
        return [None if value is None else str(value).removesuffix(".0") for value in column.to_pylist()]

    with patch.object(text, "blocks", side_effect=NotPlainError):
        streamed = read(1 << 24)
    assert read(size) == read(1 << 24) == streamed


def test_the_line_of_a_late_row_is_found_fast(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"a,b\n" + b"1,x\n" * 3_000_000 + b'2,"y\nz"\n\n3,w\n')
    assert locate(path, TWO, 3_000_000) == (3_000_002, ["2", "y\nz"])
    assert locate(path, TWO, 3_000_001) == (3_000_005, ["3", "w"])


def test_categories_come_as_written(tmp_path: Path) -> None:
    values = [
        "007",
        "7",
        "7.0",
        "1e3",
        "9007199254740993",
        "NA",
        "null",
        "NaN",
        "-0",
        " x ",
        "é",
        "e\u0301",
        "🦎",
        "\t",
    ]
    path = tmp_path / "log.csv"
    path.write_text("a,b\n" + "".join(f"{value},1\n" for value in values), encoding="utf-8")
    found = list(batches(path, TWO, ["a"], ["b"]))
    assert found[0].schema.names == ["a", "b"]
    assert found[0]["a"].type == pa.dictionary(pa.int32(), pa.string())
    assert found[0]["b"].type == pa.float64()
    assert found[0]["a"].to_pylist() == values


def test_empty_fields_and_words_are_null(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('a,b\n,\n"",NA\nNA,0\n')
    assert read(path) == [[None, None], [None, "NA"], ["NA", "0"]]
    assert read(path, missing=["NA"]) == [[None, None], [None, None], [None, "0"]]


@pytest.mark.parametrize("text", ["1,x\n2,y", "1,x\r\n2,y\r\n", "1,x\r2,y\r", "\n1,x\n\n\n2,y\n\n"])
def test_line_ends_and_blank_lines_lose_no_row(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(text.encode())
    assert read(path, Layout(("a", "b"), header=False)) == [["1", "x"], ["2", "y"]]


def test_quotes(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('a,b\n"x\ny","1,5"\n"say ""hi""",5" screen\n')
    assert read(path) == [["x\ny", "1,5"], ['say "hi"', '5" screen']]


@pytest.mark.parametrize("where", ["middle", "last cell", "label"])
def test_an_open_quote_is_told_where_it_opens(tmp_path: Path, where: str) -> None:
    lines = ["a,b", *["1,x"] * 20]
    lines[12] = {"middle": '"1,x', "last cell": '1,"x', "label": '1,"'}[where]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"log\.csv:13: (a quote is opened|a row has another number)"):
        read(path)


def test_an_open_quote_in_a_column_that_nobody_reads(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('a,b\n1,x\n2,"y\n3,z\n')
    with pytest.raises(UserError, match=r"log\.csv:3: a quote is opened and never closed"):
        list(batches(path, TWO, ["a"]))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (" 5 ", 5),
        ("+5", 5),
        ("-0", 0),
        (".5", 0.5),
        ("5.", 5),
        ("1E3", 1000),
        ("\u00a05", 5),
        ("1e-400", 0),
        ('"5"', 5),
        ("", np.nan),
    ],
)
def test_numbers_that_are_written_oddly(tmp_path: Path, cell: str, value: float) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f"a,b\n1,x\n{cell},x\n3,x\n", encoding="utf-8")
    batch = next(iter(batches(path, TWO, ["b"], ["a"])))
    np.testing.assert_array_equal(numbers(batch["a"], "a", Place(path, 0, TWO)), [1, value, 3])


NOT_NUMBERS = ["1e400", "nan", "NaN", "inf", "-Infinity", "0x10", "1_000", "1 000", "1.000;5", "0,5", "5%", "$5", "€5"]
NOT_NUMBERS += ["5e", "12abc", "--5", "+-5", "   ", "true", "2014-10-21", "1/2", "O", "-", "?"]


@pytest.mark.parametrize("cell", NOT_NUMBERS)
def test_what_is_no_number_has_its_line(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(f'a,b\n1,x\n\n2,x\n"{cell}",x\n', encoding="utf-8")
    batch = next(iter(batches(path, TWO, ["b"], ["a"])))
    with pytest.raises(UserError) as caught:
        numbers(batch["a"], "a", Place(path, 0, TWO))
    assert f"log.csv:5: column 'a' is numeric, and this is not a number, got {cell!r}" in caught.value.message


def test_a_bad_number_in_a_late_block_loses_no_row_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasrec_nni.data.sources.text.BLOCK", 1 << 12)
    path = tmp_path / "log.csv"
    rows = [f"{row},v{row}" for row in range(5000)]
    rows[4000] = "4000 ,v4000"
    rows[4500] = "oops,v4500"
    path.write_text("a,b\n" + "\n".join(rows) + "\n")
    values: list[str] = []

    def go() -> None:
        for batch in batches(path, TWO, ["b"], ["a"]):
            found = numbers(batch["a"], "a", Place(path, len(values), TWO))
            assert found.tolist() == list(range(len(values), len(values) + len(found)))
            values.extend(batch["b"].to_pylist())

    with pytest.raises(UserError, match=r"log\.csv:4502: .* got 'oops'"):
        go()
    assert values == [f"v{row}" for row in range(len(values))]
    assert len(values) > 4000


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_compressed_text(tmp_path: Path, pack: Any) -> None:
    path = tmp_path / "log"
    text = "a,b\n" + "".join(f"{row},x\n" for row in range(2000))
    whole = pack(text.encode())
    path.write_bytes(whole)
    assert len(read(path)) == 2000
    path.write_bytes(whole + pack(b"9,z\n"))  # as `cat` joins files
    assert read(path)[-1] == ["9", "z"]
    meter = Meter()
    assert len(read(path, meter=meter)) == 2001
    assert meter.done == path.stat().st_size
    for cut in (len(whole) - 1, len(whole) // 2, 12):
        path.write_bytes(whole[:cut])
        with pytest.raises(UserError, match="compressed data ends early"):
            read(path)


def test_damaged_and_empty_compressed_text(tmp_path: Path) -> None:
    path = tmp_path / "log.csv.gz"
    random = np.random.default_rng(0).integers(0, 10**9, 5000)
    whole = bytearray(gzip.compress(("a,b\n" + "".join(f"{n},x\n" for n in random)).encode()))
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(UserError, match="compressed data is damaged"):
        read(path)
    path.write_bytes(gzip.compress(b"a,b\n1,x\n") + b"rubbish")
    with pytest.raises(UserError, match="compressed data is damaged"):
        read(path)
    path.write_bytes(gzip.compress(b""))
    assert read(path) == []


def test_zero_bytes_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"a,b\n1,x\n2,y\0\n")
    with pytest.raises(UserError, match=r"log\.csv:3: a zero byte in the text"):
        read(path)


def test_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes("a,b\n1,x\n2,Jos\u00e9\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"log\.csv:3: not utf-8 text, got 'byte 0xe9'"):
        read(path)
    assert len(read(path, Layout(("a", "b"), encoding="latin-1"))) == 2


def test_a_cell_of_many_letters(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("a,b\n1," + "x" * 3_000_000 + "\n2,y\n")
    assert [len(row[1]) for row in read(path)] == [3_000_000, 1]
    assert locate(path, TWO, 1) == (3, ["2", "y"])


def test_a_row_longer_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasrec_nni.data.sources.text.BLOCK", 1 << 20)
    monkeypatch.setattr("nasrec_nni.data.sources.text.STREAMED", 1 << 20)
    path = tmp_path / "log.csv"
    path.write_text("a,b\n1,x\n2," + "x" * 5_000_000 + "\n3,y\n")
    with pytest.raises(UserError, match=r"log\.csv:3: a row of more than 1 MB"):
        read(path)


def test_a_stream_says_how_the_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"a" * 10_000 + b"\nend")
    with opened(path) as stream:
        stream.read(1 << 20)
        stream.read(1 << 20)
        assert stream.tail.endswith(b"\nend")


def test_an_open_quote_before_much_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasrec_nni.data.sources.text.STREAMED", 1 << 20)
    monkeypatch.setattr("nasrec_nni.data.sources.records.LONGEST", 1 << 20)
    path = tmp_path / "log.csv"
    path.write_text('a,b\n1,x\n2,"x\n' + "3,y\n" * 1_000_000)
    with pytest.raises(UserError, match=r"log\.csv:3: a field of more than 1 MB.*quote"):
        read(path)
