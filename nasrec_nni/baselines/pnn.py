"""PNN: a product layer of inner products (IPNN) below an MLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from nasrec_nni.baselines.layers import FeatureRows, tower
from nasrec_nni.baselines.settings import BaselineSettings

OPTIONS = ("embedding", "hidden", "dropout", "product_units")


class PNN(nn.Module):
    """`MLP(ReLU(W z + p + b))`, `z = [x, flatten(e)]`, `p_u = Σ_{i,j} θ_ui θ_uj <t_i, t_j> = |Σ_i θ_ui t_i|²`.

    ```
    rows t [B, n, E] ─┬─ θ ─ [B, E, U] ─ squares summed over E ─ p ─┐
                      └─ z ─ Linear ─ [B, U] ───────────────────────┴ + ─ ReLU ─ MLP ─ logit [B]
    ```
    Weights of the inner products are of rank one for each unit u, as in PNN; a model that reads every product with a
    weight of its own is `dlrm`. `n = F + w_0` rows, U units.
    """

    def __init__(self, dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings) -> None:
        super().__init__()
        units = settings.product_units
        self.rows = FeatureRows(dense_width, rows_per_field, settings)
        self.linear = nn.Linear(dense_width + len(rows_per_field) * settings.embedding, units)
        self.theta = nn.Linear(self.rows.count, units, bias=False)
        self.product_macs = units * settings.embedding  # the squares
        self.dropout = nn.Dropout(settings.dropout)
        self.tower = tower(units, settings)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """`[B, w_0]`, ids `[B, F]` to logits `[B]`."""
        rows = self.rows(dense, sparse)
        products = self.theta(rows.transpose(1, 2)).square().sum(1)
        units = (self.linear(self.rows.flat(dense, rows)) + products).relu()
        return self.tower(self.dropout(units)).squeeze(1)  # type: ignore[no-any-return]


def build(dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings, **options: Any) -> nn.Module:
    """PNN; options: `embedding`, `hidden`, `dropout`, `product_units`."""
    return PNN(dense_width, rows_per_field, settings.changed("pnn", options, OPTIONS))
