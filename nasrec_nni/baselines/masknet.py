"""MaskNet: hidden layers whose inputs are multiplied by a mask that each example makes for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasrec_nni.baselines.layers import table, tower
from nasrec_nni.baselines.settings import BaselineSettings

OPTIONS = ("embedding", "hidden", "dropout", "form", "mask_blocks", "block_width", "mask_width")


class MaskBlock(nn.Module):
    """`dropout(ReLU(LN(W (m ∘ h))))`, `m = W_2 ReLU(W_1 z + b_1) + b_2`; z `[B, Z]`, h `[B, in]` to `[B, K]`."""

    def __init__(self, guide: int, inputs: int, settings: BaselineSettings) -> None:
        super().__init__()
        hidden, width = settings.mask_width, settings.block_width
        self.mask = nn.Sequential(nn.Linear(guide, hidden), nn.ReLU(), nn.Linear(hidden, inputs))
        self.linear = nn.Linear(inputs, width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, guide: Tensor, hidden: Tensor) -> Tensor:
        normed = self.norm(self.linear(self.mask(guide) * hidden))
        return self.dropout(normed.relu())  # type: ignore[no-any-return]


class MaskNet(nn.Module):
    """Mask blocks over `[x, LN(e)]`, guided by `z = [x, flatten(e)]`.

    ```
    parallel                                        serial
    z ─┬─ mask ──────┐                              z ─┬─ mask ──────┬──────────── mask ──┐
       └─ [x, LN(e)] ┴ block ─┐                        └─ [x, LN(e)] ┴ block ──────────── ┴ block … ─ Linear ─ logit
    z ─┬─ mask ──────┐        ├ concat ─ MLP ─ logit
       └─ [x, LN(e)] ┴ block ─┘
    ```
    LN runs over the embedding of each field, with weights of its own for each.
    """

    def __init__(self, dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings) -> None:
        super().__init__()
        fields, embedding, count = len(rows_per_field), settings.embedding, settings.mask_blocks
        self.parallel = settings.form == "parallel"
        self.embedding = table(rows_per_field, settings)
        self.scale = nn.Parameter(torch.ones(fields, embedding))
        self.shift = nn.Parameter(torch.zeros(fields, embedding))
        flat, width = dense_width + fields * embedding, settings.block_width
        inputs = [flat] * count if self.parallel else [flat] + [width] * (count - 1)
        self.blocks = nn.ModuleList(MaskBlock(flat, size, settings) for size in inputs)
        self.head = tower(count * width, settings) if self.parallel else nn.Linear(width, 1)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """`[B, w_0]`, ids `[B, F]` to logits `[B]`."""
        embedded = self.embedding(sparse)
        guide = torch.cat((dense, embedded.flatten(1)), 1)
        normed = nn.functional.layer_norm(embedded, embedded.shape[2:]) * self.scale + self.shift
        hidden = torch.cat((dense, normed.flatten(1)), 1)
        if self.parallel:
            hidden = torch.cat([block(guide, hidden) for block in self.blocks], 1)
        else:
            for block in self.blocks:
                hidden = block(guide, hidden)
        return self.head(hidden).squeeze(1)  # type: ignore[no-any-return]


def build(dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings, **options: Any) -> nn.Module:
    """MaskNet; options: `embedding`, `hidden`, `dropout`, `form`, `mask_blocks`, `block_width`, `mask_width`.

    Raises:
        UserError: an option that it does not have, or `hidden` with `form: serial`.
    """
    settings = settings.changed("masknet", options, OPTIONS)
    settings.refuse_without_effect(
        "masknet", options, ("hidden",), unless=settings.form == "parallel", why="form: serial"
    )
    return MaskNet(dense_width, rows_per_field, settings)
