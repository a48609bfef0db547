"""Operator-balanced dot product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nasrec_nni.architecture.description import dot_product_rows
from nasrec_nni.operators.inputs import Inputs, Limits
from nasrec_nni.operators.linear import ColumnMap, RowMap, Tail, kernels_serve, multiply_add, xavier
from nasrec_nni.operators.slices import take


class PairProducts(torch.autograd.Function):
    """Products of pairs of rows `[B, E, M]`: `[B, pairs]`.

    Arguments are the rows, the places `a M + b` of the pairs, and `pair_numbers(M)`, flat. With `G` the symmetric
    matrix of the pairs' gradients, the rows' gradient is one product `rows G`, where autograd takes two, and spreads
    the pairs over zeros first.
    """

    @staticmethod
    def forward(context: Any, rows: Tensor, places: Tensor, numbers: Tensor) -> Tensor:
        context.save_for_backward(rows, numbers)
        return torch.bmm(rows.transpose(1, 2), rows).flatten(1).index_select(1, places)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        rows, numbers = context.saved_tensors
        count = rows.shape[2]
        both = gradient.to(rows.dtype).index_select(1, numbers).view(-1, count, count)
        both.diagonal(dim1=1, dim2=2).zero_()
        return torch.bmm(rows, both), None, None


def pair_numbers(count: int) -> Tensor:
    """Which pair rows `a` and `b` make, `[count, count]`, in the order of `tril_indices`; anything where `a = b`."""
    first = torch.arange(count)
    larger, smaller = torch.maximum(first, first[:, None]), torch.minimum(first, first[:, None])
    return (larger * (larger - 1) // 2 + smaller).fill_diagonal_(0)


class DotProduct(nn.Module):
    """Pairwise products of one dense row and k = round(sqrt(2 D)) mixed sparse rows, to `[B, D]`.

    ```
    dense  [B, w_j]    ─ A ─ LN ─ x        (absent where Σ w_j = E)
    sparse [B, E, r_j] ─ Q ─ LN ─ Y, k rows (absent where Σ r_j = k)
    T = (x, Y_1 … Y_k);  p = T_a · T_b for a > b;  d = LN(p W)
    ```
    The pairs of a smaller k are the leading ones of a larger k, so W is sliced like any weight. W is absent
    where k(k+1)/2 = D. Source: NASRec, authors' implementation (`dot-product`).
    """

    pair_rows: Tensor
    pair_columns: Tensor
    pair_numbers: Tensor

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        out, width = limits.out, limits.embedding
        k = dot_product_rows(out)
        pairs = k * (k + 1) // 2
        self.width = width
        self.dense = (
            ColumnMap(limits.dense, width, limits.layer_norm) if self._maps(limits, width, limits.columns) else None
        )
        self.sparse = RowMap(limits.sparse, k, limits.layer_norm) if self._maps(limits, k, limits.rows) else None
        needed = limits.elastic or pairs != out
        self.weight = xavier((pairs, out), pairs, out) if needed else None
        self.tail = Tail(out, limits.layer_norm) if needed or limits.layer_norm else None
        rows, columns = torch.tril_indices(k + 1, k + 1, -1)
        self.register_buffer("pair_rows", rows, persistent=False)
        self.register_buffer("pair_columns", columns, persistent=False)
        self.register_buffer("pair_numbers", pair_numbers(k + 1), persistent=False)

    @staticmethod
    def _maps(limits: Limits, wanted: int, given: int) -> bool:
        return limits.elastic or given != wanted

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        k = dot_product_rows(out)
        pairs = k * (k + 1) // 2
        p = self._pairs(self._dense_row(inputs), self._sparse_rows(inputs, k), pairs)
        if pairs != out:
            assert self.weight is not None and self.tail is not None
            p = multiply_add(self.tail.start(out), p, take(self.weight, pairs, out))
        return p if self.tail is None else self.tail(p)

    def _pairs(self, x: Tensor, rows: Tensor, pairs: int) -> Tensor:
        if kernels_serve(rows.shape[0] * rows.shape[1], x, rows):
            from nasrec_nni.operators.kernels.pairs import PairsOfRows  # numba takes half a second to import

            return PairsOfRows.apply(x, rows)  # type: ignore[no-any-return,no-untyped-call]
        rows = torch.cat((x.unsqueeze(2), rows), 2)
        count = rows.shape[2]
        places = self.pair_rows[:pairs] * count + self.pair_columns[:pairs]
        numbers = self.pair_numbers[:count, :count].flatten()
        return PairProducts.apply(rows, places, numbers)  # type: ignore[no-any-return,no-untyped-call]

    def _dense_row(self, inputs: Inputs) -> Tensor:
        if sum(x.shape[1] for x in inputs.dense.values()) == self.width:
            return torch.cat(tuple(inputs.dense.values()), 1)
        assert self.dense is not None
        return self.dense(inputs.dense, self.width)  # type: ignore[no-any-return]

    def _sparse_rows(self, inputs: Inputs, k: int) -> Tensor:
        if sum(rows.count for rows in inputs.sparse.values()) == k:
            return torch.cat([part for rows in inputs.sparse.values() for part in rows.parts], 2)
        assert self.sparse is not None
        return self.sparse(inputs.sparse, k)  # type: ignore[no-any-return]
