"""DeepFM: a factorization machine and an MLP over the same embeddings, added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasrec_nni.baselines.layers import FirstOrder, SecondOrder, table, tower
from nasrec_nni.baselines.settings import BaselineSettings

OPTIONS = ("embedding", "hidden", "dropout")


class DeepFM(nn.Module):
    """`FM(x, e) + MLP([x, flatten(e)])`.

    ```
    ids ─ table E ─┬─ FM pairs ──────┐
                   └─ flatten ─ MLP ─┼─ + ─ logit [B]
    ids ─ table 1 ── first order ────┘          dense columns enter all three
    ```
    """

    def __init__(self, dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings) -> None:
        super().__init__()
        fields = len(rows_per_field)
        self.first_order = FirstOrder(dense_width, rows_per_field, settings)
        self.embedding = table(rows_per_field, settings)
        self.second_order = SecondOrder(dense_width, fields, settings)
        self.tower = tower(dense_width + fields * settings.embedding, settings)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """`[B, w_0]`, ids `[B, F]` to logits `[B]`."""
        embedded = self.embedding(sparse)
        deep = self.tower(torch.cat((dense, embedded.flatten(1)), 1)).squeeze(1)
        return self.first_order(dense, sparse) + self.second_order(dense, embedded) + deep  # type: ignore[no-any-return]


def build(dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings, **options: Any) -> nn.Module:
    """DeepFM; options: `embedding`, `hidden`, `dropout`."""
    return DeepFM(dense_width, rows_per_field, settings.changed("deepfm", options, OPTIONS))
