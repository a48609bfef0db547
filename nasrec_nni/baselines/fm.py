"""Factorization Machines (Rendle 2010): all pairs of features through factor vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from nasrec_nni.baselines.layers import FirstOrder, SecondOrder, table
from nasrec_nni.baselines.settings import BaselineSettings


class FM(nn.Module):
    """`b + Σ_i w_i x_i + Σ_{i<j} <v_i, v_j> x_i x_j`; features are the ids (x = 1) and the dense columns.

    Dense `[B, w_0]` and ids `[B, F]` to logits `[B]`.
    """

    def __init__(self, dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings) -> None:
        super().__init__()
        self.first_order = FirstOrder(dense_width, rows_per_field, settings)
        self.embedding = table(rows_per_field, settings)
        self.second_order = SecondOrder(dense_width, len(rows_per_field), settings)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """`[B, w_0]`, ids `[B, F]` to logits `[B]`."""
        pairs = self.second_order(dense, self.embedding(sparse))
        return self.first_order(dense, sparse) + pairs  # type: ignore[no-any-return]


def build(dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings, **options: Any) -> nn.Module:
    """The factorization machine; option: `embedding`."""
    return FM(dense_width, rows_per_field, settings.changed("fm", options, ("embedding",)))
