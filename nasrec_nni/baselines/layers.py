"""Parts that several hand-made models share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasrec_nni.baselines.settings import BaselineSettings
from nasrec_nni.operators.embedding import FusedEmbedding


def table(rows_per_field: Sequence[int], settings: BaselineSettings, width: int | None = None) -> FusedEmbedding:
    """The embedding table of a model, `[B, C]` ids to `[B, F, width]`; `width` is `E` unless given."""
    return FusedEmbedding(
        rows_per_field,
        settings.embedding if width is None else width,
        sparse=settings.sparse_gradients,
        init=settings.embedding_init,
        max_rows_per_field=settings.max_rows_per_field,
        lengths=settings.lengths,
    )


def hidden_layers(inputs: int, settings: BaselineSettings, widths: Sequence[int] | None = None) -> list[nn.Module]:
    """Linear, ReLU and dropout for each hidden width; `widths` are those of the settings unless given."""
    layers: list[nn.Module] = []
    for width in settings.hidden if widths is None else widths:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        if settings.dropout:
            layers.append(nn.Dropout(settings.dropout))
        inputs = width
    return layers


def tower(inputs: int, settings: BaselineSettings) -> nn.Sequential:
    """Hidden layers and a last linear map to one logit, `[B, inputs]` to `[B, 1]`."""
    return nn.Sequential(*hidden_layers(inputs, settings), nn.Linear(settings.hidden[-1], 1))


class FeatureRows(nn.Module):
    """One row of width E a feature: `e_f` of each field, then `x_c v_c` of each dense column, to `[B, F + w_0, E]`.

    ```
    ids [B, F] ───── table ─ e ───┐
    dense [B, w_0] ─ x_c v_c ─────┴ rows [B, n, E]          n = F + w_0
    ```
    A dense column of zeros is a row of zeros.
    """

    def __init__(self, dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings) -> None:
        super().__init__()
        self.table = table(rows_per_field, settings)
        self.factors = nn.Parameter(_factors(dense_width, settings))
        self.count = len(rows_per_field) + dense_width
        self.fields = len(rows_per_field)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        return torch.cat((self.table(sparse), dense.unsqueeze(2) * self.factors), 1)

    def flat(self, dense: Tensor, rows: Tensor) -> Tensor:
        """`[x, flatten(e)]`, `[B, w_0 + F E]`: what an MLP beside the interactions reads."""
        return torch.cat((dense, rows[:, : self.fields].flatten(1)), 1)


def _factors(dense_width: int, settings: BaselineSettings) -> Tensor:
    """`[w_0, E]`, one vector a dense column, drawn as the table's rows are."""
    factors = torch.empty(dense_width, settings.embedding)
    if not dense_width:
        return factors
    if settings.embedding_init == "xavier":
        return nn.init.xavier_uniform_(factors)
    return nn.init.normal_(factors, std=settings.embedding_init)


class FirstOrder(nn.Module):
    """`b + Σ_c w_c x_c + Σ_f w_f[id_f]`: dense columns and ids, each with a weight of its own, to `[B]`."""

    def __init__(self, dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings) -> None:
        super().__init__()
        self.table = table(rows_per_field, settings, width=1)
        self.dense = nn.Linear(dense_width, 1)
        nn.init.zeros_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        return self.table(sparse).sum((1, 2)) + self.dense(dense).squeeze(1)  # type: ignore[no-any-return]


class SecondOrder(nn.Module):
    """`Σ_{i<j} <v_i, v_j> x_i x_j` over ids (x = 1) and dense columns, to `[B]`.

    Computed as `½ Σ_e ((Σ_i v_i)² − Σ_i v_i²)`. A dense column of zeros adds nothing.

    Args:
        dense_width: `w_0`, dense columns, each with one factor vector.
        fields: `F`.
        settings: width and initialisation of the factors, as the table's.
    """

    def __init__(self, dense_width: int, fields: int, settings: BaselineSettings) -> None:
        super().__init__()
        embedding = settings.embedding
        self.factors = nn.Parameter(_factors(dense_width, settings))
        # w_0 E to scale the factors, (w_0 + F + 1) E squares
        self.product_macs = (2 * dense_width + fields + 1) * embedding

    def forward(self, dense: Tensor, embedded: Tensor) -> Tensor:
        """`[B, w_0]`, `[B, F, E]` to `[B]`."""
        scaled = dense.unsqueeze(2) * self.factors
        total = embedded.sum(1) + scaled.sum(1)
        squares = embedded.square().sum(1) + scaled.square().sum(1)
        return 0.5 * (total.square() - squares).sum(1)
