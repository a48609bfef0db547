"""Gradients of the ids of a batch, added up by table row: float32 on the CPU.

numpy's `unique` and torch's `index_add_` take some four times as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasrec_nni.operators.kernels.compiled import compiled

SPREAD = np.int64(-7046029254386353131)  # 2^64 over the golden ratio: spreads neighbouring rows over the slots


@compiled
def _distinct(indices: Any, values: Any, rows: Any, sums: Any) -> int:
    """Fill the first lines of `rows [n]` and `sums [n, E]` in the order of first use; how many there are."""
    count = 0
    size = 2
    while size < 2 * len(indices):
        size *= 2
    slots = np.full(size, -1, np.int32)  # open addressing: numbers of lines
    for i in range(len(indices)):
        row = indices[i]
        slot = ((row * SPREAD) >> np.int64(32)) & (size - 1)
        while slots[slot] >= 0 and rows[slots[slot]] != row:
            slot = (slot + 1) & (size - 1)
        line = slots[slot]
        if line < 0:
            slots[slot] = count
            rows[count] = row
            for j in range(values.shape[1]):
                sums[count, j] = values[i, j]
            count += 1
        else:
            for j in range(values.shape[1]):
                sums[line, j] += values[i, j]
    return count


def distinct(indices: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Rows `[n]` and values `[n, E]` to distinct rows, by first use, and their sums in the order of the batch."""
    indices, values = indices.contiguous(), values.contiguous()
    rows, sums = torch.empty_like(indices), torch.empty_like(values)
    count = _distinct(indices.numpy(), values.numpy(), rows.numpy(), sums.numpy())
    return rows[:count], sums[:count]
