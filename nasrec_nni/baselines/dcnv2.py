"""DCN-V2: explicit crosses of full rank beside an MLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasrec_nni.baselines.layers import hidden_layers, table
from nasrec_nni.baselines.settings import BaselineSettings

OPTIONS = ("embedding", "hidden", "dropout", "cross_layers")


class DCNV2(nn.Module):
    """`Linear([z_L, MLP(z_0)])`, `z_{l+1} = z_0 ∘ (W_l z_l + b_l) + z_l`, `z_0 = [x, flatten(e)]`.

    ```
    [x, flatten(e)] = z_0 ─┬─ cross ─ cross ─ cross ─┐
                           └─ (Linear ReLU dropout)… ─┴─ Linear ─ logit [B]
    ```
    The parallel form. Width of `z` is `w_0 + F E` throughout.
    """

    def __init__(self, dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings) -> None:
        super().__init__()
        width = dense_width + len(rows_per_field) * settings.embedding
        self.embedding = table(rows_per_field, settings)
        self.cross = nn.ModuleList(nn.Linear(width, width) for _ in range(settings.cross_layers))
        self.deep = nn.Sequential(*hidden_layers(width, settings))
        self.head = nn.Linear(width + settings.hidden[-1], 1)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """`[B, w_0]`, ids `[B, F]` to logits `[B]`."""
        start = torch.cat((dense, self.embedding(sparse).flatten(1)), 1)
        crossed = start
        for layer in self.cross:
            crossed = start * layer(crossed) + crossed
        return self.head(torch.cat((crossed, self.deep(start)), 1)).squeeze(1)  # type: ignore[no-any-return]


def build(dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings, **options: Any) -> nn.Module:
    """DCN-V2; options: `embedding`, `hidden`, `dropout`, `cross_layers`."""
    return DCNV2(dense_width, rows_per_field, settings.changed("dcnv2", options, OPTIONS))
