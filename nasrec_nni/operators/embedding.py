"""One embedding table for all fields: offsets into one weight, sparse gradients, a cap on the rows of a field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RARE = 1  # id of a rare or unseen value, see nasrec_nni/data/batch.py
RESERVED = 2  # ids 0 (missing) and 1 (rare or unseen) exist in every field


class FusedEmbedding(nn.Module):
    """All fields' tables as one weight `[N, E]`; field `f` owns the rows from `offsets[f]` on.

    ```
    ids [B, F] ─ capped field: id ≥ cap → 1 ─ + offsets [F] ─► rows of weight ─► [B, F, E]
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

    An id outside `0 .. rows_per_field[f] - 1` is a fault of the data: a negative one, or one beyond an uncapped
    field, would read a neighbour's row. The prepared set rules that out when it is written. Ids beyond a capped
    field always read row 1.
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
    ) -> None:
        super().__init__()
        if not rows_per_field or min(rows_per_field) < 1:
            raise ValueError(f"every field needs at least one row, got {tuple(rows_per_field)}")
        if max_rows_per_field is not None and max_rows_per_field < RESERVED:
            raise ValueError(f"max_rows_per_field must keep the {RESERVED} reserved ids, got {max_rows_per_field}")
        self.width = width
        self.sparse = sparse
        self.init = init
        self.rows = tuple(min(rows, max_rows_per_field or rows) for rows in rows_per_field)
        self.capped = self.rows != tuple(rows_per_field)
        starts = [0, *accumulate(self.rows)]
        self.register_buffer("offsets", torch.tensor(starts[:-1]), persistent=False)
        self.register_buffer("_caps", torch.tensor(self.rows), persistent=False)
        self.weight = nn.Parameter(torch.empty(starts[-1], width))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weight anew."""
        for start, rows in zip(self.offsets.tolist(), self.rows, strict=True):
            deviation = math.sqrt(2 / (rows + self.width)) if self.init == "xavier" else self.init
            self.weight[start : start + rows].normal_(0, deviation)

    def table_rows(self, ids: Tensor) -> Tensor:
        """Rows of the fused weight for ids per field, both `[B, F]`."""
        if self.capped:
            ids = torch.where(ids < self._caps, ids, RARE)
        return ids + self.offsets

    def forward(self, ids: Tensor) -> Tensor:
        """Ids `[B, F]` to embeddings `[B, F, E]`."""
        return F.embedding(self.table_rows(ids), self.weight, sparse=self.sparse)

    def extra_repr(self) -> str:
        rows, width = self.weight.shape
        return f"{len(self.rows)} fields, {rows} rows, {width}, sparse={self.sparse}"
