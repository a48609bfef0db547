"""Fully connected dense operator."""

from __future__ import annotations

from torch import Tensor, nn

from nasrec_nni.operators.inputs import Inputs, Limits
from nasrec_nni.operators.linear import ColumnMap


class FC(nn.Module):
    """`ReLU(LN([x_j] W))` over the dense sources: `[B, w_j]` each to `[B, D]`.

    ```
    x_1 ─ W_1 ┐
    x_2 ─ W_2 ┼─ + ─ LN or bias ─ ReLU ─ d
    ```
    Source: NASRec, authors' implementation (`linear-2d`).
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.map = ColumnMap(limits.dense, limits.out, limits.layer_norm)

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        return self.map(inputs.dense, out, relu=True)  # type: ignore[no-any-return]
