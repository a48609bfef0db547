"""One embedding table for all fields: offsets into one weight, sparse gradients, a cap on the rows of a field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasrec_nni.operators.multi_valued import MultiValued

RARE = 1  # id of a rare or unseen value, see nasrec_nni/data/batch.py
RESERVED = 2  # ids 0 (missing) and 1 (rare or unseen) exist in every field


class FusedEmbedding(nn.Module):
    """All fields' tables as one weight `[N, E]`; each field owns a range of its rows.

    ```
    ids [B, C] ─ capped field: id ≥ cap → 1 ─ + offsets [C] ─► rows of weight ─ mean over a field's values ─► [B, F, E]
    ```

    Args:
        rows_per_field: rows of each field as prepared, reserved ids included.
        width: embedding width `E`.
        sparse: gradients are sparse COO over the rows of the batch, not coalesced, for the optimizers of
            `nasrec_nni.operators.optimizers`; otherwise dense, of the size of the table.
        init: `xavier` draws field `f` with standard deviation `sqrt(2 / (n_f + E))`, `n_f` its rows after the cap
            (NASRec, authors' implementation: Xavier-normal per table); a number is the deviation of all fields.
        max_rows_per_field: a field keeps this many rows. Ids are ordered by falling count, so the rarest values are
            the ones that share row 1 with the unseen ones (ours; the authors hash by remainder).
        lengths: columns of ids of each field, `C` in all; None for one a field. A field with several is multi-valued:
            its embedding is the mean of those of the values that a row has. Its other columns hold -1 (padding), which
            reads no row of the weight, so no gradient and no optimizer reaches one through it. No value at all: zeros.
        weight: `[N, E]` to use, a mapped file for one; None draws a new one.

    An id outside `0 .. rows_per_field[f] - 1` is a fault of the data: a negative one of a single-valued field, or one
    beyond an uncapped field, would read a neighbour's row. The prepared set rules that out when it is written. Ids
    beyond a capped field always read row 1.
    """

    offsets: Tensor
    _caps: Tensor

    def __init__(
        self,
        rows_per_field: Sequence[int],
        width: int,
        *,
        sparse: bool = True,
        init: Literal["xavier"] | float = "xavier",
        max_rows_per_field: int | None = None,
        lengths: Sequence[int] | None = None,
        weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        if not rows_per_field or min(rows_per_field) < 1:
            raise ValueError(f"every field needs at least one row, got {tuple(rows_per_field)}")
        if max_rows_per_field is not None and max_rows_per_field < RESERVED:
            raise ValueError(f"max_rows_per_field must keep the {RESERVED} reserved ids, got {max_rows_per_field}")
        lengths = (1,) * len(rows_per_field) if lengths is None else tuple(lengths)
        if len(lengths) != len(rows_per_field) or min(lengths) < 1:
            raise ValueError(f"every field needs at least one column of ids, got {lengths}")
        self.width = width
        self.sparse = sparse
        self.init = init
        self.rows = tuple(min(rows, max_rows_per_field or rows) for rows in rows_per_field)
        self.capped = self.rows != tuple(rows_per_field)
        self.columns = sum(lengths)
        self.values = MultiValued(lengths) if max(lengths) > 1 else None
        self._starts = [0, *accumulate(self.rows)]
        fields = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
        self.register_buffer("offsets", torch.tensor(self._starts)[fields], persistent=False)
        self.register_buffer("_caps", torch.tensor(self.rows)[fields], persistent=False)
        if weight is not None and weight.shape != (self._starts[-1], width):
            raise ValueError(f"the weight must be {(self._starts[-1], width)}, got {tuple(weight.shape)}")
        self.weight = nn.Parameter(torch.empty(self._starts[-1], width) if weight is None else weight)
        if weight is None:
            self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weight anew."""
        for start, end in pairwise(self._starts):
            deviation = math.sqrt(2 / (end - start + self.width)) if self.init == "xavier" else self.init
            self.weight[start:end].normal_(0, deviation)

    def table_rows(self, ids: Tensor) -> Tensor:
        """Rows of the fused weight for ids per column, both `[B, C]`; nothing that is meant where the id is -1."""
        if self.capped:
            ids = torch.where(ids < self._caps, ids, RARE)
        return ids + self.offsets

    def forward(self, ids: Tensor) -> Tensor:
        """Ids `[B, C]` to embeddings `[B, F, E]`."""
        rows = self.table_rows(ids)
        if self.values is None:
            return F.embedding(rows, self.weight, sparse=self.sparse)
        if torch.compiler.is_compiling():
            return self.values.means(F.embedding(torch.where(ids < 0, 0, rows), self.weight), ids)
        return self.values.merge(F.embedding(self.values.select(rows, ids), self.weight, sparse=self.sparse), ids)

    def extra_repr(self) -> str:
        rows, width = self.weight.shape
        return f"{len(self.rows)} fields, {rows} rows, {width}, sparse={self.sparse}"
