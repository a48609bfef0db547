"""Wide & Deep: a first order part and an MLP, added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasrec_nni.baselines.layers import FirstOrder, table, tower
from nasrec_nni.baselines.settings import BaselineSettings

OPTIONS = ("embedding", "hidden", "dropout")


class WideDeep(nn.Module):
    """`FirstOrder(x, ids) + MLP([x, flatten(e)])`.

    ```
    [x, flatten(e)] ─ MLP ────────────┐
    x, ids ─ table 1 ─ first order ───┴ + ─ logit [B]
    ```
    The wide part reads single features; crossed ones, which the original chooses by hand for one task, it has none.
    """

    def __init__(self, dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings) -> None:
        super().__init__()
        self.first_order = FirstOrder(dense_width, rows_per_field, settings)
        self.embedding = table(rows_per_field, settings)
        self.tower = tower(dense_width + len(rows_per_field) * settings.embedding, settings)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """`[B, w_0]`, ids `[B, F]` to logits `[B]`."""
        flat = torch.cat((dense, self.embedding(sparse).flatten(1)), 1)
        return self.first_order(dense, sparse) + self.tower(flat).squeeze(1)  # type: ignore[no-any-return]


def build(dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings, **options: Any) -> nn.Module:
    """Wide & Deep; options: `embedding`, `hidden`, `dropout`."""
    return WideDeep(dense_width, rows_per_field, settings.changed("wide_deep", options, OPTIONS))
