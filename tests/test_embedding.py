"""The fused embedding table."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nasrec_nni.operators.embedding import FusedEmbedding


def test_equals_one_table_a_field() -> None:
    fused = FusedEmbedding((3, 5, 2), 4)
    ids = torch.tensor([[2, 4, 1], [0, 0, 0], [1, 3, 1]])
    tables = [nn.Embedding(rows, 4) for rows in (3, 5, 2)]
    for table, weight in zip(tables, fused.weight.split([3, 5, 2]), strict=True):
        table.weight.data.copy_(weight)
    expected = torch.stack([table(ids[:, field]) for field, table in enumerate(tables)], 1)
    assert torch.equal(fused(ids), expected)


def test_cap_sends_rarest_ids_to_the_row_of_unseen_ones() -> None:
    table = FusedEmbedding((10, 3), 2, max_rows_per_field=4)
    assert table.weight.shape == (4 + 3, 2)
    rows = table.table_rows(torch.tensor([[0, 0], [1, 1], [3, 2], [4, 2], [9, 2]]))
    assert rows.tolist() == [[0, 4], [1, 5], [3, 6], [1, 6], [1, 6]]


def test_sparse_gradient_has_the_rows_of_the_batch_only() -> None:
    ids = torch.tensor([[2, 4], [2, 0]])
    sparse, dense = FusedEmbedding((3, 5), 4), FusedEmbedding((3, 5), 4, sparse=False)
    dense.load_state_dict(sparse.state_dict())
    for table in (sparse, dense):
        (table(ids) ** 2).sum().backward()
    assert sparse.weight.grad is not None
    assert sparse.weight.grad.is_sparse
    assert not dense.weight.grad.is_sparse
    assert torch.equal(sparse.weight.grad.to_dense(), dense.weight.grad)
    assert sorted(set(sparse.weight.grad._indices()[0].tolist())) == [2, 3, 7]


@pytest.mark.parametrize("init", ["xavier", 0.3])
def test_deviation_of_the_initial_weight(init: float | str) -> None:
    torch.manual_seed(0)
    table = FusedEmbedding((4_000, 50_000), 16, init=init, max_rows_per_field=20_000)
    small, large = table.weight.split([4_000, 20_000])
    expected = [math.sqrt(2 / 4_016), math.sqrt(2 / 20_016)] if init == "xavier" else [init, init]
    assert small.std().item() == pytest.approx(expected[0], rel=0.02)
    assert large.std().item() == pytest.approx(expected[1], rel=0.02)


@pytest.mark.parametrize(("rows", "cap"), [((), None), ((3, 0), None), ((3, 4), 1)])
def test_impossible_sizes_are_refused(rows: tuple[int, ...], cap: int | None) -> None:
    with pytest.raises(ValueError, match=r"at least one row|reserved"):
        FusedEmbedding(rows, 2, max_rows_per_field=cap)
