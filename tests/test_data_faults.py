"""What people's files do: each is refused with one clear message and nothing left behind, or read right."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.data.sources import table
from nasrec_nni.errors import UserError

ROLES: dict[str, Any] = {"label": "click", "numeric": ["n"], "categorical": ["c"]}
HEADER = "click,n,c"
ROWS = [f"{row % 2},{row},{'ab'[row // 2 % 2]}" for row in range(24)]


def text(*, header: str = HEADER, rows: list[str] | None = None, end: str = "\n", **changed: str) -> bytes:
    """A good file; `line7="..."` replaces its seventh line."""
    lines = [header, *(ROWS if rows is None else rows)]
    for name, line in changed.items():
        lines[int(name.removeprefix("line")) - 1] = line
    return (end.join(lines) + end).encode()


def parquet(**columns: Any) -> bytes:
    """A good file; a column given replaces the good one."""
    good: dict[str, Any] = {
        "click": [row % 2 for row in range(24)],
        "n": [float(row) for row in range(24)],
        "c": ["ab"[row // 2 % 2] for row in range(24)],
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(good | columns), sink)
    return sink.getvalue()


def at(row: int, value: Any, good: Any = 1) -> list[Any]:
    return [value if index == row else good for index in range(24)]


def placed(tmp_path: Path, files: dict[str, bytes] | bytes) -> list[Path]:
    folder = tmp_path / "in"
    folder.mkdir()
    found = {"log.csv": files} if isinstance(files, bytes) else files
    for name, content in found.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in found]


def refused(tmp_path: Path, inputs: list[Path], source: str = "table", **options: Any) -> str:
    """The message; nothing may be left behind."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as caught:
        prepare(source, inputs, tmp_path / "out", (ROLES if source == "table" else {}) | options, progress=False)
    assert sorted(tmp_path.rglob("*")) == before
    assert len(caught.value.message) < 1200
    return caught.value.message


def made(tmp_path: Path, files: dict[str, bytes] | bytes, source: str = "table", **options: Any) -> PreparedSet:
    roles = (ROLES | {"split": "in_order", "min_count": 1, "transform": "identity"}) if source == "table" else {}
    prepared = prepare(source, placed(tmp_path, files), tmp_path / "out", roles | options, progress=False)
    assert np.isfinite(prepared.dense).all()
    assert set(np.unique(prepared.label)) <= {0, 1}
    assert (prepared.sparse < np.array(prepared.rows_per_field)).all()
    return prepared


def values(prepared: PreparedSet, field: str = "c") -> set[str]:
    table = pq.read_table(prepared.folder / "vocabulary.parquet").to_pylist()
    return {row["value"] for row in table if row["field"] == field}


