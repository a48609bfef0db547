"""The ten input cases, as far as preparing goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError

CASES = Path(__file__).parent / "cases"
ROLES = {"label": "click", "numeric": ["age", "price"], "categorical": ["city", "device"]}


def made(tmp_path: Path, source: str, files: list[str], **options: Any) -> PreparedSet:
    return prepare(source, [CASES / file for file in files], tmp_path / "out", options, progress=False)


def refused(tmp_path: Path, source: str, files: list[str], **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        made(tmp_path, source, files, **options)
    assert list(tmp_path.iterdir()) == []
    return caught.value.message


def counts(prepared: PreparedSet, role: str, what: str) -> int:
    columns = [column for column in prepared.manifest["columns"] if column["role"] == role]
    return sum(sum(column[what].values()) for column in columns)


def column(prepared: PreparedSet, name: str) -> dict[str, Any]:
    return next(one for one in prepared.manifest["columns"] if one["column"] == name)


def values(prepared: PreparedSet, field: str) -> list[str]:
    table = pq.read_table(prepared.folder / "vocabulary.parquet").to_pylist()
    return [row["value"] for row in table if row["field"] == field]


def test_d01_mark_and_line_ends(tmp_path: Path) -> None:
    prepared = made(tmp_path, "table", ["d01_bom_crlf/log.csv"], min_count=1, **ROLES)
    assert len(prepared.label) == 60
    assert prepared.label.sum() == 18
    assert sorted(values(prepared, "device")) == ["desktop", "phone", "tablet"]
    assert len(values(prepared, "city")) == 4


def test_d02_negative_integers(tmp_path: Path) -> None:
    prepared = made(tmp_path, "criteo", ["d02_criteo_negative_integers/train.txt"])
    assert len(prepared.label) == 80
    assert prepared.label.sum() == 22
    assert np.isfinite(prepared.dense).all()
    assert prepared.dense.max() == np.float32(np.log1p(4294967296.0))
    assert counts(prepared, "numeric", "negative") == 5
    assert counts(prepared, "numeric", "missing") == 203
    assert counts(prepared, "categorical", "missing") == 235
    assert (prepared.sparse == 0).sum() == 235


@pytest.mark.parametrize(("name", "line", "fields"), [("short", 17, 39), ("long", 31, 41), ("cut_last_line", 50, 34)])
def test_d03_ragged_row(tmp_path: Path, name: str, line: int, fields: int) -> None:
    message = refused(tmp_path, "criteo", [f"d03_criteo_ragged_row/{name}.txt"])
    assert f"{name}.txt:{line}:" in message
    assert f"{fields} fields" in message
    assert "40 fields" in message


def test_d04_unseen_categories(tmp_path: Path) -> None:
    files = [f"d04_unseen_categories/{name}.csv" for name in ("train", "valid", "test")]
    prepared = made(tmp_path, "table", files, split="given", min_count=1, **ROLES)
    assert sorted(values(prepared, "city")) == ["ant", "bee", "cat", "dog"]
    assert len(values(prepared, "device")) == 3
    assert column(prepared, "city")["unseen"] == {"train": 0, "val": 2, "test": 1}
    assert column(prepared, "device")["unseen"] == {"train": 0, "val": 0, "test": 1}
    test = prepared.test_rows()
    assert prepared.sparse[test[0], 0] == 1  # gnu
    assert prepared.sparse[test[1], 1] == 1  # watch
    assert prepared.sparse[test[2], 0] == 0  # no city
    assert (prepared.sparse.max(0) < prepared.rows_per_field).all()


def test_d05_one_class_validation(tmp_path: Path) -> None:
    prepared = made(tmp_path, "table", ["d05_one_class_validation/log.csv"], split="in_order", ignore=["day"], **ROLES)
    assert [size["clicks"] for size in prepared.manifest["splits"].values()] == [27, 0, 2]
    assert any("split val has no click" in warning for warning in prepared.manifest["warnings"])
    assert prepared.schema.ignored == ("day",)


@pytest.mark.parametrize(("name", "line", "value"), [("word", 9, "'yes'"), ("two", 22, "'2'"), ("empty", 13, "''")])
def test_d06_label_not_binary(tmp_path: Path, name: str, line: int, value: str) -> None:
    message = refused(tmp_path, "table", [f"d06_label_not_binary/{name}.csv"], **ROLES)
    assert f"{name}.csv:{line}:" in message
    assert f"got {value}; allowed: 0 or 1" in message


def test_d06_labels_as_floats(tmp_path: Path) -> None:
    prepared = made(tmp_path, "table", ["d06_label_not_binary/float.csv"], **ROLES)
    assert set(np.unique(prepared.label)) == {0, 1}


def test_d07_duplicate_and_unnamed_column(tmp_path: Path) -> None:
    message = refused(tmp_path, "table", ["d07_duplicate_column/log.csv"], **ROLES)
    assert "'city'" in message and "positions 4 and 6" in message
    assert "position 6 has no name" in refused(tmp_path, "table", ["d07_duplicate_column/unnamed.csv"], **ROLES)


def test_d08_identifiers_stay_exact(tmp_path: Path) -> None:
    options = {"label": "click", "numeric": ["count"], "categorical": ["ad"], "min_count": 1}
    prepared = made(tmp_path, "table", ["d08_identifiers_stay_exact/log.csv"], **options)
    expected = {"007", "7", "7.0", "07", "1e3", "1000", "NA", "null", "None", "-0", "0"}
    expected |= {"9007199254740993", "9007199254740992"}
    assert sorted(values(prepared, "ad")) == sorted(expected)
    assert (prepared.sparse >= 2).all()


def test_d08_words_for_missing_are_told(tmp_path: Path) -> None:
    options = {"label": "click", "numeric": ["count"], "categorical": ["ad"], "missing": ["NA", "null"]}
    prepared = made(tmp_path, "table", ["d08_identifiers_stay_exact/log.csv"], **options)
    assert (prepared.sparse == 0).sum() == counts(prepared, "categorical", "missing") > 0
    assert prepared.manifest["options"]["missing"] == ["NA", "null"]


def test_d09_one_kind_of_column(tmp_path: Path) -> None:
    sparse = made(tmp_path, "table", ["d09_one_kind_of_column/only_sparse.csv"], label="click")
    assert sparse.dense.shape == (len(sparse.label), 0)
    assert sparse.dense_width == 1
    assert any("zeros" in warning for warning in sparse.manifest["warnings"])


def test_d09_no_category_warns_with_the_way_out(tmp_path: Path) -> None:
    files = ["d09_one_kind_of_column/only_dense.csv"]
    dense = made(tmp_path, "table", files, label="click", numeric=["*"])
    assert dense.rows_per_field == ()
    assert any("--categorical" in warning for warning in dense.manifest["warnings"])
    way_out = prepare(
        "table", [CASES / files[0]], tmp_path / "b", {"label": "click", "categorical": ["*"]}, progress=False
    )
    assert len(way_out.rows_per_field) == 2


def test_d10_gzip(tmp_path: Path) -> None:
    assert "data ends early" in refused(tmp_path, "table", ["d10_gzip/truncated.csv.gz"], **ROLES)
    assert "not gzip" in refused(tmp_path, "table", ["d10_gzip/plain_text_named.csv.gz"], **ROLES)
    assert len(made(tmp_path, "table", ["d10_gzip/whole.csv.gz"], **ROLES).label) == 400
