"""Tables of any make: Parquet's types, times, weights, and the roles of columns."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv
from pyarrow import parquet as pq

from nasrec_nni.data.sources import table
from nasrec_nni.data.sources.base import checked
from nasrec_nni.data.sources.roles import infer


def opened(module: Any, inputs: list[Path], split: str = "random", **options: Any) -> Any:
    """A source and its columns, without the rest of preparing."""
    source = module.Source(inputs, checked(module.Source.Options, options, "source"), split)
    return source, source.columns()


def everything(source: Any) -> dict[str, list[Any]]:
    """All cells by column; the arrays of a chunk by `:label` and so on."""
    found: dict[str, list[Any]] = {}
    for chunk in source.chunks():
        assert all(len(column) == len(chunk.label) for column in (*chunk.dense.values(), *chunk.sparse.values()))
        for name, column in chunk.sparse.items():
            assert column.type in (pa.string(), pa.dictionary(pa.int32(), pa.string()))
            found.setdefault(name, []).extend(column.to_pylist())
        for name in ("label", "time", "weight", "part"):
            if getattr(chunk, name) is not None:
                found.setdefault(f":{name}", []).extend(getattr(chunk, name).tolist())
        for name, numbers in chunk.dense.items():
            assert numbers.dtype == np.float64
            found.setdefault(name, []).extend(numbers.tolist())
    return found


@pytest.mark.parametrize(
    ("values", "role", "reason"),
    [
        (["1.5", "2.25", None], "numeric", "fraction"),
        (["007", "12"], "categorical", "leading zero"),
        (["a", "1"], "categorical", "'a' is not a number"),
        (["inf", "1"], "categorical", "'inf' is not a number"),
        ([None, None], "categorical", "no value"),
        (["9007199254740993"] * 3, "categorical", "too long"),
        (["1", "0", "1"], "categorical", "code"),
        ([str(n) for n in range(50)], "categorical", "identifier"),
        ([str(n % 50) for n in range(100)], "numeric", "quantity"),
        ([str(1000 + n % 50) for n in range(100)], "categorical", "code"),
    ],
)
def test_roles_are_inferred_with_a_reason(values: list[str | None], role: str, reason: str) -> None:
    found, why = infer(pa.array(values, pa.string()))
    assert found == role
    assert reason in why


def a_table(rows: int = 60) -> pa.Table:
    """One column of every kind that Parquet can give."""
    n = list(range(rows))
    return pa.table(
        {
            "click": pa.array([row % 3 == 0 for row in n]),
            "ad": pa.array([2**53 + row % 7 for row in n], pa.int64()),
            "site": pa.array([f"s{row % 4}" if row % 5 else None for row in n], pa.large_string()),
            "slot": pa.array([f"p{row % 2}" for row in n]).dictionary_encode(),
            "mobile": pa.array([row % 2 == 0 for row in n]),
            "price": pa.array([row / 8 if row % 6 else float("nan") for row in n], pa.float32()),
            "amount": pa.array([Decimal(row) / 100 for row in n], pa.decimal128(9, 2)),
            "count": pa.array([row % 37 * 3 for row in n], pa.int16()),
            "when": pa.array([1_400_000_000_000_000 + row for row in n], pa.timestamp("us")),
            "blob": pa.array([f"b{row % 3}".encode() for row in n], pa.binary()),
            "nothing": pa.nulls(rows),
            "text": pa.array([str(row % 17) if row % 4 else "" for row in n]),
        }
    )


def test_parquet_types(tmp_path: Path) -> None:
    path, whole = tmp_path / "log.parquet", a_table()
    pq.write_table(whole, path)
    source, columns = opened(table, [path], label="click", time="when")
    assert list(columns.dense) == ["price", "amount", "count"]
    assert list(columns.sparse) == ["ad", "site", "slot", "mobile", "blob", "nothing", "text"]
    assert columns.time == "when"
    found = everything(source)
    rows = whole.to_pylist()
    assert found[":label"] == [float(row["click"]) for row in rows]
    assert found["ad"] == [str(row["ad"]) for row in rows]
    assert found["site"] == [row["site"] for row in rows]
    assert found["slot"] == [row["slot"] for row in rows]
    assert found["mobile"] == [str(row["mobile"]).lower() for row in rows]
    assert found["blob"] == [row["blob"].decode() for row in rows]
    assert found["text"] == [row["text"] or None for row in rows]
    assert set(found["nothing"]) == {None}
    np.testing.assert_array_equal(found["price"], [row["price"] for row in rows])
    assert found["amount"] == [float(row["amount"]) for row in rows]
    assert found[":time"] == [1_400_000_000_000_000 + row for row in range(len(rows))]
    assert source.warnings == ["column price: 10 cells are NaN, read as missing"]
    assert everything(source)["ad"] == found["ad"]  # as often as asked for


def test_parquet_is_the_same_as_csv(tmp_path: Path) -> None:
    whole = a_table().select(["click", "ad", "site", "slot", "count"])
    whole = whole.set_column(0, "click", pa.array([row % 2 for row in range(60)]))
    pq.write_table(whole, tmp_path / "log.parquet", row_group_size=7)
    csv.write_csv(whole, tmp_path / "log.csv")
    roles: dict[str, Any] = {"label": "click", "numeric": ["count"], "categorical": ["*"]}
    one, other = (everything(opened(table, [tmp_path / name], **roles)[0]) for name in ("log.csv", "log.parquet"))
    assert one == other


def test_parquet_words_for_missing_and_unused_entries(tmp_path: Path) -> None:
    kinds = pa.DictionaryArray.from_arrays(pa.array([0, 2, 0, None], pa.int8()), pa.array(["a", "never", "?"]))
    whole = pa.table({"click": [0, 1, 0, 1], "kind": kinds, "n": pa.array([-1, 5, 6, 7])})
    pq.write_table(whole, tmp_path / "log.parquet")
    roles: dict[str, Any] = {"label": "click", "numeric": ["n"], "categorical": ["kind"], "missing": ["?", "-1"]}
    source, _ = opened(table, [tmp_path / "log.parquet"], **roles)
    (chunk,) = source.chunks()
    assert chunk.sparse["kind"].to_pylist() == ["a", None, "a", None]
    assert chunk.sparse["kind"].dictionary.to_pylist() == ["a"]
    np.testing.assert_array_equal(chunk.dense["n"], [np.nan, 5, 6, 7])


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (pa.array([7, 7, None, 2**53 + 1]).dictionary_encode(), ["7", "7", None, "9007199254740993"]),
        (pa.array(["x", "", None, "y"], pa.large_string()).dictionary_encode(), ["x", None, None, "y"]),
        (pa.array([b"x", b"z", None, b"y"]).dictionary_encode(), ["x", "z", None, "y"]),
        (pa.array([1.5, None, float("nan"), 2.0], pa.float16()), ["1.5", None, None, "2"]),
        (pa.array([Decimal("1.50"), None, Decimal("2"), Decimal(0)]), ["1.50", None, "2.00", "0.00"]),
        (pa.array([0, None, 86400, 1], pa.timestamp("s")), None),
        (pa.array([0, None, 1, 2], pa.date32()), ["1970-01-01", None, "1970-01-02", "1970-01-03"]),
        (pa.array([True, None, False, True]), ["true", None, "false", "true"]),
    ],
)
def test_parquet_categories_of_any_type(tmp_path: Path, cells: Any, expected: list[str | None] | None) -> None:
    pq.write_table(pa.table({"click": [0, 1, 0, 1], "c": cells}), tmp_path / "log.parquet")
    source, _ = opened(table, [tmp_path / "log.parquet"], label="click", categorical=["c"])
    found = everything(source)["c"]
    if expected is None:
        assert [bool(cell) for cell in found] == [True, False, True, True]
        assert str(found[2]).startswith("1970-01-02 00:00:00")
    else:
        assert found == expected


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    folder, whole = tmp_path / "log", a_table()
    folder.mkdir()
    for part in range(3):
        names = whole.column_names if part else whole.column_names[::-1]
        pq.write_table(whole.slice(part * 20, 20).select(names), folder / f"part-{part}.snappy.parquet")
    pq.write_table(whole.slice(0, 0), folder / "part-9.parquet")
    (folder / "_SUCCESS").write_text("")
    source, _ = opened(table, [folder], label="click", ignore=["price"])
    assert everything(source)["ad"] == [str(2**53 + row % 7) for row in range(60)]
    assert source.warnings == ["part-9.parquet has no rows"]
    assert any("passed over _SUCCESS" in note for note in source.notes)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["3", "1.5", "-2"], [3, 1.5, -2]),
        (["1970-01-01", "1970-01-02", "1969-12-31"], [0, 86400e6, -86400e6]),
        (["1970-01-01 00:00:01", "1970-01-01T00:00:00.5", "1970-01-01 00:01"], [1e6, 0.5e6, 60e6]),
        (["1970-01-01T00:00:01Z", "1970-01-01T01:00:00+01:00", "1970-01-01 00:00:00-00:30"], [1e6, 0, 1800e6]),
        (["1970-01-01T00:00:00.000001500", "1970-01-01T00:00:01", "1970-01-01"], [1.5, 1e6, 0]),
    ],
)
def test_times(tmp_path: Path, values: list[str], expected: list[float]) -> None:
    path = tmp_path / "log.csv"
    path.write_text("click,at,x\n" + "".join(f"0,{value},a\n" for value in values))
    source, columns = opened(table, [path], label="click", time="at")
    assert "at" not in (*columns.dense, *columns.sparse)
    assert everything(source)[":time"] == expected


def test_a_time_may_be_a_feature_too(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("click,hour,x\n0,3,a\n1,4,b\n")
    source, _ = opened(table, [path], label="click", time="hour", categorical=["hour", "x"])
    found = everything(source)
    assert found["hour"] == ["3", "4"]
    assert found[":time"] == [3, 4]
    source, _ = opened(table, [path], label="click", time="hour", numeric=["hour"])
    assert everything(source)["hour"] == everything(source)[":time"] == [3, 4]


def test_weights(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("click,w,x\n0,3,a\n1,0.25,b\n")
    source, columns = opened(table, [path], label="click", weight="w")
    assert columns.weight == "w"
    assert "w" not in (*columns.dense, *columns.sparse)
    assert everything(source)[":weight"] == [3, 0.25]
    assert "w: weight of the row, as asked for" in source.notes


def test_columns_that_look_like_times_are_left_out_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("click,at,x\n0,2014-10-21 00:00:00,a\n1,2014-10-21 00:00:01,b\n")
    source, columns = opened(table, [path], label="click")
    assert columns.ignored == ("at",)
    assert "at: ignored, '2014-10-21 00:00:00' is a time; --time uses it for a split by time" in source.notes


def test_seconds_since_1970_are_a_time_if_the_name_says_so() -> None:
    seconds = pa.array([str(1_400_000_000 + n * 977 % 10**6) for n in range(50)])
    assert infer(seconds, "event_time")[0] == infer(seconds, "ts")[0] == infer(seconds, "createdAt")[0] == "ignore"
    assert infer(seconds, "user")[0] == infer(seconds, "rate")[0] == "categorical"
    assert infer(pa.array([1_400_000_000_123, 1_400_000_000_124]), "timestamp")[0] == "ignore"
    assert infer(pa.array([str(n) for n in range(50)] * 2), "time_on_page")[0] == "numeric"


def test_progress_is_by_bytes(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("click,x\n" + "0,a\n" * 1000)
    source, _ = opened(table, [tmp_path / "a.csv", tmp_path / "b.csv"], label="click")
    assert source.rows_expected(0) is None
    rows = 0
    for chunk in source.chunks():
        rows += len(chunk.label)
        assert source.rows_expected(rows) == 2000


@pytest.mark.parametrize(
    "name", ["user_id", "id", "itemId", "adID", "zip", "post.code", "category_code", "userid", "item", "last_itemid"]
)
def test_whole_numbers_under_the_name_of_an_identifier_are_categories(name: str) -> None:
    numbers = pa.array([str(row % 50) for row in range(200)])
    assert infer(numbers, name) == (
        "categorical",
        f"integers, and the name {name!r} says that they identify something",
    )


@pytest.mark.parametrize("name", ["paid", "bid", "visits", "grid", "humidity", "barcodes"])
def test_other_names_say_nothing(name: str) -> None:
    assert infer(pa.array([str(row % 50) for row in range(200)]), name)[0] == "numeric"
