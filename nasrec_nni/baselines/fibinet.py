"""FiBiNET: features weighted by a squeeze-and-excitation network (SENet), bilinear products of their pairs, an MLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasrec_nni.baselines.layers import FeatureRows, FirstOrder, tower
from nasrec_nni.baselines.settings import BaselineSettings
from nasrec_nni.errors import UserError

OPTIONS = ("embedding", "hidden", "dropout", "reduction", "bilinear")


class SENet(nn.Module):
    """`a_i t_i`, `a = ReLU(W_2 ReLU(W_1 z))`, `z_i` the mean of row i; `[B, n, E]` to the same. No bias."""

    def __init__(self, count: int, reduction: int) -> None:
        super().__init__()
        squeezed = max(1, count // reduction)
        self.excitation = nn.Sequential(
            nn.Linear(count, squeezed, bias=False), nn.ReLU(), nn.Linear(squeezed, count, bias=False), nn.ReLU()
        )

    def forward(self, rows: Tensor) -> Tensor:
        return rows * self.excitation(rows.mean(2)).unsqueeze(2)  # type: ignore[no-any-return]


class Bilinear(nn.Module):
    """`(t_i W) ∘ t_j` for all i < j, `[B, n, E]` to `[B, n (n-1) / 2, E]`.

    W is one matrix for all pairs, one for each left row i, or one for each pair (interaction).
    """

    pair: Tensor

    def __init__(self, count: int, embedding: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("pair", torch.triu_indices(count, count, 1), persistent=False)
        matrices = {"all": 1, "each": count - 1, "interaction": self.pair.shape[1]}[kind]
        self.weight = nn.Parameter(torch.empty(matrices, embedding, embedding))
        for matrix in self.weight.data:
            nn.init.xavier_uniform_(matrix)

    def forward(self, rows: Tensor) -> Tensor:
        left, right = self.pair[0], self.pair[1]
        of_pairs = self.kind == "interaction"
        mapped = self._map(rows[:, left]) if of_pairs else self._map(rows[:, :-1])[:, left]
        return mapped * rows[:, right]

    def _map(self, rows: Tensor) -> Tensor:
        if self.kind == "all":
            return rows @ self.weight[0]
        return torch.einsum("bpe,pef->bpf", rows, self.weight)


class FiBiNET(nn.Module):
    """`FirstOrder(x, ids) + MLP([Bilinear(t), Bilinear'(SENet(t))])`, t the feature rows.

    ```
    rows t [B, n, E] ─┬───────── bilinear ─┐
                      └─ SENet ─ bilinear ─┴ flatten ─ MLP ─┐
    x, ids ─ table 1 ─ first order ─────────────────────────┴ + ─ logit [B]
    ```
    """

    def __init__(self, dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings) -> None:
        super().__init__()
        self.first_order = FirstOrder(dense_width, rows_per_field, settings)
        self.rows = FeatureRows(dense_width, rows_per_field, settings)
        count = self.rows.count
        if count < 2:
            raise UserError(
                "FiBiNET multiplies pairs of features, and there is one feature only",
                where="retrain.baselines: fibinet",
                hint="Leave it out for these data",
            )
        self.senet = SENet(count, settings.reduction)
        self.bilinear, self.bilinear_se = (Bilinear(count, settings.embedding, settings.bilinear) for _ in range(2))
        self.tower = tower(count * (count - 1) * settings.embedding, settings)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """`[B, w_0]`, ids `[B, F]` to logits `[B]`."""
        rows = self.rows(dense, sparse)
        pairs = torch.cat((self.bilinear(rows), self.bilinear_se(self.senet(rows))), 1)
        return self.first_order(dense, sparse) + self.tower(pairs.flatten(1)).squeeze(1)  # type: ignore[no-any-return]


def build(dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings, **options: Any) -> nn.Module:
    """FiBiNET; options: `embedding`, `hidden`, `dropout`, `reduction`, `bilinear`.

    Raises:
        UserError: an option that it does not have, or a single feature.
    """
    return FiBiNET(dense_width, rows_per_field, settings.changed("fibinet", options, OPTIONS))
