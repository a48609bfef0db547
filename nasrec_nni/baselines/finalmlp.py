"""FinalMLP: two MLPs, each over features that a gate of its own weighs, fused by a bilinear form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasrec_nni.baselines.layers import hidden_layers, table
from nasrec_nni.baselines.settings import BaselineSettings, refuse_uneven
from nasrec_nni.errors import UserError

OPTIONS = (
    "embedding",
    "hidden",
    "dropout",
    "hidden_2",
    "fusion_heads",
    "gate_width",
    "context_1",
    "context_2",
)


class Gate(nn.Module):
    """`2 σ(W_2 ReLU(W_1 c + b_1) + b_2)`, c the embeddings of the context fields, or a learnt vector; `[B or 1, Z]`."""

    def __init__(self, context: Sequence[int], outputs: int, settings: BaselineSettings) -> None:
        super().__init__()
        self.context = tuple(context)
        self.learnt = None if context else nn.Parameter(torch.zeros(1, settings.embedding))
        inputs = max(1, len(context)) * settings.embedding
        width = settings.gate_width
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs), nn.Sigmoid())

    def forward(self, embedded: Tensor) -> Tensor:
        context = embedded[:, list(self.context)].flatten(1) if self.learnt is None else self.learnt
        return 2 * self.layers(context)  # type: ignore[no-any-return]


class Fusion(nn.Module):
    """`b + u·x + v·y + Σ_h x_hᵀ W_h y_h`, `[B, d_1]`, `[B, d_2]` to `[B]`; heads split x and y evenly."""

    def __init__(self, first: int, second: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.Linear(first, 1), nn.Linear(second, 1, bias=False)
        self.weight = nn.Parameter(torch.empty(heads, first // heads, second // heads))
        nn.init.xavier_normal_(self.weight)
        self.product_macs = second  # of x W with y

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        left = first.reshape(-1, self.heads, self.weight.shape[1])
        right = second.reshape(-1, self.heads, self.weight.shape[2])
        products = (torch.einsum("bhi,hij->bhj", left, self.weight) * right).sum((1, 2))
        return (self.first(first) + self.second(second)).squeeze(1) + products  # type: ignore[no-any-return]


class FinalMLP(nn.Module):
    """`Fusion(MLP_1(g_1 ∘ z), MLP_2(g_2 ∘ z))`, `z = [x, flatten(e)]`.

    ```
    z [B, Z] ─┬─ ∘ g_1 ─ (Linear ReLU dropout)… ─ x ─┐
              └─ ∘ g_2 ─ (Linear ReLU dropout)… ─ y ─┴ bilinear fusion ─ logit [B]
    ```
    A gate reads the fields that `context_1` or `context_2` number (user and item, say), or, by default, a learnt
    vector: then it weighs features alike in every example.
    """

    def __init__(self, dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings) -> None:
        super().__init__()
        width = dense_width + len(rows_per_field) * settings.embedding
        hidden_2 = settings.hidden_2 or settings.hidden
        self.embedding = table(rows_per_field, settings)
        self.gate_1 = Gate(settings.context_1, width, settings)
        self.gate_2 = Gate(settings.context_2, width, settings)
        self.stream_1 = nn.Sequential(*hidden_layers(width, settings))
        self.stream_2 = nn.Sequential(*hidden_layers(width, settings, hidden_2))
        self.fusion = Fusion(settings.hidden[-1], hidden_2[-1], settings.fusion_heads)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """`[B, w_0]`, ids `[B, F]` to logits `[B]`."""
        embedded = self.embedding(sparse)
        flat = torch.cat((dense, embedded.flatten(1)), 1)
        first = self.stream_1(self.gate_1(embedded) * flat)
        second = self.stream_2(self.gate_2(embedded) * flat)
        return self.fusion(first, second)  # type: ignore[no-any-return]


def build(dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings, **options: Any) -> nn.Module:
    """FinalMLP; options: `embedding`, `hidden`, `dropout`, `hidden_2`, `fusion_heads`, `gate_width`, `context_1`, `_2`.

    Raises:
        UserError: an option that it does not have, heads that do not divide the last widths, a field that is not there.
    """
    settings = settings.changed("finalmlp", options, OPTIONS)
    last = {
        "the last of hidden": settings.hidden[-1],
        "the last of hidden_2": (settings.hidden_2 or settings.hidden)[-1],
    }
    refuse_uneven("finalmlp", "fusion_heads", settings.fusion_heads, **last)
    for key in ("context_1", "context_2"):
        if absent := [number for number in getattr(settings, key) if number >= len(rows_per_field)]:
            raise UserError(
                "no such field",
                value=absent[0],
                where=f"retrain.baseline_options.finalmlp.{key}",
                allowed=f"0 to {len(rows_per_field) - 1}, in the order of the schema's categorical columns",
            )
    return FinalMLP(dense_width, rows_per_field, settings)
