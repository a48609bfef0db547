"""The cross layer of DCN-V2 on dense columns, for every width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasrec_nni.authoring import ColumnMap, Inputs, Limits, take, xavier


class Cross(nn.Module):
    """`x ∘ (x V + c) + x` with `x = LN([x_j] W)`: `[B, w_j]` each to `[B, D]`. Source: DCN-V2, its first layer.

    ```
    dense [B, w_j] ─ W ─ LN or bias ─ x ─┬─ V, c ─ ∘ ─ + ─ d
                                         └─────────┴───┘
    ```
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.map = ColumnMap(limits.dense, limits.out, limits.layer_norm)
        self.weight = xavier((limits.out, limits.out), limits.out, limits.out)
        self.bias = nn.Parameter(torch.zeros(limits.out))

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        x: Tensor = self.map(inputs.dense, out)
        return x * torch.addmm(take(self.bias, out), x, take(self.weight, out, out)) + x
