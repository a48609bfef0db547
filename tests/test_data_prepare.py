"""Prepare, read back: equal to a slow reference, guarded, verified, and nothing left by a mistake."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from nasrec_nni.data.describing import describe
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.data.splits import split_rows
from nasrec_nni.errors import UserError

OPTIONS = {"label": "y", "numeric": ["x"], "categorical": ["c"]}
ROWS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.one_of(st.none(), st.integers(-5, 1000), st.floats(-1e6, 1e6, allow_nan=False)),
        st.one_of(st.none(), st.sampled_from(["a", "b", "c d", 'q"x', "e,f", "é", "two\nlines", "NA", " 1"])),
    ),
    min_size=10,
    max_size=60,
)


def table(path: Path, rows: list[tuple[Any, Any, Any]]) -> Path:
    pd.DataFrame(rows, columns=["y", "x", "c"]).astype({"x": object}).to_csv(path, index=False)
    return path


def small(path: Path, n: int = 40) -> Path:
    return table(path, [(int(row % 3 == 0), row, "abc"[row % 3]) for row in range(n)])


@settings(max_examples=40, deadline=None)
@given(
    rows=ROWS,
    split=st.sampled_from(["random", "in_order", "permutation"]),
    transform=st.sampled_from(["auto", "log1p", "standardize", "identity"]),
    min_count=st.integers(1, 3),
)
def test_equal_to_a_slow_reference(rows: list[Any], split: str, transform: str, min_count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = table(Path(folder) / "log.csv", rows)
        options = OPTIONS | {"split": split, "transform": transform, "min_count": min_count, "seed": 5}
        prepared = prepare("table", [path], Path(folder) / "out", options, progress=False)
        train = prepared.rows("train")
        read = pd.read_csv(path, dtype={"c": str}, keep_default_na=False, na_values={"x": [""], "c": [""]})
        counts = read["c"].iloc[train].value_counts()
        order = sorted((v for v in counts.index if counts[v] >= min_count), key=lambda v: (-counts[v], v))
        ids = {value: index for index, value in enumerate(order, 2)}
        expected = [0 if value is None else ids.get(value, 1) for _, _, value in rows]
        assert prepared.sparse[:, 0].tolist() == expected
        assert prepared.rows_per_field == (len(order) + 2,)
        x: Any = read["x"].astype(float)
        seen = x.iloc[train].dropna()
        name = transform if transform != "auto" else "standardize" if (seen < 0).any() else "log1p"
        if name == "standardize":
            x = (x - (seen.mean() if len(seen) else 0)) / (seen.std(ddof=0) or 1 if len(seen) else 1)
        elif name == "log1p":
            x = np.log1p(x.clip(lower=0))
        np.testing.assert_allclose(prepared.dense[:, 0], x.fillna(0), rtol=1e-5, atol=1e-6)
        assert prepared.label.tolist() == [label for label, _, _ in rows]
        parts = np.concatenate([train, prepared.rows("val"), prepared.test_rows()])
        assert sorted(parts) == list(range(len(rows)))


def test_nasrec_split_is_stratified_folds() -> None:
    labels = (np.random.default_rng(0).random(333) < 0.2).astype(np.float32)
    found = split_rows("nasrec", labels, np.empty(0, np.int8), None)
    folds = [test for _, test in StratifiedKFold(10, shuffle=True, random_state=2018).split(labels, labels)]
    assert found["train"].tolist() == sorted(np.concatenate(folds[:8]))
    assert found["val"].tolist() == folds[8].tolist()
    assert found["test"].tolist() == folds[9].tolist()


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
        (b"\xff\xfey\x00,\x00x\x00", {}, "not utf-8 text"),
        (b"\ny,x,c\n1,2,a\n", {}, "log.csv:1: the first line is not a header"),
        (b'y,"x\n",c\n1,2,a\n', {}, "log.csv:1: the first line is not a header"),
        (b'y,x,c\n1,2,"a\n0,3,b\n', {}, "log.csv:2: a quote is opened and never closed"),
        (b"y,x,c\n1,2," + b"a" * 200_000 + b"\n0,z,b\n", {}, "log.csv"),
        (b"y,x,c\n1,2\x00,a\n", {}, "log.csv:2: column 'x' is numeric"),
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
