"""Field-aware product: every pair of rows has a matrix of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrec_nni.architecture.description import dot_product_rows
from nasrec_nni.operators.inputs import Inputs, Limits
from nasrec_nni.operators.linear import RowMap, Tail, multiply_add, xavier
from nasrec_nni.operators.slices import take


class FieldAwareProduct(nn.Module):
    """Products of k + 1 mixed rows, each seen by every partner through a matrix: `[B, E, r_j]` each to `[B, D]`.

    ```
    sparse [B, E, r_j] ─ Q ─ LN ─ Y, k + 1 rows;  p = Y_b · (M_ab Y_a) for a > b;  d = LN(p W)
    ```
    k = round(sqrt(2 D)) as in the dot product, so that there are about D pairs at every width. The pairs of fewer
    rows are the leading ones, so M (E × E a pair) and W are sliced like any weight. No activation.
    Of the field's forms this one serves any number of rows: ONN has a table for every pair of fields, which fixes
    them; here the view that a row gives a partner is a linear map of the row. Rows are learned mixtures of fields.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        out, width = limits.out, limits.embedding
        k = dot_product_rows(out)
        pairs = k * (k + 1) // 2
        self.map = RowMap(limits.sparse, k + 1, limits.layer_norm)
        self.matrices = xavier((pairs * width, width), width, width)
        self.weight = xavier((pairs, out), pairs, out)
        self.tail = Tail(out, limits.layer_norm)

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        k = dot_product_rows(out)
        pairs = k * (k + 1) // 2
        rows = self.map(inputs.sparse, k + 1).transpose(1, 2).contiguous()
        matrices = take(self.matrices, pairs * rows.shape[2], rows.shape[2])
        products: Tensor = MatrixProducts.apply(rows, matrices)  # type: ignore[no-untyped-call]
        return self.tail(multiply_add(self.tail.start(out), products, take(self.weight, pairs, out)))  # type: ignore[no-any-return]


class MatrixProducts(torch.autograd.Function):
    """`Y_b · (M_ab Y_a)` of rows `[B, n, E]` and matrices `[pairs E, E]`: `[B, pairs]`, order (1,0), (2,0), (2,1) ….

    Row a's views for all b < a are one product. They are as large as pairs E columns a batch row, so they are made
    again in the backward pass rather than kept.
    """

    @staticmethod
    def forward(context: Any, rows: Tensor, matrices: Tensor) -> Tensor:
        context.save_for_backward(rows, matrices)
        matrices = matrices.to(rows.dtype)
        found = [torch.linalg.vecdot(_views(rows, matrices, a), rows[:, :a]) for a in range(1, rows.shape[1])]
        return torch.cat(found, 1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        rows, matrices = context.saved_tensors
        same, slopes = matrices.to(rows.dtype), torch.zeros_like(rows)
        matrix_slopes = torch.empty_like(same)
        for a in range(1, rows.shape[1]):
            own = gradient[:, a * (a - 1) // 2 :][:, :a].to(rows.dtype).unsqueeze(2)
            partner = (own * rows[:, :a]).flatten(1)
            slopes[:, :a] += _views(rows, same, a).mul_(own)
            slopes[:, a] += partner @ _block(same, a)
            torch.mm(partner.T, rows[:, a], out=_block(matrix_slopes, a))
        return slopes, matrix_slopes.to(matrices.dtype)


def _block(matrices: Tensor, a: int) -> Tensor:
    """The matrices of row a with all rows before it, `[a E, E]`."""
    width = matrices.shape[1]
    return matrices[a * (a - 1) // 2 * width : a * (a + 1) // 2 * width]


def _views(rows: Tensor, matrices: Tensor, a: int) -> Tensor:
    """`M_ab Y_a` for all b < a, `[B, a, E]`."""
    return F.linear(rows[:, a], _block(matrices, a)).to(rows.dtype).view(-1, a, rows.shape[2])
