"""The scoring path: raw rows of any form become what the prepared arrays hold."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
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
