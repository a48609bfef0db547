"""Sigmoid gating of one dense source by another."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasrec_nni.operators.inputs import Inputs, Limits
from nasrec_nni.operators.linear import Norm, multiply_add, xavier
from nasrec_nni.operators.padded import pad, padded_sum
from nasrec_nni.operators.slices import take


class SigmoidGating(nn.Module):
    """`LN((σ(pad(x_l) V + c) ∘ pad(x_r)) W + b)`: left gates, right passes; `[B, w_l]`, `[B, w_r]` to `[B, D]`.

    `pad` goes to m = max(w_l, w_r). V and W keep their biases with layer norm on; W and b are absent where
    m = D. Columns of the product beyond w_r are zero, so only V[:w_l, :w_r] and W[:w_r] are worked on.
    Source: NASRec, authors' implementation (`sigmoid-gating`).
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        m, out = limits.widest, limits.out
        needed = limits.elastic or m != out
        self.gate_weight = xavier((m, m), m, m)
        self.gate_bias = nn.Parameter(torch.zeros(m))
        self.weight = xavier((m, out), m, out) if needed else None
        self.bias = nn.Parameter(torch.zeros(out)) if needed else None
        self.norm = Norm(out) if limits.layer_norm else None

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        left, right = padded_sum(inputs.left), padded_sum(inputs.right)
        passed = right.shape[1]
        m = max(left.shape[1], passed)
        gate_weight = take(self.gate_weight, left.shape[1], passed)
        gate = torch.sigmoid(multiply_add(take(self.gate_bias, passed), left, gate_weight))
        if m == out:
            result = pad(gate * right, m)
        else:
            assert self.weight is not None and self.bias is not None
            result = multiply_add(take(self.bias, out), gate * right, take(self.weight, passed, out))
        return result if self.norm is None else self.norm(result)
