"""The torch module of my-operator. Replace the formula by yours; the tests say whether it still fits a supernet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasrec_nni.authoring import ColumnMap, Inputs, Limits


class MyOperator(nn.Module):
    """`tanh(LN([x_j] W))`: the dense sources, `[B, w_j]` each, to `[B, D]`."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.map = ColumnMap(limits.dense, limits.out, limits.layer_norm)

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        return torch.tanh(self.map(inputs.dense, out))
