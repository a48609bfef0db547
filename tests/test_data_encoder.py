"""The scoring path: raw rows of any form become what the prepared arrays hold."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nasrec_nni.data.encoder import Encoder
from nasrec_nni.data.prepare import open_source, prepare
from nasrec_nni.errors import UserError

ROWS = 400
OPTIONS: dict[str, Any] = {
    "label": "y",
    "numeric": ["price", "age"],
    "categorical": ["city", "ad", "tags", "code"],
    "separator": {"tags": "|"},
    "max_length": 2,
    "transform": {"price": "quantile", "age": "log2_bins"},
    "encoding": {"code": "hash"},
    "hash_rows": {"code": 20},
    "missing": ["NA"],
}


def frame() -> pd.DataFrame:
    random = np.random.default_rng(1)
    cities = np.array(["rom", "oslo", "", "NA"])
    return pd.DataFrame(
        {
            "y": random.integers(0, 2, ROWS),
            "price": np.where(random.random(ROWS) < 0.1, np.nan, random.normal(0, 5, ROWS).round(3)),
            "age": random.integers(-2, 90, ROWS),
            "city": cities[random.integers(0, 4, ROWS)],
            "ad": random.integers(2**53, 2**53 + 30, ROWS),
            "tags": ["|".join("abcd"[: random.integers(0, 5)]) for _ in range(ROWS)],
            "code": [f"{value:x}" for value in random.integers(0, 99, ROWS)],
        }
    )


def test_typed_columns_text_and_chunks_agree_with_the_arrays(tmp_path: Path) -> None:
    raw = frame()
    raw.to_csv(tmp_path / "log.csv", index=False)
    prepared = prepare("table", [tmp_path / "log.csv"], tmp_path / "set", OPTIONS, progress=False)
    shutil.copytree(tmp_path / "set", tmp_path / "elsewhere")
    encoder = Encoder.load(tmp_path / "elsewhere")
    text = pd.read_csv(tmp_path / "log.csv", dtype=str, keep_default_na=False)
    typed = pa.Table.from_pandas(raw)
    log, _ = open_source("table", [tmp_path / "log.csv"], OPTIONS)
    log.columns()
    chunk = next(iter(log.chunks()))
    found = [
        encoder.encode_table(raw),
        encoder.encode_table(text),
        encoder.encode_table(typed),
        encoder.encode_table(typed.to_batches()[0]),
        encoder.encode_table(typed.set_column(3, "city", typed["city"].dictionary_encode())),
        encoder.encode(chunk.dense, chunk.sparse, ROWS),
    ]
    for encoded in found:
        assert np.array_equal(encoded.dense, prepared.dense)
        assert np.array_equal(encoded.sparse, prepared.sparse)


def test_unseen_values_and_single_rows(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "log.csv", index=False)
    encoder = Encoder.load(prepare("table", [tmp_path / "log.csv"], tmp_path / "set", OPTIONS, progress=False).folder)
    row = {"price": 1e9, "age": None, "city": "atlantis", "ad": "007", "tags": "zz|a|b|c", "code": "ff"}
    encoded = encoder.encode_table(pd.DataFrame([row]))
    assert encoded.dense.tolist() == [[1.0]]
    age, city, ad, first, second, code = encoded.sparse[0].tolist()
    assert (age, city, ad, first) == (0, 1, 1, 1)
    assert second >= 2 and 2 <= code < 20
    empty = encoder.encode_table(pd.DataFrame([row]).iloc[:0].astype({"age": float}))
    assert empty.dense.shape == (0, 1) and empty.sparse.shape == (0, 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price": "dear"}, "column price, row 1: not a number, got 'dear'"),
        ({"price": float("inf")}, "column price, row 1: not a number"),
        ({"price": None, "ad": ...}, "a column is missing, got 'ad'"),
    ],
)
def test_bad_rows_are_one_error(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    frame().to_csv(tmp_path / "log.csv", index=False)
    encoder = Encoder.load(prepare("table", [tmp_path / "log.csv"], tmp_path / "set", OPTIONS, progress=False).folder)
    row = {"price": 1.0, "age": 3, "city": "rom", "ad": "1", "tags": "a", "code": "ff"} | change
    with pytest.raises(UserError) as caught:
        encoder.encode_table(pd.DataFrame([{name: value for name, value in row.items() if value is not ...}]))
    assert message in caught.value.message


def test_hash_mod_reads_hexadecimal_only(tmp_path: Path) -> None:
    lines = [f"{row % 2},{row:x}" for row in range(40)]
    (tmp_path / "log.csv").write_text("\n".join(["y,c", *lines]))
    options = {"label": "y", "categorical": ["c"], "encoding": "hash_mod", "hash_rows": 7}
    encoder = Encoder.load(prepare("table", [tmp_path / "log.csv"], tmp_path / "set", options, progress=False).folder)
    assert encoder.encode_table(pd.DataFrame({"c": ["12", "c", ""]})).sparse[:, 0].tolist() == [1, 1, 0]
    with pytest.raises(UserError, match="column c: not a hexadecimal integer, got 'xyz'"):
        encoder.encode_table(pd.DataFrame({"c": ["xyz"]}))
    (tmp_path / "bad.csv").write_text("\n".join(["y,c", *lines, "0,xyz"]))
    with pytest.raises(UserError, match=r"column c: encoding 'hash_mod' reads hexadecimal integers.*got 'xyz'"):
        prepare("table", [tmp_path / "bad.csv"], tmp_path / "no", options, progress=False)
    assert not (tmp_path / "no").exists()


def test_a_type_that_would_be_written_otherwise_is_refused(tmp_path: Path) -> None:
    """pandas makes True of `true`, 3.0 of `3` beside a gap, and nobody would see that no value is known any more."""
    lines = [f"{row % 2},{'true' if row % 3 else 'false'},{row % 7 or ''}" for row in range(60)]
    (tmp_path / "log.csv").write_text("\n".join(["y,flag,ad", *lines]))
    options = {"label": "y", "categorical": ["flag", "ad"], "min_count": 1}
    prepared = prepare("table", [tmp_path / "log.csv"], tmp_path / "set", options, progress=False)
    encoder = Encoder.load(prepared.folder)
    guessed = pd.read_csv(tmp_path / "log.csv")
    text = pd.read_csv(tmp_path / "log.csv", dtype=str, keep_default_na=False)
    for name, kind in (("flag", "bool"), ("ad", "double")):
        with pytest.raises(UserError, match=f"column {name}: .* another type .*got '{kind}'"):
            encoder.encode_table(text.assign(**{name: guessed[name]}))
    nothing = text.iloc[:5].assign(ad=np.nan)
    assert (encoder.encode_table(nothing).sparse[:, 1] == 0).all()
    assert encoder.encode_table(guessed.iloc[:0]).sparse.shape == (0, 2)
    whole = pd.read_csv(tmp_path / "log.csv", dtype={"flag": str, "ad": "Int64"})
    assert np.array_equal(encoder.encode_table(whole).sparse, prepared.sparse)


def test_a_parquet_log_and_frames_of_its_types(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    gap = random.random(ROWS) < 0.2
    table = pa.table(
        {
            "y": pa.array(random.integers(0, 2, ROWS)),
            "n": pa.array(random.choice([-1, 3, 5], ROWS)),
            "i": pa.array(random.integers(0, 9, ROWS), mask=gap),
            "f": pa.array(random.integers(0, 9, ROWS) / 2, pa.float32()),
            "b": pa.array(random.integers(0, 2, ROWS).astype(bool)),
            "t": pa.array(random.integers(0, 5, ROWS), pa.timestamp("s")),
            "s": pa.array(random.choice(["a", "NA", ""], ROWS)).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    roles = {"label": "y", "numeric": ["n"], "categorical": ["i", "f", "b", "t", "s"], "missing": ["-1", "NA"]}
    options = roles | {"transform": "identity", "min_count": 1}
    prepared = prepare("table", [tmp_path / "log.parquet"], tmp_path / "set", options, progress=False)
    assert (prepared.dense[np.array(table["n"]) == -1] == 0).all()
    encoder = Encoder.load(prepared.folder)
    wider = table.set_column(2, "i", table["i"].cast(pa.int32()))
    for given in (table, wider, table.to_pandas(), pq.read_table(tmp_path / "log.parquet")):
        encoded = encoder.encode_table(given)  # pandas has the whole numbers beside gaps as floats
        assert np.array_equal(encoded.dense, prepared.dense)
        assert np.array_equal(encoded.sparse, prepared.sparse)
    with pytest.raises(UserError, match="column n: not a column of numbers"):
        encoder.encode_table(table.set_column(1, "n", pa.array([[1]] * ROWS)))
    with pytest.raises(UserError, match=r"column i: .*another type.*allowed: text, or int64"):
        encoder.encode_table(table.set_column(2, "i", pa.array([1.5] * ROWS)))
