"""Fully connected sparse operator (embedding FC)."""

from __future__ import annotations

from torch import Tensor, nn

from nasrec_nni.operators.inputs import Inputs, Limits
from nasrec_nni.operators.linear import RowMap


class EFC(nn.Module):
    """`ReLU(LN_S(Q X))`: mixes rows, the same for every embedding coordinate: `[B, E, r_j]` each to `[B, E, S]`.

    Source: NASRec, authors' implementation (`linear-3d`).
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.map = RowMap(limits.sparse, limits.out, limits.layer_norm)

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        return self.map(inputs.sparse, out, relu=True)  # type: ignore[no-any-return]
