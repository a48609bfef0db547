"""Bilinear interaction of sparse rows."""

from __future__ import annotations

from torch import Tensor, nn

from nasrec_nni.operators.inputs import Inputs, Limits
from nasrec_nni.operators.linear import RowMap, xavier
from nasrec_nni.operators.slices import take


class Bilinear(nn.Module):
    """`U_i + (W U_i) ∘ V_i` of two mixtures U, V of the rows: `[B, E, r_j]` each to `[B, E, S]`.

    ```
    sparse [B, E, r_j] ─┬─ Q ─ LN_S ─ U ─ W over E ─ ∘ ─ + U ─ out
                        └─ R ─ LN_S ─ V ─────────────┘
    ```
    (W U_i) ∘ V_i is a weighted sum of FiBiNET's interactions (W x_a) ∘ x_b over all pairs of rows a, b, with weights
    Q_ia R_ib: S of them instead of one a pair, so it is elastic and linear in the number of rows. W is one `E × E`
    for all rows (FiBiNET's form with one matrix for all fields). U itself passes too, as FiBiNET hands on the rows
    beside their interactions: products alone of products alone train badly in a chain of blocks. No activation.
    Source: FiBiNET; the learned choice of pairs and the sum with U are ours.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        width = limits.embedding
        self.left = RowMap(limits.sparse, limits.out, limits.layer_norm)
        self.right = RowMap(limits.sparse, limits.out, limits.layer_norm)
        self.weight = xavier((width, width), width, width)

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        width = self.weight.shape[0]
        left, right = self.left(inputs.sparse, out), self.right(inputs.sparse, out)
        return left + right * (take(self.weight, width, width) @ left)  # type: ignore[no-any-return]