LINE = r"log\.csv:7: "
BAD_ROWS = {
    "short": ("0,5", LINE + "a row has another number of fields, got '2 fields'; allowed: 3 fields"),
    "long": ("0,5,a,b", LINE + "a row has another number of fields, got '4 fields'"),
    "open quote": ('0,5,"a', LINE + "a quote is opened and never closed"),
    "quote swallows a delimiter": ('0,"5,a', LINE + "a "),
    "mark in the middle": ("\ufeff0,5,a", LINE + "label 'click' is not a click or none"),
    "zero byte": ("0,5,a\0b", LINE + "a zero byte"),
    "decimal comma": ('0,"1,5",a', LINE + r"column 'n' is numeric, and this is not a number, got '1,5'"),
    "thousands": ("0,1 000,a", LINE + "column 'n' is numeric.*got '1 000'"),
    "thousands with commas": ('0,"1,000",a', LINE + "column 'n' is numeric.*got '1,000'"),
    "currency": ("0,€5,a", LINE + "column 'n' is numeric.*got '€5'"),
    "percent": ("0,5%,a", LINE + "column 'n' is numeric.*got '5%'"),
    "date": ("0,2014-10-21,a", LINE + "column 'n' is numeric.*got '2014-10-21'"),
    "hexadecimal": ("0,0x1F,a", LINE + "column 'n' is numeric.*got '0x1F'"),
    "fraction": ("0,1/2,a", LINE + "column 'n' is numeric.*got '1/2'"),
    "word": ("0,N/A,a", LINE + r"column 'n' is numeric.*got 'N/A'.*--missing WORD"),
    "nan": ("0,nan,a", LINE + "column 'n' is numeric.*got 'nan'"),
    "infinity": ("0,-inf,a", LINE + "column 'n' is numeric.*got '-inf'"),
    "beyond double": ("0,1e400,a", LINE + "column 'n' is numeric.*got '1e400'"),
    "beyond float": ("0,4e38,a", LINE + "column 'n' is numeric.*got '4e38'"),
    "blank number": ("0,  ,a", LINE + "column 'n' is numeric.*got '  '"),
    "arabic digits": ("0,٣,a", LINE + "column 'n' is numeric.*got '٣'"),
    "label yes": ("yes,5,a", LINE + "label 'click' is not a click or none, got 'yes'; allowed: 0 or 1"),
    "label true": ("TRUE,5,a", LINE + "label 'click' .*got 'TRUE'"),
    "label -1": ("-1,5,a", LINE + "label 'click' .*got '-1'"),
    "label fraction": ("0.5,5,a", LINE + "label 'click' .*got '0.5'"),
    "label empty": (",5,a", LINE + "label 'click' .*got ''"),
    "label quoted empty": ('"",5,a', LINE + "label 'click' .*got ''"),
    "header again": ("click,n,c", LINE + "label 'click' .*got 'click'"),
    "comment": ("# exported by a tool", LINE + "a row has another number of fields, got '1 fields'"),
    "long bad cell": (f"0,{'x' * 9999},a", LINE + "column 'n' is numeric.*x…'"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_bad_row_has_its_line(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    row, expected = BAD_ROWS[name]
    assert_match(refused(tmp_path, placed(tmp_path, pack(text(line7=row)))), expected)


def assert_match(message: str, expected: str) -> None:
    assert re.search(expected, message, re.DOTALL), message


def zipped(data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("log.csv", data)
    return sink.getvalue()


def tarred(data: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        info = tarfile.TarInfo("log.csv")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


GOOD = text()
BIG = text(rows=[f"{row % 2},{row},v{row * 7919 % 1009}" for row in range(5000)])
BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("log.csv", b"", "the file is empty"),
    "blank lines only": ("log.csv", b"\n\n\n", "the file is empty"),
    "header only": ("log.csv", text(rows=[]), "no rows in this file"),
    "header without line end": ("log.csv", HEADER.encode(), "no rows in this file"),
    "blank line first": ("log.csv", b"\n" + GOOD, r"log\.csv:1: the first line is not a header"),
    "no header": ("log.csv", GOOD.partition(b"\n")[2], r"log\.csv:1: (column name|no column 'click')"),
    "a row first": ("log.csv", text(header="1,5,a"), r"log\.csv:1: no column 'click'.*looks like a row"),
    "a row with holes first": ("log.csv", text(header="1,,a"), r"log\.csv:1: header position 2.*looks like a row"),
    "for a spreadsheet": ("log.csv", b"sep=;\n" + GOOD.replace(b",", b";"), r"log\.csv:1: .*Remove that line"),
    "JSON": ("log.json", b'{"click": 0, "n": 1, "c": "a"}\n' * 24, r"log\.json:1: no column 'click'.*like JSON"),
    "column without name": ("log.csv", text(header="click,,c"), r"log\.csv:1: header position 2 has no name"),
    "name of spaces": ("log.csv", text(header="click, ,c"), r"log\.csv:1: header position 2 has no name"),
    "name used twice": ("log.csv", text(header="click,n,n"), "'n' is used twice, at positions 2 and 3"),
    "name with a line end": ("log.csv", text(header='click,"n\nm",c'), "header position 2 has a line end"),
    "trailing delimiter": ("log.csv", text(rows=[f"{row}," for row in ROWS]), r"log\.csv:2: .*got '4 fields'"),
    "trailing delimiter in header": ("log.csv", text(header=f"{HEADER},"), "header position 4 has no name"),
    "other delimiter": ("log.csv", GOOD.replace(b",", b"~"), r"log\.csv:1: no delimiter found.*--delimiter"),
    "utf-16": ("log.csv", GOOD.decode().encode("utf-16"), "this is UTF-16 text.*Save it as UTF-8"),
    "utf-16 without mark": ("log.csv", GOOD.decode().encode("utf-16-le"), "a zero byte in the text"),
    "latin-1": ("log.csv", text(line7="0,5,José").decode().encode("latin-1"), LINE + "not utf-8 text"),
    "latin-1 header": ("log.csv", text(header="click,n,é").decode().encode("latin-1"), ":1: the header is not UTF-8"),
    "cut in a letter": ("log.csv", text(line25="1,23,é")[:-2], r"log\.csv:25: not utf-8 text"),
    "cut in a row": ("log.csv", GOOD[:-4], r"log\.csv:25: .*got '2 fields'"),
    "zip": ("log.zip", zipped(GOOD), "this is a zip archive or a spreadsheet.*Unpack"),
    "spreadsheet": ("log.xlsx", zipped(GOOD), "save it as CSV"),
    "bzip2": ("log.csv.bz2", bz2.compress(GOOD), "compressed by bzip2"),
    "xz": ("log.csv.xz", lzma.compress(GOOD), "compressed by xz"),
    "tar": ("log.tar.gz", tarred(GOOD), "a zero byte in the text"),
    "gzip by name only": ("log.csv.gz", GOOD, "not gzip, though its name ends in .gz, got 'text'"),
    "empty gzip by name": ("log.csv.gz", b"", "the file is empty"),
    "gzip of nothing": ("log.csv.gz", gzip.compress(b""), "the file is empty"),
    "gzip cut": ("log.csv.gz", gzip.compress(BIG)[:-9], "compressed data ends early"),
    "gzip cut in its head": ("log.csv.gz", gzip.compress(BIG)[:5], "compressed data ends early"),
    "gzip with a tail": ("log.csv.gz", gzip.compress(GOOD) + b"tail", "compressed data is damaged"),
    "gzip wrong sum": ("log.csv.gz", gzip.compress(GOOD)[:-8] + b"\1" * 8, "compressed data is damaged"),
    "zstd cut": ("log.csv.zst", zstd(BIG)[:-3], "compressed data ends early"),
    "zstd by name only": ("log.csv.zst", gzip.compress(GOOD), "not zstd, though its name ends in .zst, got 'gzip'"),
    "parquet by name only": ("log.parquet", GOOD, "not parquet, though its name ends in .parquet"),
    "parquet in gzip's name": ("log.gz", parquet(), "not gzip, though its name ends in .gz, got 'parquet'"),
    "parquet cut": ("log.parquet", parquet()[:-20], "Parquet data is damaged or cut"),
    "parquet without rows": ("log.parquet", parquet(click=[], n=[], c=[]), "no rows in this file"),
    "parquet list": ("log.parquet", parquet(c=at(0, ["a"], ["b"])), "'c' holds list<.*--separator c='|'"),
    "parquet struct": ("log.parquet", parquet(c=at(0, {"a": 1}, {"a": 2})), "'c' holds struct<"),
    "parquet infinity": ("log.parquet", parquet(n=at(4, float("inf"), 1.0)), r"log\.parquet:row 5: .*got 'inf'"),
    "parquet word": ("log.parquet", parquet(n=at(4, "x", "1")), r"log\.parquet:row 5: column 'n' is numeric.*got 'x'"),
    "parquet label 2": ("log.parquet", parquet(click=at(6, 2)), r"log\.parquet:row 7: label 'click'.*got '2'"),
    "parquet label null": ("log.parquet", parquet(click=at(6, None)), r"log\.parquet:row 7: label 'click'.*got ''"),
    "parquet label nan": ("log.parquet", parquet(click=at(6, float("nan"), 1.0)), r"log\.parquet:row 7: label"),
    "parquet times as numbers": ("log.parquet", parquet(n=pa.array([1] * 24, pa.timestamp("s"))), "'n' holds times"),
    "parquet bytes": ("log.parquet", parquet(c=at(3, b"\xff", b"a")), "log.parquet.*UTF-?8"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused(tmp_path: Path, name: str) -> None:
    file, content, expected = BAD_FILES[name]
    message = refused(tmp_path, placed(tmp_path, {file: content}))
    assert file in message
    assert_match(message, expected)


W, T, S = ("click,n,c,w", "click,n,c,t", "click,n,c,s")
BAD_COLUMNS: dict[str, tuple[str, list[str], dict[str, Any], str]] = {
    "weight 0": (W, ["1"] * 5 + ["0"], {"weight": "w"}, LINE + "column 'w' is the weight of a row.*got '0'"),
    "weight negative": (W, ["1"] * 5 + ["-2"], {"weight": "w"}, LINE + "column 'w' .*got '-2'"),
    "weight nan": (W, ["1"] * 5 + ["nan"], {"weight": "w"}, LINE + "column 'w' .*got 'nan'"),
    "weight missing": (W, ["1"] * 5 + [""], {"weight": "w"}, LINE + "column 'w' .*got ''"),
    "weight a word": (W, ["1"] * 5 + ["many"], {"weight": "w"}, LINE + "column 'w' .*got 'many'"),
    "weight below float": (W, ["1"] * 5 + ["1e-60"], {"weight": "w"}, LINE + "column 'w' .*got '1e-60'"),
    "weight beyond float": (W, ["1"] * 5 + ["1e60"], {"weight": "w"}, LINE + "column 'w' .*got '1e60'"),
    "weight is the label": (W, ["1"], {"weight": "click"}, "'click' is both label and weight"),
    "weight is a feature": (W, ["1"], {"weight": "n"}, "'n' is both weight and numeric"),
    "time missing": (T, ["3"] * 5 + [""], {"time": "t"}, LINE + "column 't' is the time of a row.*got ''"),
    "time of two kinds": (
        T,
        ["3"] * 5 + ["2014-10-21"],
        {"time": "t"},
        LINE + "column 't' .*got '2014-10-21'.*a number",
    ),
    "time day first": (T, ["21/10/2014"], {"time": "t"}, r"log\.csv:2: column 't' .*got '21/10/2014'.*ISO"),
    "time of no day": (T, ["2014-10-21"] * 5 + ["2014-02-30"], {"time": "t"}, LINE + "column 't' .*got '2014-02-30'"),
    "time without zone": (T, ["2014-10-21T00:00Z"] * 5 + ["2014-10-21T00:00"], {"time": "t"}, LINE + ".*with a zone"),
    "time is the label": (T, ["3"], {"time": "click"}, "'click' is both label and time"),
    "by_time without time": (T, ["3"], {"split": "by_time", "ignore": ["t"]}, "--time"),
    "split blank": (
        S,
        ["train"] * 5 + [""],
        {"split_column": "s", "split": "given"},
        LINE + "column 's' does not name",
    ),
    "split word": (S, ["test"] * 5 + ["dev"], {"split_column": "s", "split": "given"}, LINE + ".*got 'dev'"),
    "split column alone": (S, ["train"], {"split_column": "s"}, "read by split 'given' only"),
    "split of one word": (S, ["train"], {"split_column": "s", "split": "given"}, "no row for val"),
    "no such column": (S, ["x"], {"label": "clicks"}, "no column 'clicks'.*Did you mean 'click'"),
    "no such feature": (S, ["x"], {"numeric": ["N"]}, "no column 'N', which numeric names"),
    "two roles": (S, ["x"], {"categorical": ["n"]}, "'n' is both numeric and categorical"),
    "label a feature": (S, ["x"], {"categorical": ["click", "c"]}, "'click' is both label and categorical"),
    "rest twice": (S, ["x"], {"numeric": ["*"], "categorical": ["*"]}, "stands in two roles"),
    "delimiter too long": (S, ["x"], {"delimiter": "||"}, "a delimiter is one ASCII character"),
    "delimiter wrong": (S, ["x"], {"delimiter": ";"}, "no column 'click'"),
    "given by one file": (S, ["x"], {"split": "given"}, "takes three inputs"),
}


@pytest.mark.parametrize("name", BAD_COLUMNS)
def test_a_bad_column_or_option(tmp_path: Path, name: str) -> None:
    header, cells, options, expected = BAD_COLUMNS[name]
    rows = [f"{row},{cells[min(index, len(cells) - 1)]}" for index, row in enumerate(ROWS)]
    assert_match(refused(tmp_path, placed(tmp_path, text(header=header, rows=rows)), **options), expected)


@pytest.mark.parametrize("name", ["Click", "label", "clicked", "target", "y"])
def test_no_label_lists_the_columns_and_the_likely_one(tmp_path: Path, name: str) -> None:
    message = refused(tmp_path, placed(tmp_path, text(header=f"{name},n,c")), label=None)
    assert f"allowed: {name}, n, c. Likely --label {name}" in message


def test_no_label_and_none_likely(tmp_path: Path) -> None:
    message = refused(tmp_path, placed(tmp_path, text(header="a,n,c")), label=None)
    assert message.endswith("allowed: a, n, c. Give it: --label COLUMN")


SECOND: dict[str, tuple[bytes, str]] = {
    "without header": (GOOD.partition(b"\n")[2], r"b\.csv:1: "),
    "other order": (text(header="n,click,c"), r"b\.csv:1: another header than a\.csv.*in another order"),
    "more columns": (text(header="click,n,c,d", rows=[f"{row},x" for row in ROWS]), r"b\.csv:1: .*got 'd'"),
    "fewer columns": (text(header="click,n", rows=["0,1"]), r"b\.csv:1: .*no column c"),
    "other delimiter": (GOOD.replace(b",", b";"), r"b\.csv:1: another header"),
    "bad row": (text(line7="2,1,a"), r"b\.csv:7: label 'click'"),
    "no rows": (text(rows=[]), r"b\.csv: no rows in this file"),
    "parquet": (parquet(), "Parquet and text together"),
}


@pytest.mark.parametrize("name", SECOND)
def test_a_second_file_that_does_not_fit(tmp_path: Path, name: str) -> None:
    content, expected = SECOND[name]
    assert_match(refused(tmp_path, placed(tmp_path, {"a.csv": GOOD, "b.csv": content})), expected)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"n": [str(row) for row in range(24)]}, r"column 'n' is of another type than in a\.parquet, got 'string'"),
        ({"c": list(range(24))}, r"column 'c' is of another type than in a\.parquet, got 'int64'"),
        ({"click": [True] * 24}, r"column 'click' is of another type"),
    ],
)
def test_parquet_files_of_two_schemas(tmp_path: Path, columns: dict[str, Any], expected: str) -> None:
    files = {"a.parquet": parquet(), "b.parquet": parquet(**columns)}
    assert_match(refused(tmp_path, placed(tmp_path, files)), expected)


def test_parquet_file_without_a_column(tmp_path: Path) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"click": [1], "c": ["a"]}), sink)
    files = {"a.parquet": parquet(), "b.parquet": sink.getvalue()}
    assert_match(refused(tmp_path, placed(tmp_path, files)), r"b\.parquet: no column 'n'")


