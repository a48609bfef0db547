"""Gated fusion of dense columns and sparse rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasrec_nni.operators.flat import RowsToColumns
from nasrec_nni.operators.inputs import Inputs, Limits
from nasrec_nni.operators.linear import ColumnMap, multiply_add, xavier
from nasrec_nni.operators.slices import take


class GatedFusion(nn.Module):
    """`g ∘ a + (1 - g) ∘ s` with `g = σ((a + s) G + c)`: `[B, w_j]`, `[B, E, r_j]` each to `[B, D]`.

    ```
    dense  [B, w_j]    ─ A ─ LN ─ ReLU ──────────────────── a ─┬─ + ─ G, c ─ σ ─ g      d = g ∘ a + (1 - g) ∘ s
    sparse [B, E, r_j] ─ Q ─ LN ─ flatten ─ P ─ LN ─ ReLU ─ s ─┘
    ```
    Two streams as in FinalMLP, each an FC of its own; per column and example a gate says how much of each passes,
    in the spirit of MaskNet's mask from the instance. c is there with layer norm on too; no norm behind: both
    streams have theirs. The fusion's formula is ours.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        out = limits.out
        self.dense = ColumnMap(limits.dense, out, limits.layer_norm)
        self.sparse = RowsToColumns(limits)
        self.weight = xavier((out, out), out, out)
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        dense: Tensor = self.dense(inputs.dense, out, relu=True)
        sparse: Tensor = self.sparse(inputs.sparse, out, relu=True)
        weight = take(self.weight, out, out)
        gate = torch.sigmoid(multiply_add(take(self.bias, out), dense + sparse, weight))
        return torch.lerp(sparse, dense, gate.to(sparse.dtype))
