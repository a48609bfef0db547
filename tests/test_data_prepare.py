"""Prepare, read back: equal to a slow reference, guarded, verified, and nothing left by a mistake."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasrec_nni.data.describing import describe
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.data.preparing.writing import write_vocabulary
from nasrec_nni.errors import UserError

OPTIONS = {"label": "y", "numeric": ["x"], "categorical": ["c"]}


def table(path: Path, rows: list[tuple[Any, Any, Any]]) -> Path:
    pd.DataFrame(rows, columns=["y", "x", "c"]).astype({"x": object}).to_csv(path, index=False)
    return path


def small(path: Path, n: int = 40) -> Path:
    return table(path, [(int(row % 3 == 0), row, "abc"[row % 3]) for row in range(n)])


def test_split_column(tmp_path: Path) -> None:
    lines = [f"{row % 2},{'abc'[row % 3]},{['train', 'valid', 'test'][row % 3]}" for row in range(30)]
    (tmp_path / "log.csv").write_text("\n".join(["y,c,s", *lines]))
    options = {"label": "y", "categorical": ["c"], "split": "given", "split_column": "s"}
    prepared = prepare("table", [tmp_path / "log.csv"], tmp_path / "out", options, progress=False)
    assert prepared.rows("val").tolist() == list(range(1, 30, 3))
    (tmp_path / "log.csv").write_text("\n".join(["y,c,s", *lines, "0,a,other"]))
    with pytest.raises(UserError, match=r"log\.csv:32: column 's' does not name a split, got 'other'"):
        prepare("table", [tmp_path / "log.csv"], tmp_path / "bad", options, progress=False)


def test_same_log_same_fingerprint_and_another_value_another(tmp_path: Path) -> None:
    first = prepare("table", [small(tmp_path / "a.csv")], tmp_path / "1", OPTIONS, progress=False)
    again = prepare("table", [small(tmp_path / "b.csv")], tmp_path / "2", OPTIONS, progress=False)
    other = prepare("table", [small(tmp_path / "c.csv", 41)], tmp_path / "3", OPTIONS, progress=False)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert PreparedSet.load(tmp_path / "1").schema == first.schema


def test_a_count_that_leaves_no_value_is_warned_of(tmp_path: Path) -> None:
    path = small(tmp_path / "a.csv")
    prepared = prepare("table", [path], tmp_path / "1", OPTIONS | {"min_count": 1000}, progress=False)
    assert any("column c: no value is frequent enough" in warning for warning in prepared.manifest["warnings"])
    prepared = prepare("table", [path], tmp_path / "2", OPTIONS, progress=False)
    assert not any("frequent" in warning for warning in prepared.manifest["warnings"])


def test_a_set_that_a_kill_left_between_two_names_is_put_back_first(tmp_path: Path) -> None:
    path = small(tmp_path / "a.csv")
    prepare("table", [path], tmp_path / "set", OPTIONS, progress=False)
    (tmp_path / "set").rename(tmp_path / ".set.01234567.retired")
    with pytest.raises(UserError, match="already there"):
        prepare("table", [path], tmp_path / "set", OPTIONS, progress=False)
    assert PreparedSet.load(tmp_path / "set").manifest["rows"] == 40


def test_test_rows_have_a_door_of_their_own(tmp_path: Path) -> None:
    prepared = prepare("table", [small(tmp_path / "a.csv")], tmp_path / "1", OPTIONS, progress=False)
    with pytest.raises(ValueError, match="final step"):
        prepared.rows("test")  # type: ignore[arg-type]
    assert len(prepared.test_rows()) == prepared.split_sizes()["test"] == 4


@pytest.mark.parametrize("name", ["dense.npy", "schema.json", "split-val.npy", "vocabulary.parquet"])
def test_a_changed_file_is_found(tmp_path: Path, name: str) -> None:
    prepare("table", [small(tmp_path / "a.csv")], tmp_path / "1", OPTIONS, progress=False)
    path = tmp_path / "1" / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="sha256"):
        PreparedSet.load(tmp_path / "1")
    path.write_bytes(content[:-1])
    with pytest.raises(UserError, match="another size"):
        PreparedSet.load(tmp_path / "1", verify=False)
    path.unlink()
    with pytest.raises(UserError, match="is gone"):
        PreparedSet.load(tmp_path / "1")


def test_output_place(tmp_path: Path) -> None:
    log = small(tmp_path / "a.csv")
    out = tmp_path / "1"
    first = prepare("table", [log], out, OPTIONS, progress=False)
    with pytest.raises(UserError, match="already there"):
        prepare("table", [log], out, OPTIONS, progress=False)
    (tmp_path / "bad.csv").write_text("y,x,c\n2,1,a\n")
    with pytest.raises(UserError, match=r"bad\.csv:2"):
        prepare("table", [tmp_path / "bad.csv"], out, OPTIONS, overwrite=True, progress=False)
    assert PreparedSet.load(out).fingerprint == first.fingerprint
    assert prepare("table", [log], out, OPTIONS | {"seed": 9}, overwrite=True, progress=False).fingerprint != (
        first.fingerprint
    )
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="something else"):
        prepare("table", [log], foreign, OPTIONS, overwrite=True, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "a.csv", "bad.csv", "mine"]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", {}, "the file is empty"),
        (b"y,x,c\n", {}, "no rows"),
        (b"y,x,c\n1,2,a\n", {}, "leaves no row"),
        (b"y,x,c\n1,2,a\n0,3\n", {}, "log.csv:3: a row has another number of fields"),
        (b'y,x,c\n1,2,"a\nb"\n\n0,z,c\n', {}, "log.csv:5: column 'x' is numeric"),
        (b"y,x,c\n1,nan,a\n", {}, "log.csv:2: column 'x' is numeric"),
        (b"y,x,c\n1,1e39,a\n", {}, "log.csv:2: column 'x' is numeric"),
        (b"y,x,c\n1,1,\xe9\n", {}, "not utf-8 text"),
        (b"y\n1\n", {}, "no delimiter found"),
        (b"y,x,c\n1,2,a\n", {"label": "z"}, "no column 'z'"),
        (b"y,x,c\n1,2,a\n", {"numeric": ["x", "c"]}, "both numeric and categorical"),
        (b"y,x,c\n1,2,a\n", {"min_count": 0}, "min_count"),
        (b"y,x,c\n1,2,a\n", {"mincount": 1}, "Did you mean"),
        (b"y,x,c\n1,2,a\n", {"split": "by_day"}, "split"),
        (b"y,x,c\n1,2,a\n", {"split": "given"}, "takes three inputs"),
        (b"y,x,c\n1,2,a\n0,1,a\n", {"split": "nasrec"}, "10 rows of each label"),
        (b"y,x,c\n1,2,a\n", {"split_column": "c"}, "split 'given' only"),
        (b"\xff\xfey\x00,\x00x\x00", {}, "this is UTF-16 text"),
        (b"\ny,x,c\n1,2,a\n", {}, "log.csv:1: the first line is not a header"),
        (b'y,"x\n",c\n1,2,a\n', {}, "log.csv:1: the name at header position 2 has a line end"),
        (b'y,x,c\n1,2,"a\n0,3,b\n', {}, "log.csv:2: a quote is opened and never closed"),
        (b"y,x,c\n1,2," + b"a" * 200_000 + b"\n0,z,b\n", {}, "log.csv"),
        (b"y,x,c\n1,2\x00,a\n", {}, "log.csv:2: a zero byte in the text"),
        (b"y,x,c\n1,2,a\n", {"delimiter": '"'}, "a delimiter is one ASCII character"),
        (b"y,x,c\n1,2,a\n", {"delimiter": ";"}, "no column 'y'"),
        (b"y,x,c\n1,2,a\n", {"numeric": "x"}, "numeric"),
    ],
)
def test_a_mistake_is_one_error_and_leaves_nothing(
    tmp_path: Path, content: bytes, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "log.csv").write_bytes(content)
    with pytest.raises(UserError) as caught:
        prepare("table", [tmp_path / "log.csv"], tmp_path / "out", OPTIONS | options, progress=False)
    assert message in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_absent_input_and_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        prepare("table", [tmp_path / "log.csv"], tmp_path / "out", OPTIONS)
    with pytest.raises(UserError, match="Did you mean 'criteo'"):
        prepare("critoe", [], tmp_path / "out", {})


def test_description_is_plain(tmp_path: Path) -> None:
    prepared = prepare("table", [small(tmp_path / "a.csv")], tmp_path / "1", OPTIONS, progress=False)
    found = json.loads(json.dumps(describe(prepared)))
    assert found["rows"] == 40
    assert [column["column"] for column in found["columns"]] == ["x", "c"]
    assert found["columns"][0]["transform"] == "log1p"
    assert found["columns"][1]["ids"] == 5


def test_how_a_log_is_cut_into_blocks_and_files_makes_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    rows = [
        f"{row % 2},{random.normal(-3, 1e3):.4f},0.1,{1e9 + random.normal()},{row % 3 + 1}e-170,"
        f"{random.integers(0, 300)},a|b"
        for row in range(2000)
    ]
    header = "y,x,constant,far,tiny,c,m"
    options: dict[str, Any] = {"label": "y", "numeric": ["x", "constant", "far", "tiny"], "separator": {"m": "|"}}
    options |= {"categorical": ["c", "m"], "transform": "standardize"}
    (tmp_path / "log.csv").write_text("\n".join([header, *rows]) + "\n")
    (tmp_path / "1.csv").write_text("\n".join([header, *rows[:700]]) + "\n")
    (tmp_path / "2.csv").write_text("\n".join([header, *rows[700:]]))
    whole = prepare("table", [tmp_path / "log.csv"], tmp_path / "whole", options, progress=False)
    two = prepare("table", [tmp_path / "1.csv", tmp_path / "2.csv"], tmp_path / "two", options, progress=False)
    monkeypatch.setattr("nasrec_nni.data.sources.text.BLOCK", 500)
    monkeypatch.setattr("nasrec_nni.data.preparing.vocabulary.WAITING", 2)
    cut = prepare("table", [tmp_path / "log.csv"], tmp_path / "cut", options, progress=False)
    assert whole.fingerprint == two.fingerprint == cut.fingerprint
    assert (whole.dense[:, 1] == 0).all()
    assert whole.dense[whole.rows("train"), 2].std() == pytest.approx(1, rel=1e-5)
    assert np.abs(whole.dense[:, 3]).max() <= 1
    for name in whole.manifest["files"]:
        assert (whole.folder / name).read_bytes() == (cut.folder / name).read_bytes(), name


def test_a_row_counts_once_for_a_value_it_has_twice(tmp_path: Path) -> None:
    rows = [f"{row % 2},solo|solo" if row == 3 else f"{row % 2},a|b" for row in range(40)]
    (tmp_path / "log.csv").write_text("\n".join(["y,m", *rows]))
    options = {"label": "y", "categorical": ["m"], "separator": {"m": "|"}, "min_count": 2, "split": "in_order"}
    prepared = prepare("table", [tmp_path / "log.csv"], tmp_path / "out", options, progress=False)
    assert prepared.rows_per_field == (4,)
    assert prepared.sparse[3].tolist()[:3] == [1, 1, -1]
    assert prepared.manifest["columns"][0]["top"][0]["count"] == 31


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("fingerprint", None, "valid string"),
        ("fingerprint", "0123456789abcdef", "the fingerprint is not that of the files"),
        ("files", None, "valid dict"),
        ("files", {"dense.npy": {}}, "field required"),
        ("splits", {}, "field required"),
        ("columns", 3, "valid list"),
        ("columns", [], "other columns than the schema"),
        ("format", 1, "another format"),
    ],
)
def test_a_manifest_changed_by_hand(tmp_path: Path, key: str, value: Any, message: str) -> None:
    prepare("table", [small(tmp_path / "a.csv")], tmp_path / "1", OPTIONS, progress=False)
    path = tmp_path / "1" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(UserError) as caught:
        PreparedSet.load(tmp_path / "1")
    assert message in caught.value.message
    path.write_text(json.dumps({name: part for name, part in json.loads(path.read_text()).items() if name != key}))
    with pytest.raises(UserError):
        PreparedSet.load(tmp_path / "1")


def test_hashes_are_looked_at_again_only_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare("table", [small(tmp_path / "a.csv")], tmp_path / "1", OPTIONS, progress=False)
    hashed: list[str] = []

    def counted(path: Path) -> str:
        hashed.append(path.name)
        return prepared.manifest["files"][path.name]["sha256"]  # type: ignore[no-any-return]

    monkeypatch.setattr("nasrec_nni.data.prepared.sha256", counted)
    PreparedSet.load(tmp_path / "1")
    assert hashed == []
    before = (tmp_path / "1" / "dense.npy").stat()
    os.utime(tmp_path / "1" / "dense.npy", ns=(before.st_atime_ns, before.st_mtime_ns))  # times may be put back
    PreparedSet.load(tmp_path / "1")
    assert hashed == ["dense.npy"]
    PreparedSet.load(tmp_path / "1")
    assert hashed == ["dense.npy"]


@pytest.mark.parametrize("before", [False, True])
def test_what_appears_at_the_place_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    def late(*given: Any) -> Any:
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / "notes.txt").write_text("dear")
        return write_vocabulary(*given)

    monkeypatch.setattr("nasrec_nni.data.prepare.write_vocabulary", late)
    if before:
        (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="holds something else"):
        prepare("table", [small(tmp_path / "a.csv")], tmp_path / "out", OPTIONS, overwrite=True, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "out"]
    assert (tmp_path / "out" / "notes.txt").read_text() == "dear"


def test_the_output_is_not_laid_into_an_input(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    small(tmp_path / "logs" / "a.csv")
    with pytest.raises(UserError, match="lies within an input folder"):
        prepare("table", [tmp_path / "logs"], tmp_path / "logs" / "set", OPTIONS, progress=False)
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fold": 1}, "fold belongs to split 'k_fold'"),
        ({"folds": 4}, "folds belongs to split 'k_fold'"),
        ({"hash_rows": 10}, "hash_rows has no effect"),
        ({"max_length": 3}, "max_length has no effect"),
        ({"encoding": "hash"}, "needs the table rows of column 'c'"),
        ({"encoding": "hash", "hash_rows": 2**31}, "less than or equal to 268435456"),
        ({"transform": {"z": "log1p"}}, "transform names a column that is not numeric"),
        ({"encoding": {"x": "hash"}}, "encoding names a column that is not categorical"),
        ({"separator": {"c": ""}}, "separator"),
        ({"negatives": 0}, "negatives"),
        ({"transform": "log3"}, "transform"),
    ],
)
def test_options_without_effect_or_place_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        prepare("table", [small(tmp_path / "a.csv")], tmp_path / "1", OPTIONS | options, progress=False)
    assert message in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
