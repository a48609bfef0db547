"""The fused embedding table."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nasrec_nni.config import Recipe
from nasrec_nni.operators.embedding import FusedEmbedding
from nasrec_nni.operators.optimizers import build_optimizer


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


# ---- multi-valued fields --------------------------------------------------------------------------------------------

LENGTHS, ROWS = (1, 3, 1, 2), (4, 6, 3, 5)


def draw_ids(batch: int, generator: torch.Generator) -> torch.Tensor:
    """`[B, 7]` ids; a multi-valued field has at least one value, and padding behind."""
    columns = []
    for rows, length in zip(ROWS, LENGTHS, strict=True):
        ids = torch.randint(rows, (batch, length), generator=generator)
        present = torch.arange(length) < torch.randint(1, length + 1, (batch, 1), generator=generator)
        columns.append(torch.where(present, ids, -1))
    return torch.cat(columns, 1)


def slow_means(table: FusedEmbedding, ids: torch.Tensor) -> torch.Tensor:
    """Row by row and field by field."""
    found = []
    for row in ids.tolist():
        start = column = 0
        for rows, length in zip(table.rows, LENGTHS, strict=True):
            values = [value if value < rows else 1 for value in row[column : column + length] if value >= 0]
            found.append(torch.stack([table.weight[start + value] for value in values]).mean(0))
            start, column = start + rows, column + length
    return torch.stack(found).view(len(ids), len(LENGTHS), table.width)


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("cap", [None, 4])
@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), batch=st.integers(1, 9))
def test_a_multi_valued_field_is_the_mean_of_its_values(sparse: bool, cap: int | None, seed: int, batch: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    table = FusedEmbedding(ROWS, 3, sparse=sparse, max_rows_per_field=cap, lengths=LENGTHS).double()
    ids, factors = draw_ids(batch, generator), torch.randn(batch, 4, 3, generator=generator, dtype=torch.float64)
    found = table(ids)
    assert found.shape == (batch, 4, 3)
    (found * factors).sum().backward()
    gradient = table.weight.grad
    assert gradient is not None
    assert gradient.is_sparse == sparse
    table.weight.grad = None
    expected = slow_means(table, ids)
    (expected * factors).sum().backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient.to_dense(), table.weight.grad)


def test_single_valued_fields_are_equal_bits_beside_a_multi_valued_one() -> None:
    plain, mixed = FusedEmbedding(ROWS, 5), FusedEmbedding(ROWS, 5, lengths=LENGTHS)
    mixed.load_state_dict(plain.state_dict())
    ids = draw_ids(50, torch.Generator().manual_seed(0))
    assert torch.equal(mixed(ids)[:, [0, 2]], plain(ids[:, [0, 1, 4, 5]])[:, [0, 2]])


def test_lengths_of_one_change_no_bit() -> None:
    torch.manual_seed(0)
    plain = FusedEmbedding(ROWS, 5)
    torch.manual_seed(0)
    ones = FusedEmbedding(ROWS, 5, lengths=(1, 1, 1, 1))
    ids = torch.stack([torch.randint(rows, (20,)) for rows in ROWS], 1)
    for table in (plain, ones):
        (table(ids) ** 2).sum().backward()
    assert torch.equal(plain(ids), ones(ids))
    assert torch.equal(plain.weight.grad._indices(), ones.weight.grad._indices())  # type: ignore[union-attr]
    assert torch.equal(plain.weight.grad._values(), ones.weight.grad._values())  # type: ignore[union-attr]


@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
def test_padding_touches_no_row(optimizer: str) -> None:
    """Not by a gradient, and not by what an optimizer does to every touched row: momentum and L2."""
    table = FusedEmbedding((4, 6), 3, lengths=(1, 3), init=1.0)
    step = build_optimizer(table, Recipe(optimizer=optimizer, learning_rate=0.1, embedding_l2=0.1))
    start = table.weight.detach().clone()
    for _ in range(3):
        step.zero_grad()
        (table(torch.tensor([[2, 3, -1, -1], [2, 3, 5, -1]])) ** 2).sum().backward()
        assert sorted(set(table.weight.grad._indices()[0].tolist())) == [2, 4 + 3, 4 + 5]  # type: ignore[union-attr]
        step.step()
    moved = (table.weight != start).any(1).nonzero().flatten().tolist()
    assert moved == [2, 4 + 3, 4 + 5]


def test_a_field_without_any_value_is_zeros() -> None:
    table = FusedEmbedding((4, 6), 3, lengths=(1, 2))
    found = table(torch.tensor([[2, -1, -1], [1, 0, 5]]))
    assert torch.equal(found[0, 1], torch.zeros(3))
    torch.testing.assert_close(found[1, 1], table.weight[[4, 9]].mean(0))


def test_all_fields_may_be_multi_valued() -> None:
    table = FusedEmbedding((4, 6), 3, lengths=(2, 2))
    weight = table.weight
    expected = torch.stack((weight[[1, 3]].mean(0), weight[4 + 5]))
    torch.testing.assert_close(table(torch.tensor([[1, 3, 5, -1]]))[0], expected)
    assert table(torch.zeros(0, 4, dtype=torch.long)).shape == (0, 2, 3)


@pytest.mark.parametrize("lengths", [(1,), (1, 0), (1, 1, 1)])
def test_impossible_lengths_are_refused(lengths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one column of ids"):
        FusedEmbedding((4, 6), 3, lengths=lengths)


def test_a_weight_that_is_given_is_used_where_it_lies() -> None:
    weight = torch.arange(24.0).view(8, 3)
    table = FusedEmbedding((5, 3), 3, weight=weight)
    assert table.weight.data_ptr() == weight.data_ptr()
    assert torch.equal(table(torch.tensor([[4, 0]]))[0], weight[[4, 5]])
    with pytest.raises(ValueError, match=r"must be \(8, 3\), got \(7, 3\)"):
        FusedEmbedding((5, 3), 3, weight=weight[:7])