def test_a_file_given_twice(tmp_path: Path) -> None:
    (path,) = placed(tmp_path, GOOD)
    assert "the same file is given twice" in refused(tmp_path, [path, path])
    link = path.with_name("other.csv")
    link.symlink_to(path)
    assert "the same file is given twice" in refused(tmp_path, [path, link, path.parent / ".." / "in" / "log.csv"])


def test_folders_that_are_no_log(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    assert "no file in this folder" in refused(tmp_path, [folder])
    (folder / "_SUCCESS").write_text("")
    assert "no file in this folder" in refused(tmp_path, [folder])
    (folder / "day=1").mkdir()
    (folder / "day=1" / "log.csv").write_bytes(GOOD)
    message = refused(tmp_path, [folder])
    assert "a folder within a folder of files, got 'day=1'" in message
    assert "no column of the files" in message


def test_what_is_no_file_at_rest(tmp_path: Path) -> None:
    loop, gone, pipe = tmp_path / "loop.csv", tmp_path / "gone.csv", tmp_path / "pipe"
    loop.symlink_to(loop)
    gone.symlink_to(tmp_path / "nowhere")
    for path in (loop, gone, tmp_path / "absent.csv"):
        assert path.name in refused(tmp_path, [path])
    os.mkfifo(pipe)
    assert "not a file at rest" in refused(tmp_path, [pipe])
    assert "not a file at rest" in refused(tmp_path, [Path("/dev/null")])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (path,) = placed(tmp_path, GOOD)
    path.chmod(0)
    assert "cannot be read (Permission denied)" in refused(tmp_path, [path])


CRITEO = ["\t".join([str(row % 2), *["3"] * 13, *["ab"] * 26]) for row in range(40)]
BAD_CRITEO: dict[str, tuple[list[str], str]] = {
    "header": (["\t".join(["label", *["x"] * 39]), *CRITEO], r"log\.csv:1: (label|column)"),
    "no label": ([row.partition("\t")[2] for row in CRITEO], r"log\.csv:1: .*got '39 fields'.*test\.txt"),
    "commas": ([row.replace("\t", ",") for row in CRITEO], r"log\.csv:1: .*got '1 fields'; allowed: 40 fields"),
    "spaces": ([row.replace("\t", "    ") for row in CRITEO], r"log\.csv:1: .*got '1 fields'"),
    "a word": ([*CRITEO, CRITEO[0].replace("3", "three", 1)], r"log\.csv:41: column 'I1' is numeric.*got 'three'"),
    "cut": ([*CRITEO, CRITEO[0][:30]], r"log\.csv:41: a row has another number of fields"),
    "nothing": ([], "the file is empty"),
}


@pytest.mark.parametrize("name", BAD_CRITEO)
def test_bad_criteo_files(tmp_path: Path, name: str) -> None:
    rows, expected = BAD_CRITEO[name]
    content = "".join(f"{row}\n" for row in rows).encode()
    assert_match(refused(tmp_path, placed(tmp_path, content), "criteo"), expected)


PLAIN = (None, None, None)
ODD: dict[str, tuple[bytes, tuple[Any, ...]]] = {
    # content, then what the row of line 7 has: label, n, c; None: as in the good file
    "mark and CRLF": (b"\xef\xbb\xbf" + text(end="\r\n"), PLAIN),
    "CR only": (text(end="\r"), PLAIN),
    "line ends mixed": (GOOD.replace(b"\n", b"\r\n", 9), PLAIN),
    "no line end": (GOOD[:-1], PLAIN),
    "blank lines": (b"\n\n".join(GOOD.splitlines()) + b"\n\n\n", PLAIN),
    "everything quoted": (b"\n".join(b'"' + row.replace(b",", b'","') + b'"' for row in GOOD.splitlines()), PLAIN),
    "semicolons": (GOOD.replace(b",", b";"), PLAIN),
    "tabs": (GOOD.replace(b",", b"\t"), PLAIN),
    "bars": (GOOD.replace(b",", b"|"), PLAIN),
    "line end in a cell": (text(line7='0,5,"x\ny"'), (0, 5, "x\ny")),
    "CRLF in a cell": (text(line7='0,5,"x\r\ny"'), (0, 5, "x\r\ny")),
    "doubled quotes": (text(line7='0,5,"say ""hi"""'), (0, 5, 'say "hi"')),
    "stray quotes": (text(line7='0,5,5" x 7"'), (0, 5, '5" x 7"')),
    "delimiter in a cell": (text(line7='0,5,"x,y"'), (0, 5, "x,y")),
    "single quotes": (text(line7="0,5,'x'"), (0, 5, "'x'")),
    "spaces around a number": (text(line7="0,  5 ,a"), (0, 5, "a")),
    "spaces around a label": (text(line7=" 1 ,5,a"), (1, 5, "a")),
    "spaces in a category stay": (text(line7="0,5, a "), (0, 5, " a ")),
    "only a space": (text(line7="0,5, "), (0, 5, " ")),
    "plus": (text(line7="0,+5,a"), (0, 5, "a")),
    "minus zero": (text(line7="0,-0,-0"), (0, 0, "-0")),
    "negative": (text(line7="0,-5,-5"), (0, -5, "-5")),
    "exponent": (text(line7="0,5E-1,5E-1"), (0, 0.5, "5E-1")),
    "below double": (text(line7="0,1e-400,a"), (0, 0, "a")),
    "no digit before the point": (text(line7="0,.5,.5"), (0, 0.5, ".5")),
    "number missing": (text(line7="0,,a"), (0, 0, "a")),
    "category missing": (text(line7="0,5,"), (0, 5, "")),
    "all missing": (text(line7="0,,"), (0, 0, "")),
    "label with a fraction": (text(line7="1.0,5,a"), (1, 5, "a")),
    "label quoted": (text(line7='"1",5,a'), (1, 5, "a")),
    "word null": (text(line7="0,5,null"), (0, 5, "null")),
    "word NaN": (text(line7="0,5,NaN"), (0, 5, "NaN")),
    "word None": (text(line7="0,5,None"), (0, 5, "None")),
    "long integer": (text(line7="0,5,18446744073709551617"), (0, 5, "18446744073709551617")),
    "leading zeros": (text(line7="0,005,005"), (0, 5, "005")),
    "emoji": (text(line7="0,5,🦎👩\u200d🚀"), (0, 5, "🦎👩\u200d🚀")),
    "composed": (text(line7="0,5,\u00e9"), (0, 5, "\u00e9")),
    "decomposed": (text(line7="0,5,e\u0301"), (0, 5, "e\u0301")),
    "line separator of Unicode": (text(line7="0,5,a\u2028b\u0085c"), (0, 5, "a\u2028b\u0085c")),
    "control character": (text(line7="0,5,a\x01\x1a"), (0, 5, "a\x01\x1a")),
    "a formula": (text(line7="0,5,=1+1"), (0, 5, "=1+1")),
    "backslash": (text(line7="0,5,a\\"), (0, 5, "a\\")),
    "a mark as a cell": (text(line7="0,5,\ufeff"), (0, 5, "\ufeff")),
    "very long": (text(line7=f"0,5,{'é' * 600_000}"), (0, 5, "é" * 600_000)),
    "gzip of several": (gzip.compress(GOOD[:40]) + gzip.compress(GOOD[40:]), PLAIN),
    "zstd": (zstd(GOOD), PLAIN),
    "zstd of several": (zstd(GOOD[:40]) + zstd(GOOD[40:]), PLAIN),
    "parquet": (parquet(), PLAIN),
    "parquet label of bools": (parquet(click=[row % 2 == 1 for row in range(24)]), PLAIN),
    "parquet label of words": (parquet(click=[f"{row % 2}.0" for row in range(24)]), PLAIN),
    "parquet numbers of words": (parquet(n=[f" {row} " for row in range(24)]), PLAIN),
    "parquet of unsigned": (parquet(n=pa.array(range(24), pa.uint64())), PLAIN),
    "parquet dictionary": (parquet(c=pa.array(["a", "a", "b", "b"] * 6).dictionary_encode()), PLAIN),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_but_fine(tmp_path: Path, name: str) -> None:
    content, (label, number, category) = ODD[name]
    prepared = made(tmp_path, content)
    labels, numbers = [row % 2 for row in range(24)], [float(row) for row in range(24)]
    categories = ["ab"[row // 2 % 2] for row in range(24)]
    for column, value in ((labels, label), (numbers, number), (categories, category)):
        if value is not None:
            column[5] = value
    assert prepared.label.tolist() == labels
    assert prepared.dense[:, 0].tolist() == [np.float32(value) for value in numbers]
    assert values(prepared) == set(categories) - {""}
    ids = prepared.sparse[:, 0].tolist()
    for one in range(24):
        assert (ids[one] == 0) == (categories[one] == "")
        assert [ids[one] == other for other in ids] == [categories[one] == other for other in categories]


NAMES = ["click", "Click", "CLICK ", 'a "quoted" name', "with, comma", "名前", "n", "c", "a.b", "=x", "-", "label"]


def test_names_of_columns_may_be_anything_but_equal(tmp_path: Path) -> None:
    header = ",".join('"' + name.replace('"', '""') + '"' for name in NAMES)
    rows = [
        ",".join([str(row % 2), *[f"{at}x{row % 3}" for at in range(1, 6)], str(row), *"abcde"]) for row in range(24)
    ]
    prepared = made(tmp_path, text(header=header, rows=rows), categorical=["*"])
    assert prepared.sparse_names == tuple(name for name in NAMES if name not in ("click", "n"))
    assert values(prepared, "CLICK ") == {"2x0", "2x1", "2x2"}


@pytest.mark.parametrize("delimiter", ["x", " ", "~", "0", "#", "tab"])
def test_any_delimiter_that_is_given(tmp_path: Path, delimiter: str) -> None:
    sign = "\t" if delimiter == "tab" else delimiter
    rows = [sign.join(["1", str(row % 9 + 1), "ab"[row % 2]]) for row in range(24)]
    prepared = made(tmp_path, text(header=sign.join(["click", "n", "c"]), rows=rows), delimiter=delimiter)
    assert len(prepared.label) == 24
    assert values(prepared) == {"a", "b"}


def test_quotes_that_mean_nothing(tmp_path: Path) -> None:
    rows = [f'{row % 2}\t{row}\t"{"ab"[row % 2]}' for row in range(24)]
    prepared = made(tmp_path, text(header="click\tn\tc", rows=rows), quotes=False)
    assert len(prepared.label) == 24
    assert values(prepared) == {'"a', '"b'}


def test_thousands_of_columns(tmp_path: Path) -> None:
    names = [f"f{at}" for at in range(2000)]
    rows = [",".join([str(row % 2), *(f"v{row % 3}" for _ in names)]) for row in range(20)]
    content = text(header=",".join(["click", *names]), rows=rows)
    prepared = made(tmp_path, content, numeric=[], categorical=["*"])
    assert prepared.sparse.shape == (20, 2000)


def test_a_folder_of_files_is_read_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    parts = {f"part-{part}.csv": text(rows=ROWS[part * 2 : part * 2 + 2]) for part in range(12)}
    paths = placed(tmp_path, parts | {".part-0.csv.crc": b"crc", "_SUCCESS": b""})
    assert len(paths) == 14
    options = ROLES | {"split": "in_order", "transform": "identity"}
    prepared = prepare("table", [folder], tmp_path / "out", options, progress=False)
    assert prepared.dense[:, 0].tolist() == list(range(24))
    assert any("passed over .part-0.csv.crc, _SUCCESS" in note for note in prepared.manifest["notes"])


def test_a_column_without_any_value(tmp_path: Path) -> None:
    prepared = made(tmp_path, text(rows=[f"{row % 2},," for row in range(24)]))
    assert (prepared.dense == 0).all()
    assert (prepared.sparse == 0).all()


def test_a_bad_label_far_down_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasrec_nni.data.sources.text.BLOCK", 1 << 14)
    rows = [f"{row % 2},{row},v{row % 50}" for row in range(20_000)]
    rows[19_990] = "?,1,a"
    assert_match(refused(tmp_path, placed(tmp_path, text(rows=rows))), r"log\.csv:19992: label 'click'.*got '\?'")


SHARDS = [
    b'"',
    b"\n",
    b"\r",
    b",",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"",
    b"1e999",
    b"\t",
    b"nan",
    b" ",
    b'""',
    b'",\n"',
]


def mangled(content: bytes, random: np.random.Generator) -> bytes:
    """A file after a few accidents."""
    found = bytearray(content)
    for _ in range(random.integers(1, 4)):
        where, accident = int(random.integers(0, len(found) + 1)), random.integers(0, 6)
        if accident == 0 and where < len(found):
            found[where] = int(random.integers(0, 256))
        elif accident == 1:
            del found[where : where + int(random.integers(1, 40))]
        elif accident == 2 and random.random() < 0.3:
            del found[where:]
        elif accident == 3:
            found[where:where] = found[where : where + 20]
        else:
            found[where:where] = SHARDS[int(random.integers(0, len(SHARDS)))]
    return bytes(found)


@pytest.mark.parametrize("kind", ["text", "gzip", "zstd", "parquet"])
def test_accidents_end_in_a_clear_error_or_in_all_rows(tmp_path: Path, kind: str) -> None:
    """Nothing else may come of any file: no other exception, no row lost, no number that is none."""
    random = np.random.default_rng(4)
    good = {"text": GOOD, "gzip": gzip.compress(GOOD), "zstd": zstd(GOOD), "parquet": parquet()}[kind]
    path, read = tmp_path / "log", 0
    for _ in range(400):
        content = mangled(good, random)
        path.write_bytes(content)
        source = table.Source([path], table.Options(**ROLES), "random")
        try:
            source.columns()
            chunks = list(source.chunks())
        except UserError:
            continue
        read += 1
        labels = [label for chunk in chunks for label in chunk.label.tolist()]
        assert set(labels) <= {0, 1}
        assert not any(np.isinf(chunk.dense["n"]).any() for chunk in chunks)
        cells = [cell for chunk in chunks for cell in chunk.sparse["c"].to_pylist()]
        if kind == "text":
            written = io.StringIO(content.decode("utf-8-sig"), newline="")
            rows = [row for row in csv.reader(written, delimiter=source._readers[0].layout.delimiter) if row][1:]
            at_click, at_c = (source._readers[0].names.index(name) for name in ("click", "c"))
            assert labels == [float(row[at_click]) for row in rows]
            assert cells == [row[at_c] or None for row in rows]
    assert read or kind in ("gzip", "zstd")
