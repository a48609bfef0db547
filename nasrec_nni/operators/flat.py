"""From sparse rows to dense columns: what an operator needs that reads embeddings as one long vector."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from nasrec_nni.architecture.description import dot_product_rows
from nasrec_nni.operators.inputs import Limits, Rows
from nasrec_nni.operators.linear import RowMap, Tail, multiply_add, xavier
from nasrec_nni.operators.slices import take


class RowsToColumns(nn.Module):
    """`LN(flatten(LN(Q X)) P)`: `[B, E, r_j]` each to `[B, D]`, through k = round(sqrt(2 D)) mixed rows.

    ```
    sparse [B, E, r_j] ─ Q ─ LN ─ k rows ─ flatten, row by row [B, k E] ─ P ─ LN or bias [B, D]
    ```
    Q has a weight a connection, P one an operator: P on all rows of all sources would be the largest weight of
    a supernet. Flattened row by row, a smaller k reads the leading rows of P. k is that of the dot product (ours).
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        out, width = limits.out, limits.embedding
        k = dot_product_rows(out)
        self.map = RowMap(limits.sparse, k, limits.layer_norm)
        self.weight = xavier((k * width, out), k * width, out)
        self.tail = Tail(out, limits.layer_norm)

    def forward(self, sources: Mapping[int, Rows], out: int, relu: bool = False) -> Tensor:
        columns = self.map(sources, dot_product_rows(out)).transpose(1, 2).flatten(1)
        weight = take(self.weight, columns.shape[1], out)
        return self.tail(multiply_add(self.tail.start(out), columns, weight), relu)  # type: ignore[no-any-return]
