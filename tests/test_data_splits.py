"""Split rules: membership, ties, folds as scikit-learn deals them, negative sampling."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.data.preparing.folds import stratified_folds
from nasrec_nni.data.preparing.splits import time_cuts, uniform
from nasrec_nni.errors import UserError


def log(path: Path, labels: list[int], times: list[float] | None = None) -> Path:
    times = times or [float(row) for row in range(len(labels))]
    lines = [f"{y},{'abc'[row % 3]},{t}" for row, (y, t) in enumerate(zip(labels, times, strict=True))]
    path.write_text("\n".join(["y,c,t", *lines]) + "\n")
    return path


def made(tmp_path: Path, labels: list[int], name: str = "out", **options: Any) -> PreparedSet:
    times = options.pop("times", None)
    roles = {"label": "y", "categorical": ["c"], "time": "t"}
    return prepare(
        "table", [log(tmp_path / "log.csv", labels, times)], tmp_path / name, roles | options, progress=False
    )


def members(prepared: PreparedSet) -> dict[str, list[int]]:
    found = {"train": prepared.rows("train"), "val": prepared.rows("val"), "test": prepared.test_rows()}
    return {split: rows.tolist() for split, rows in found.items()}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=8, max_size=400), st.integers(3, 12), st.integers(0, 2**32 - 1))
def test_folds_are_scikit_learns(labels: list[int], folds: int, seed: int) -> None:
    y = np.array([*labels, *[0] * folds, *[1] * folds], np.uint8)
    expected = np.empty(len(y), int)
    for fold, (_, rows) in enumerate(StratifiedKFold(folds, shuffle=True, random_state=seed).split(y, y)):
        expected[rows] = fold
    assert stratified_folds(y, folds, seed).tolist() == expected.tolist()


@pytest.mark.parametrize("slip", [False, True])
def test_nasrec_split(tmp_path: Path, slip: bool) -> None:
    labels = (np.random.default_rng(0).random(333) < 0.2).astype(int).tolist()
    prepared = made(tmp_path, labels, split="nasrec", first_line_slip=slip)
    folds = [test for _, test in StratifiedKFold(10, shuffle=True, random_state=2018).split(labels, labels)]
    written = [sorted(np.concatenate(folds[:8]).tolist()), folds[8].tolist(), folds[9].tolist()]
    if slip:  # the label of row r decides for row r + 1, and the first row is in no file
        written = [[row + 1 for row in rows if row + 1 < len(labels)] for rows in written]
    assert list(members(prepared).values()) == written
    assert prepared.manifest.get("left_out", 0) == int(slip)


def test_k_fold_covers_every_row_once_as_test(tmp_path: Path) -> None:
    labels = [int(row % 4 == 0) for row in range(60)]
    found = [made(tmp_path, labels, f"f{fold}", split="k_fold", folds=4, fold=fold) for fold in range(4)]
    tests = [members(prepared)["test"] for prepared in found]
    assert sorted(chain.from_iterable(tests)) == list(range(60))
    assert [members(prepared)["val"] for prepared in found] == tests[1:] + tests[:1]
    assert all(sum(labels[row] for row in rows) in (3, 4) for rows in tests)
    with pytest.raises(UserError, match="no such fold, got 4; allowed: 0 to 3"):
        made(tmp_path, labels, "bad", split="k_fold", folds=4, fold=4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=30, max_size=200))
def test_by_time_never_cuts_a_moment(times: list[int]) -> None:
    moments = np.array(times, float)
    try:
        parts = np.searchsorted(time_cuts(moments.copy()), moments, "right")
    except UserError:
        assert max(np.bincount(times)) > len(times) // 10
        return
    for earlier, later in ((0, 1), (1, 2)):
        assert moments[parts == earlier].max() < moments[parts == later].min()
    assert (parts == 0).sum() <= int(0.8 * len(times))


def test_by_time_without_a_time_column_and_with_one_moment(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"needs a column of times.*--time"):
        made(tmp_path, [0, 1] * 20, split="by_time", time=None, ignore=["t"])
    with pytest.raises(UserError, match="1 different times among 40 rows"):
        made(tmp_path, [0, 1] * 20, split="by_time", times=[5.0] * 40)


def test_the_slip_belongs_to_nasrec(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="first_line_slip belongs to split 'nasrec'"):
        made(tmp_path, [0, 1] * 20, split="random", first_line_slip=True)


def test_negative_sampling_thins_training_rows_without_a_click_only(tmp_path: Path) -> None:
    labels = [int(row % 5 == 0) for row in range(4000)]
    whole, thinned = made(tmp_path, labels, "a"), made(tmp_path, labels, "b", negatives=0.25)
    before, after = members(whole), members(thinned)
    assert after["val"] == before["val"] and after["test"] == before["test"]
    assert {row for row in before["train"] if labels[row]} <= set(after["train"]) <= set(before["train"])
    others = sum(1 - labels[row] for row in before["train"])
    kept = sum(1 - labels[row] for row in after["train"])
    assert abs(kept / others - 0.25) < 0.03
    assert thinned.negative_rate == 0.25
    assert thinned.manifest["negatives"] == {"rate": 0.25, "kept": kept, "left_out": others - kept}
    assert thinned.fingerprint != whole.fingerprint


def test_uniform_is_even_and_fixed_by_row_and_seed() -> None:
    rows = np.arange(100_000, dtype=np.uint64)
    drawn = uniform(rows, 1)
    counts = np.histogram(drawn, 20, (0, 1))[0]
    assert ((counts - 5000) ** 2 / 5000).sum() < 45  # chi-square, 19 degrees of freedom, p about 0.001
    assert np.array_equal(uniform(rows[777:], 1), drawn[777:])
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.02
    assert abs(np.corrcoef(drawn, uniform(rows, 2))[0, 1]) < 0.02
