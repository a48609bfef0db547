"""xDeepFM: a compressed interaction network (CIN) beside an MLP and a first order part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasrec_nni.baselines.layers import FeatureRows, FirstOrder, tower
from nasrec_nni.baselines.settings import BaselineSettings

OPTIONS = ("embedding", "hidden", "dropout", "cin_maps")


class CIN(nn.Module):
    """Maps `X^k_h = Σ_{i,j} W^k_{h,ij} (X^{k-1}_i ∘ X^0_j)`, each summed over E; `[B, n, E]` to `[B, Σ_k H_k]`.

    ```
    rows X^0 ─┬─ ∘ ─ W^1 ─ X^1 ─┬─ ∘ ─ W^2 ─ X^2 ─ …
              └──────────────── │ ─┘     │
                             sum over E  sum over E  ─ concat
    ```
    No activation and no bias.
    """

    def __init__(self, count: int, maps: Sequence[int]) -> None:
        super().__init__()
        before = [count, *maps[:-1]]
        self.layers = nn.ModuleList(
            nn.Linear(rows * count, width, bias=False) for rows, width in zip(before, maps, strict=True)
        )

    def forward(self, rows: Tensor) -> Tensor:
        start = rows.transpose(1, 2)  # [B, E, n]: maps last, where a linear map reads them
        maps, sums = start, []
        for layer in self.layers:
            maps = layer((maps.unsqueeze(3) * start.unsqueeze(2)).flatten(2))
            sums.append(maps.sum(1))
        return torch.cat(sums, 1)


class XDeepFM(nn.Module):
    """`FirstOrder(x, ids) + Linear(CIN(rows)) + MLP([x, flatten(e)])`.

    ```
    rows [B, n, E] ─┬─ CIN ─ Linear ─────────┐
                    └─ [x, flatten(e)] ─ MLP ─┼─ + ─ logit [B]
    x, ids ─ table 1 ─ first order ───────────┘
    ```
    """

    def __init__(self, dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings) -> None:
        super().__init__()
        self.first_order = FirstOrder(dense_width, rows_per_field, settings)
        self.rows = FeatureRows(dense_width, rows_per_field, settings)
        self.cin = CIN(self.rows.count, settings.cin_maps)
        self.head = nn.Linear(sum(settings.cin_maps), 1)
        self.tower = tower(dense_width + len(rows_per_field) * settings.embedding, settings)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """`[B, w_0]`, ids `[B, F]` to logits `[B]`."""
        rows = self.rows(dense, sparse)
        logit = self.head(self.cin(rows)) + self.tower(self.rows.flat(dense, rows))
        return self.first_order(dense, sparse) + logit.squeeze(1)  # type: ignore[no-any-return]


def build(dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings, **options: Any) -> nn.Module:
    """xDeepFM; options: `embedding`, `hidden`, `dropout`, `cin_maps`."""
    return XDeepFM(dense_width, rows_per_field, settings.changed("xdeepfm", options, OPTIONS))
