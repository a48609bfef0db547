"""A plain multi-layer perceptron over dense columns and embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasrec_nni.baselines.layers import table, tower
from nasrec_nni.baselines.settings import BaselineSettings

OPTIONS = ("embedding", "hidden", "dropout")


class MLP(nn.Module):
    """`MLP([x, flatten(e)])`; source: ours.

    ```
    dense [B, w_0] ───────────────────┐
    ids [B, F] ─ table ─ [B, F E] ────┴─ (Linear ReLU dropout)… ─ Linear ─ logit [B]
    ```
    """

    def __init__(self, dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings) -> None:
        super().__init__()
        self.embedding = table(rows_per_field, settings)
        self.tower = tower(dense_width + len(rows_per_field) * settings.embedding, settings)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """`[B, w_0]`, ids `[B, F]` to logits `[B]`."""
        flat = self.embedding(sparse).flatten(1)
        return self.tower(torch.cat((dense, flat), 1)).squeeze(1)  # type: ignore[no-any-return]


def build(dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings, **options: Any) -> nn.Module:
    """The MLP; options: `embedding`, `hidden`, `dropout`."""
    return MLP(dense_width, rows_per_field, settings.changed("mlp", options, OPTIONS))
