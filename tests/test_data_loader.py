"""Batches: every row once an epoch, addressed, resumable."""

from __future__ import annotations

import tracemalloc
from itertools import chain, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nasrec_nni.data.loader import Batches, labels_of
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    """`x` is the row number, so that a batch tells which rows it has."""
    folder = tmp_path_factory.mktemp("loader")
    lines = [f"{row % 2},{row},v{row % 7}" for row in range(103)]
    (folder / "log.csv").write_text("\n".join(["y,x,c", *lines]))
    options = {"label": "y", "numeric": ["x"], "categorical": ["c"], "transform": "identity"}
    return prepare("table", [folder / "log.csv"], folder / "out", options, progress=False)


def read(batches: Batches) -> list[list[int]]:
    return [batch.dense[:, 0].long().tolist() for batch in batches]


@pytest.mark.parametrize("seed", [None, 0, 7])
def test_every_row_once_an_epoch(prepared: PreparedSet, seed: int | None) -> None:
    rows = prepared.rows("train")
    batches = Batches(prepared, rows, 10, seed)
    first, second = read(batches), read(batches)
    assert len(first) == len(batches) == 9
    for epoch in (first, second):
        assert sorted(chain.from_iterable(epoch)) == sorted(rows.tolist())
    assert (first == second) == (seed is None)
    assert (list(chain.from_iterable(first)) == rows.tolist()) == (seed is None)
    assert batches.epoch == 2


def test_a_batch_is_its_address(prepared: PreparedSet) -> None:
    rows = prepared.rows("train")
    one, other = Batches(prepared, rows, 16, 3), Batches(prepared, rows, 16, 3)
    expected = read(one)
    for step in reversed(range(len(other))):
        other.batch(5, step)
        batch = other.batch(0, step)
        numbers = batch.dense[:, 0].long()
        assert numbers.tolist() == expected[step]
        assert batch.dense.dtype == batch.label.dtype == torch.float32
        assert batch.sparse.dtype == torch.int64
        assert batch.label.tolist() == (numbers % 2).tolist()
        assert batch.sparse.tolist() == prepared.sparse[numbers.numpy()].tolist()
    with pytest.raises(IndexError):
        other.batch(0, len(other))


def test_resume_from_epoch_and_step(prepared: PreparedSet) -> None:
    rows = prepared.rows("train")
    whole = Batches(prepared, rows, 16, 3)
    expected = read(whole) + read(whole)
    resumed = Batches(prepared, rows, 16, 3)
    resumed.epoch, resumed.start = 1, 2
    assert read(resumed) == expected[len(whole) + 2 :]
    assert (resumed.epoch, resumed.start) == (2, 0)


def test_incomplete_last_batch(prepared: PreparedSet) -> None:
    rows = prepared.rows("train")
    whole = Batches(prepared, rows, 16, 3, drop_last=True)
    assert len(whole) == len(rows) // 16 == len(list(whole))
    assert all(len(batch.label) == 16 for batch in islice(whole, 5))


def test_zeros_stand_in_for_the_dense_side(prepared: PreparedSet, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("\n".join(["y,c", *(f"{row % 2},v{row % 3}" for row in range(20))]))
    options = {"label": "y", "categorical": ["c"]}
    only = prepare("table", [tmp_path / "log.csv"], tmp_path / "out", options, progress=False)
    batch = Batches(only, only.rows("train"), 4, 0).batch(0, 0)
    assert torch.equal(batch.dense, torch.zeros(4, 1))
    assert np.isfinite(batch.sparse.numpy()).all()


def weighted(prepared: PreparedSet, weight: np.ndarray | None) -> Any:
    """The same arrays with a weight a row."""
    return SimpleNamespace(dense=prepared.dense, sparse=prepared.sparse, label=prepared.label, weight=weight)


def test_a_weight_stays_with_its_row(prepared: PreparedSet) -> None:
    weight = np.arange(1, 104, dtype=np.float32)
    rows = prepared.rows("train")
    for batch in Batches(weighted(prepared, weight), rows, 10, 3):
        assert batch.weight is not None
        assert batch.weight.dtype == torch.float32
        assert (batch.weight - 1).tolist() == batch.dense[:, 0].tolist()
    assert all(batch.weight is None for batch in Batches(prepared, rows, 10, 3))
    label, found = labels_of(weighted(prepared, weight), rows[3:6])
    assert (label.tolist(), found.tolist()) == ((rows[3:6] % 2).tolist(), (rows[3:6] + 1).tolist())  # type: ignore[union-attr]
    assert labels_of(prepared, rows)[1] is None


def test_a_batch_moves_with_and_without_weights(prepared: PreparedSet) -> None:
    plain = Batches(prepared, prepared.rows("train"), 10, 3).batch(0, 0)
    assert plain.to(torch.device("cpu")).weight is None
    moved = plain._replace(weight=torch.ones(10)).to(torch.device("meta"))
    assert {part.device.type for part in moved if part is not None} == {"meta"}
    assert moved.weight is not None


def test_rows_may_stay_on_disk(prepared: PreparedSet, tmp_path: Path) -> None:
    rows = np.array(prepared.rows("train"))[::-1]
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for seed in (None, 4):
        assert read(Batches(prepared, mapped, 16, seed)) == read(Batches(prepared, rows, 16, seed))


def test_an_epoch_holds_no_array_of_all_rows(tmp_path: Path) -> None:
    """A million rows of which ten batches are read: what is allocated is of the order of a batch."""
    n = 1_000_000

    def mapped(name: str, kind: type, *shape: int) -> Any:
        return np.lib.format.open_memmap(tmp_path / name, "w+", kind, (n, *shape))

    prepared: Any = SimpleNamespace(
        dense=mapped("dense", np.float32, 1),
        sparse=mapped("sparse", np.int32, 1),
        label=mapped("label", np.float32),
        weight=mapped("weight", np.float32),
    )
    rows = mapped("rows", np.int64)
    tracemalloc.start()
    try:
        batches = Batches(prepared, rows, 1000, 0)
        for step in range(10):
            batches.batch(0, step)
        assert tracemalloc.get_traced_memory()[1] < n
    finally:
        tracemalloc.stop()


def test_a_row_number_that_does_not_exist_is_refused(prepared: PreparedSet) -> None:
    with pytest.raises(IndexError):
        Batches(prepared, np.array([0, 103]), 2, 0).batch(0, 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_pinned_batches_are_equal(prepared: PreparedSet) -> None:
    rows = prepared.rows("train")
    for plain, pinned in zip(Batches(prepared, rows, 16, 3), Batches(prepared, rows, 16, 3, pin=True), strict=True):
        assert pinned.dense.is_pinned()
        for one, other in zip(plain, pinned.to(torch.device("cuda")), strict=True):
            assert one is other is None or torch.equal(one, other.cpu())
