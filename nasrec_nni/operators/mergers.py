"""Mergers: dense output to extra sparse rows, sparse output into the dense columns."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nasrec_nni.operators.descriptions import MERGER_ROWS
from nasrec_nni.operators.inputs import Limits
from nasrec_nni.operators.linear import Tail, kernels_serve, multiply_add, xavier
from nasrec_nni.operators.slices import take


class Projection(nn.Module):
    """Dense→sparse: `LN(d P)` reshaped to 8 rows, `[B, D]` to `[B, E, 8]`; only reshaped where D = 8 E.

    Source: NASRec, authors' implementation (`dense_sparse_interact`).
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.width = limits.embedding
        columns = MERGER_ROWS * self.width
        needed = limits.elastic or limits.out != columns
        self.weight = xavier((limits.out, columns), limits.out, columns) if needed else None
        self.tail = Tail(columns, limits.layer_norm) if needed else None

    def forward(self, dense: Tensor) -> Tensor:
        columns = MERGER_ROWS * self.width
        if dense.shape[1] != columns:
            assert self.weight is not None and self.tail is not None
            weight = take(self.weight, dense.shape[1], columns)
            dense = self.tail(multiply_add(self.tail.start(columns), dense, weight))
        return dense.reshape(-1, MERGER_ROWS, self.width).transpose(1, 2).contiguous()


class PairSums(torch.autograd.Function):
    """`(Σ_r s_r)² − Σ_r s_r²` of rows `[B, E, S]`: `[B, E]`. Autograd's own backward pass reads the rows five times."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        total = rows.sum(2)
        context.save_for_backward(rows, total)
        pairs: Tensor = total.square() - torch.linalg.vecdot(rows, rows)
        return pairs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> Tensor:
        rows, total = context.saved_tensors
        slopes: Tensor = total.unsqueeze(2) - rows
        return slopes.mul_((gradient + gradient).unsqueeze(2))


def _sums_of_pairs(rows: Tensor) -> Tensor:
    """`(Σ_r s_r)² − Σ_r s_r²` of rows `[B, E, S]`: `[B, E]`."""
    if kernels_serve(rows.shape[0] * rows.shape[1], rows):
        from nasrec_nni.operators.kernels.fm import SumsOfPairs  # numba takes half a second to import

        return SumsOfPairs.apply(rows)  # type: ignore[no-any-return,no-untyped-call]
    return PairSums.apply(rows)  # type: ignore[no-any-return,no-untyped-call]


class FactorizationMachine(nn.Module):
    """Sparse→dense: `LN(((Σ_r s_r)² − Σ_r s_r²) W)`, `[B, E, S]` to `[B, D]`, to be added; no W where D = E.

    Source: NASRec, authors' implementation (`deep_fm`).
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        width = limits.embedding
        needed = limits.elastic or limits.out != width
        self.weight = xavier((width, limits.out), width, limits.out) if needed else None
        self.tail = Tail(limits.out, limits.layer_norm) if needed else None

    def forward(self, sparse: Tensor, out: int) -> Tensor:
        pairs = _sums_of_pairs(sparse)
        if pairs.shape[1] == out:
            return pairs
        assert self.weight is not None and self.tail is not None
        weight = take(self.weight, pairs.shape[1], out)
        return self.tail(multiply_add(self.tail.start(out), pairs, weight))  # type: ignore[no-any-return]
