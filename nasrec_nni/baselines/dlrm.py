"""DLRM: an MLP over the embeddings and the products of all their pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasrec_nni.baselines.layers import table, tower
from nasrec_nni.baselines.settings import BaselineSettings

OPTIONS = ("embedding", "hidden", "dropout")


class DLRM(nn.Module):
    """`MLP([x, flatten(e), <t_i, t_j> for i < j])`, `t` the embeddings and one projection of the dense columns.

    ```
    dense [B, w_0] ─┬─────────────────────────────────────┐
                    └─ Linear, no bias ─ [B, 1, E] ─┐     │
    ids [B, F] ─ table ─ [B, F, E] ─┬───────────────┴ pairs ─┤
                                    └─ flatten ───────────┴─ MLP ─ logit [B]
    ```
    The projection has no bias, so that a dense column of zeros (data without dense columns) leaves exactly the
    model over embeddings and their pairs. Ours differs from the DLRM of its authors in that the MLP also reads the
    embeddings themselves, as the variant of our measured MovieLens figures does.
    """

    pair: Tensor

    def __init__(self, dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings) -> None:
        super().__init__()
        fields = len(rows_per_field)
        self.embedding = table(rows_per_field, settings)
        self.projection = nn.Linear(dense_width, settings.embedding, bias=False)
        self.register_buffer("pair", torch.triu_indices(fields + 1, fields + 1, 1), persistent=False)
        self.tower = tower(dense_width + fields * settings.embedding + self.pair.shape[1], settings)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """`[B, w_0]`, ids `[B, F]` to logits `[B]`."""
        embedded = self.embedding(sparse)
        rows = torch.cat((self.projection(dense).unsqueeze(1), embedded), 1)
        products = torch.bmm(rows, rows.transpose(1, 2))[:, self.pair[0], self.pair[1]]
        return self.tower(torch.cat((dense, embedded.flatten(1), products), 1)).squeeze(1)  # type: ignore[no-any-return]


def build(dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings, **options: Any) -> nn.Module:
    """DLRM; options: `embedding`, `hidden`, `dropout`."""
    return DLRM(dense_width, rows_per_field, settings.changed("dlrm", options, OPTIONS))
