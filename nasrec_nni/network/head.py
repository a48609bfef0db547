"""The last layer: one logit from the last block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasrec_nni.operators.inputs import Rows
from nasrec_nni.operators.linear import xavier
from nasrec_nni.operators.slices import take


class Head(nn.Module):
    """`logit = [dense_out, flatten(sparse_out)] · w + b`.

    Three slots, so that each is a leading block in a smaller network: dense columns, operator rows, merger rows.
    Features and weights of rows are flattened embedding-major, the merger's behind the operator's.

    Args:
        columns: most dense columns of the last block.
        rows: most operator rows of the last block.
        merger_rows: rows its merger adds, 0 if it is off.
        embedding: `E`.
    """

    def __init__(self, columns: int, rows: int, merger_rows: int, embedding: int) -> None:
        super().__init__()
        total = columns + (rows + merger_rows) * embedding
        self.dense = xavier((columns,), total, 1)
        self.sparse = xavier((embedding, rows), total, 1)
        self.merger = xavier((embedding, merger_rows), total, 1) if merger_rows else None
        self.bias = nn.Parameter(torch.zeros(1))

    def vector(self, columns: int, rows: int, merger_rows: int) -> Tensor:
        """The weights in the order of `features`, `[columns + E (rows + merger_rows)]`."""
        parts = [take(self.dense, columns), take(self.sparse, self.sparse.shape[0], rows).flatten()]
        if merger_rows:
            assert self.merger is not None
            parts.append(take(self.merger, *self.merger.shape).flatten())
        return torch.cat(parts)

    def forward(self, dense: Tensor, sparse: Rows) -> Tensor:
        """`[B, w]`, `[B, E, r]` to logits `[B]`."""
        weights = self.vector(dense.shape[1], sparse.own.shape[2], sparse.merger_rows)
        return torch.addmv(take(self.bias, 1), features(dense, sparse).to(weights.dtype), weights)


def features(dense: Tensor, sparse: Rows) -> Tensor:
    """What the head reads: `[B, w + E (r + m)]`: dense columns, operator rows, merger rows, rows embedding-major."""
    return torch.cat((dense, *(rows.flatten(1) for rows in sparse.parts)), 1)
