"""One batch as every network reads it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Tensors of `B` rows.

    Attributes:
        dense: `[B, w_0]` float32, transformed; one column of zeros where the data has no dense column.
        sparse: `[B, F]` int64, ids per field: 0 missing, 1 rare or unseen, then by falling count.
        label: `[B]` float32, 1 for a click.
    """

    dense: Tensor
    sparse: Tensor
    label: Tensor
