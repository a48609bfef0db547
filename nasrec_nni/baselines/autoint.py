"""AutoInt: self-attention between features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from nasrec_nni.baselines.layers import FeatureRows, tower
from nasrec_nni.baselines.settings import BaselineSettings, refuse_uneven

OPTIONS = (
    "embedding",
    "hidden",
    "dropout",
    "attention_layers",
    "attention_width",
    "attention_heads",
    "deep",
)


class Attention(nn.Module):
    """`ReLU([softmax(Q_h K_hᵀ) V_h for all heads h] + H R)`, `[B, n, in]` to `[B, n, A]`; Q, K, V, R linear in H.

    Without a scale of the products and without biases.
    """

    def __init__(self, inputs: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.rest = (nn.Linear(inputs, width, bias=False) for _ in range(4))

    def forward(self, rows: Tensor) -> Tensor:
        query, key, value = (self._heads(part(rows)) for part in (self.query, self.key, self.value))
        weights = (query @ key.transpose(2, 3)).softmax(3)
        return (self.rest(rows) + (weights @ value).transpose(1, 2).flatten(2)).relu()  # type: ignore[no-any-return]

    def _heads(self, rows: Tensor) -> Tensor:
        """`[B, n, A]` to `[B, heads, n, A / heads]`."""
        return rows.reshape(-1, rows.shape[1], self.heads, rows.shape[2] // self.heads).transpose(1, 2)


class AutoInt(nn.Module):
    """`Linear(flatten(H_L)) + MLP([x, flatten(e)])`, `H_0` the feature rows, `H_l` attention over `H_{l-1}`.

    ```
    rows [B, n, E] ─┬─ attention ─ attention ─ [B, n, A] ─ flatten ─ Linear ─┐
                    └─ [x, flatten(e)] ─ MLP (option deep) ──────────────────┴ + ─ logit [B]
    ```
    With the MLP it is what BARS calls AutoInt+. Dropout acts in the MLP only. The stand-in for absent dense columns,
    a row of zeros, is one more row that takes part in the softmax.
    """

    def __init__(self, dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings) -> None:
        super().__init__()
        self.rows = FeatureRows(dense_width, rows_per_field, settings)
        width, heads = settings.attention_width, settings.attention_heads
        inputs = [settings.embedding] + [width] * (settings.attention_layers - 1)
        self.attention = nn.Sequential(*(Attention(size, width, heads) for size in inputs))
        self.head = nn.Linear(self.rows.count * width, 1)
        flat = dense_width + len(rows_per_field) * settings.embedding
        self.tower = tower(flat, settings) if settings.deep else None

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """`[B, w_0]`, ids `[B, F]` to logits `[B]`."""
        rows = self.rows(dense, sparse)
        logit = self.head(self.attention(rows).flatten(1))
        if self.tower is not None:
            logit = logit + self.tower(self.rows.flat(dense, rows))
        return logit.squeeze(1)  # type: ignore[no-any-return]


def build(dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings, **options: Any) -> nn.Module:
    """AutoInt; options: `embedding`, `hidden`, `dropout`, `attention_layers`, `_width`, `_heads`, `deep`.

    Raises:
        UserError: an option that it does not have, heads that do not divide the width, or an MLP's options with
            `deep: false`.
    """
    settings = settings.changed("autoint", options, OPTIONS)
    settings.refuse_without_effect("autoint", options, ("hidden", "dropout"), unless=settings.deep, why="deep: false")
    refuse_uneven("autoint", "attention_heads", settings.attention_heads, attention_width=settings.attention_width)
    return AutoInt(dense_width, rows_per_field, settings)
