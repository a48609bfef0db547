"""Sum of two dense sources."""

from __future__ import annotations

from torch import Tensor, nn

from nasrec_nni.operators.inputs import Inputs, Limits
from nasrec_nni.operators.linear import Tail, multiply_add, xavier
from nasrec_nni.operators.padded import padded_sum
from nasrec_nni.operators.slices import take


class Sum(nn.Module):
    """`LN((pad(x_l) + pad(x_r)) W)`, `[B, w_l]`, `[B, w_r]` to `[B, D]`; no activation.

    `pad` goes to m = max(w_l, w_r); W (and its bias) is absent where m = D, the layer norm stays. One weight
    per operator: it acts on the padded sum, in one product of m D multiply-accumulates.
    Source: NASRec, authors' implementation (`sum`).
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        m, out = limits.widest, limits.out
        needed = limits.elastic or m != out
        self.weight = xavier((m, out), m, out) if needed else None
        self.tail = Tail(out, limits.layer_norm) if needed or limits.layer_norm else None

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        total = padded_sum((*inputs.left, *inputs.right))
        m = total.shape[1]
        if m != out:
            assert self.weight is not None and self.tail is not None
            total = multiply_add(self.tail.start(out), total, take(self.weight, m, out))
        return total if self.tail is None else self.tail(total)
