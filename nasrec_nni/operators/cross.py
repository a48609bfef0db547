"""The cross layer of DCN-V2."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasrec_nni.operators.flat import RowsToColumns
from nasrec_nni.operators.inputs import Inputs, Limits
from nasrec_nni.operators.linear import ColumnMap, Norm, multiply_add, xavier
from nasrec_nni.operators.slices import take


class Cross(nn.Module):
    """`LN(x_0 ∘ (x W + b) + x)`: `[B, w_j]`, `[B, E, r_j]` each to `[B, D]`; no activation.

    ```
    sparse [B, E, r_j] ─ Q ─ LN ─ flatten ─ P ─ LN ── x_0 ─┬─────────── ∘ ─ + ─ LN ─ d
    dense  [B, w_j]    ─ V ─ LN ─────────────────── + ─ x ─┴─ W, b ─────┘   x
    ```
    x_0 is the sparse sources brought to D columns, x the same plus the dense sources: in the first block a cross
    layer on the input, behind another cross (whose output holds its own x_0) the next one. b is there with layer
    norm on too. Source: DCN-V2; how x_0 and x come to D columns is ours.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        out = limits.out
        self.sparse = RowsToColumns(limits)
        self.dense = ColumnMap(limits.dense, out, limits.layer_norm)
        self.weight = xavier((out, out), out, out)
        self.bias = nn.Parameter(torch.zeros(out))
        self.norm = Norm(out) if limits.layer_norm else None

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        first = self.sparse(inputs.sparse, out)
        x = first + self.dense(inputs.dense, out)
        crossed = first * multiply_add(take(self.bias, out), x, take(self.weight, out, out)) + x
        return crossed if self.norm is None else self.norm(crossed)  # type: ignore[no-any-return]
