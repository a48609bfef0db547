"""Batches: every row once an epoch, addressed, resumable."""

from __future__ import annotations

from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest
import torch

from nasrec_nni.data.loader import Batches
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
