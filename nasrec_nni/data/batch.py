"""One batch as every network reads it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Tensors of `B` rows.

    Attributes:
        dense: `[B, w_0]` float32, transformed; one column of zeros where the data has no dense column.
        sparse: `[B, C]` int64, ids per field: 0 missing, 1 rare or unseen, then by falling count. One column a field,
            save for multi-valued ones, which have `lengths[f]` columns each, padded with -1 behind.
        label: `[B]` float32, 1 for a click.
        weight: `[B]` float32, rows that each one counts as; None if all count as one.
    """

    dense: Tensor
    sparse: Tensor
    label: Tensor
    weight: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same rows on a device; copies from pinned memory do not wait."""
        weight = None if self.weight is None else self.weight.to(device, non_blocking=True)
        dense, sparse, label = (part.to(device, non_blocking=True) for part in (self.dense, self.sparse, self.label))
        return Batch(dense, sparse, label, weight)
