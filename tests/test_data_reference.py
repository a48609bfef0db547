"""Prepare, read back: equal to a slow and obvious reading of the same table, for every transform and split."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from nasrec_nni.data.encoder import Encoder
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.data.preparing import vocabulary
from nasrec_nni.data.sources import text

LEAST = 12  # rows of each label, so that ten folds are possible
CELL = st.sampled_from(["a", "b", "c d", 'q"x', "e,f", "é", "two\nlines", "NA", " 1", "01", "1", "🎈", ""])
NUMBER = st.one_of(st.none(), st.integers(-5, 1000), st.floats(-1e6, 1e6, allow_nan=False), st.just(3.0))
HEX = st.one_of(st.just(""), st.integers(0, 2**40).map(str), st.integers(0, 2**40).map(lambda v: f"{v:x}"))
TAGS = st.lists(st.sampled_from(["x", "y", "z", "", "x y", "NA"]), max_size=5).map("|".join)
ROW = st.fixed_dictionaries(
    {
        "y": st.integers(0, 1),
        "x": NUMBER,
        "k": NUMBER,
        "c": CELL,
        "h": HEX,
        "tags": TAGS,
        "t": st.integers(0, 30),
        "w": st.integers(1, 5),
        "s": st.sampled_from(["train", "val", "test"]),
    }
)
ROLES: dict[str, Any] = {
    "label": "y",
    "numeric": ["x", "k"],
    "categorical": ["c", "h", "tags"],
    "time": "t",
    "weight": "w",
    "separator": {"tags": "|"},
}


@st.composite
def logs(draw: Any) -> pd.DataFrame:
    rows = draw(st.lists(ROW, min_size=2 * LEAST, max_size=70))
    for index in range(2 * LEAST):
        rows[index]["y"] = index % 2
    for index, name in enumerate(("train", "val", "test")):
        rows[index]["s"] = name
    for index in range(10):  # enough different times for a cut
        rows[index]["t"] = 100 + 10 * index
    return pd.DataFrame(rows)[["y", "x", "k", "c", "h", "tags", "t", "w", "s"]].astype({"x": object, "k": object})


OPTIONS = st.fixed_dictionaries(
    {
        "split": st.sampled_from(["random", "nasrec", "permutation", "in_order", "given", "by_time", "k_fold"]),
        "transform": st.fixed_dictionaries(
            {
                "x": st.sampled_from(["auto", "log1p", "standardize", "identity", "quantile"]),
                "k": st.sampled_from(["log2_bins", "auto"]),
            }
        ),
        "encoding": st.fixed_dictionaries(
            {"c": st.sampled_from(["vocabulary", "hash"]), "h": st.sampled_from(["vocabulary", "hash_mod"])}
        ),
        "hash_rows": st.fixed_dictionaries({"c": st.integers(3, 9), "h": st.integers(3, 50)}),
        "min_count": st.integers(1, 3),
        "max_length": st.integers(1, 3),
        "negatives": st.sampled_from([None, 0.5]),
        "missing": st.sampled_from([[], ["NA", "x y"]]),
        "seed": st.sampled_from([None, 5]),
        "first_line_slip": st.booleans(),
    }
)


def parts(read: pd.DataFrame, options: dict[str, Any]) -> list[str | None]:
    """Split of each row."""
    n, seed, name = len(read), options["seed"] or 0, options["split"]
    places = [["train"] * int(0.8 * n), ["val"] * (int(0.9 * n) - int(0.8 * n)), ["test"] * (n - int(0.9 * n))]
    in_turn = [split for part in places for split in part]
    found: list[str | None] = [None] * n
    if name == "in_order":
        found = list(in_turn)
    elif name in ("random", "permutation"):
        for place, row in enumerate(np.random.default_rng(seed).permutation(n)):
            found[row] = in_turn[place]
    elif name == "given":
        found = read["s"].tolist()
    elif name == "by_time":
        times = sorted(read["t"])
        val, test = times[int(0.8 * n)], times[int(0.9 * n)]
        found = ["test" if t >= test else "val" if t >= val else "train" for t in read["t"]]
    else:
        folds, random = (10, 2018 if options["seed"] is None else seed) if name == "nasrec" else (5, seed)
        dealt = StratifiedKFold(folds, shuffle=True, random_state=random).split(read, read["y"])
        for fold, (_, rows) in enumerate(dealt):
            for row in rows:
                if name == "nasrec":
                    found[row] = "train" if fold < 8 else "val" if fold == 8 else "test"
                else:
                    found[row] = {0: "test", 1: "val"}.get(fold, "train")
        if name == "nasrec" and options["first_line_slip"]:
            found = [None, *found[:-1]]
    if options["negatives"]:
        for row in range(n):
            if found[row] == "train" and read["y"][row] == 0 and drawn(row, seed) >= options["negatives"]:
                found[row] = None
    return found


def drawn(row: int, seed: int) -> float:
    mask = 2**64 - 1
    mixed = (((row + 1) * 0x9E3779B97F4A7C15) & mask) ^ ((seed + 0x6E65676174697665) & mask)
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
    return ((mixed ^ (mixed >> 31)) >> 11) / 2**53


def number(text: str) -> float | None:
    return float(text) if text else None


def transformed(name: str, values: list[float | None], train: list[int]) -> list[float]:
    seen = [v for v in (values[row] for row in train) if v is not None]
    if name == "auto":
        name = "standardize" if any(v < 0 for v in seen) else "log1p"
    mean = sum(seen) / len(seen) if seen else 0.0
    deviation = math.sqrt(sum((v - mean) ** 2 for v in seen) / len(seen)) if seen else 1.0
    knots = [float(np.quantile(seen, q)) for q in np.linspace(0, 1, max(2, min(256, len(seen))))] if seen else []

    def one(v: float) -> float:
        if name == "log1p":
            return math.log1p(max(v, 0.0))
        if name == "standardize":
            return (v - mean) / (deviation or 1.0)
        if name == "identity":
            return v
        if not knots:
            return 0.0
        same = [place for place, knot in enumerate(knots) if knot == v]
        if same:
            return (same[0] + same[-1]) / 2 / (len(knots) - 1)
        below = [place for place, knot in enumerate(knots) if knot < v]
        if len(below) in (0, len(knots)):
            return float(bool(below))
        low, high = knots[below[-1]], knots[below[-1] + 1]
        return (below[-1] + (v - low) / (high - low)) / (len(knots) - 1)

    return [0.0 if v is None else one(v) for v in values]


def binned(v: float | None) -> str:
    if v is None:
        return ""
    return str(math.floor(math.log(v) ** 2)) if v > 2 else str(int(v))


def identifiers(cells: list[list[str]], train: list[int], least: int) -> tuple[list[list[int]], int]:
    counts = Counter(value for row in train for value in set(cells[row]))
    order = sorted((v for v in counts if counts[v] >= least), key=lambda v: (-counts[v], v))
    ids = {value: index for index, value in enumerate(order, 2)}
    return [[ids.get(value, 1) for value in cell] or [0] for cell in cells], len(order) + 2


def hash_id(rule: str, value: str, rows: int) -> int:
    if rule == "hash":
        return 2 + int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "little") % (rows - 2)
    try:
        v = int(value)
    except ValueError:
        v = int(value, 16)
    return int(f"{v % 2147483647:08x}", 16) % (rows - 1) + 1


def check(read: pd.DataFrame, options: dict[str, Any], prepared: PreparedSet) -> None:
    found = parts(read, options)
    rows = {split: [r for r in range(len(read)) if found[r] == split] for split in ("train", "val", "test")}
    if options["split"] == "permutation":
        order = np.random.default_rng(options["seed"] or 0).permutation(len(read))
        rows = {split: [r for r in order if r in set(rows[split])] for split in rows}
    assert prepared.rows("train").tolist() == rows["train"]
    assert prepared.rows("val").tolist() == rows["val"]
    assert prepared.test_rows().tolist() == rows["test"]
    train = rows["train"]

    numbers = {name: [number(text) for text in read[name]] for name in ("x", "k")}
    dense = [transformed(options["transform"]["x"], numbers["x"], train)]
    fields: list[tuple[list[list[int]], int]] = []
    if options["transform"]["k"] == "log2_bins":
        cells = [[value] if value else [] for value in map(binned, numbers["k"])]
        fields.append(identifiers(cells, train, options["min_count"]))
    else:
        dense.append(transformed("auto", numbers["k"], train))
    np.testing.assert_allclose(prepared.dense, np.array(dense).T, rtol=1e-5, atol=1e-6)

    for name in ("c", "h"):
        rule, size = options["encoding"][name], options["hash_rows"][name]
        cells = [[value] if value and value not in options["missing"] else [] for value in read[name]]
        if rule == "vocabulary":
            fields.append(identifiers(cells, train, options["min_count"]))
        else:
            fields.append(([[hash_id(rule, v, size) for v in cell] or [0] for cell in cells], size))
    length = options["max_length"]
    none = ["", *options["missing"]]
    cells = [
        [] if text in none else [value for value in text.split("|") if value not in none][:length]
        for text in read["tags"]
    ]
    tags, size = identifiers(cells, train, options["min_count"])
    fields.append(([(ids + [-1] * length)[:length] for ids in tags], size))
    assert prepared.sparse.tolist() == [[i for ids, _ in fields for i in ids[row]] for row in range(len(read))]
    assert prepared.rows_per_field == tuple(size for _, size in fields)
    assert prepared.label.tolist() == read["y"].tolist()
    assert prepared.weight is not None
    assert prepared.weight.tolist() == read["w"].tolist()
    assert prepared.negative_rate == (options["negatives"] or 1.0)
    assert np.isfinite(prepared.dense).all()


@settings(max_examples=200, deadline=None)
@given(log=logs(), options=OPTIONS, block=st.sampled_from([1 << 24, 600]), waiting=st.sampled_from([1 << 17, 2]))
def test_equal_to_a_slow_reference(log: pd.DataFrame, options: dict[str, Any], block: int, waiting: int) -> None:
    """Small blocks make many chunks of one table, and few waiting values many rounds of numbering them."""
    small = (patch.object(text, "BLOCK", block), patch.object(vocabulary, "WAITING", waiting))
    with tempfile.TemporaryDirectory() as folder, small[0], small[1]:
        path = Path(folder) / "log.csv"
        log.to_csv(path, index=False)
        given_options = ROLES | options
        if options["split"] == "given":
            given_options["split_column"] = "s"
        else:
            given_options["ignore"] = ["s"]
        if options["split"] != "nasrec":
            given_options.pop("first_line_slip")
        given_options["hash_rows"] = {
            name: rows for name, rows in options["hash_rows"].items() if options["encoding"][name] != "vocabulary"
        }
        prepared = prepare("table", [path], Path(folder) / "out", given_options, progress=False)
        read = pd.read_csv(path, dtype=str, keep_default_na=False).astype({"y": int, "w": int, "t": int})
        check(read, options, prepared)

        # the scoring path makes the same of the raw rows, as text and as a pandas frame
        encoder = Encoder.load(prepared.folder)
        names = [name for name in read.columns if name in encoder.names]
        for table in (pa.table({name: pa.array(read[name].tolist()) for name in names}), read[names]):
            encoded = encoder.encode_table(table)
            assert np.array_equal(encoded.dense, prepared.dense)
            assert np.array_equal(encoded.sparse, prepared.sparse)
