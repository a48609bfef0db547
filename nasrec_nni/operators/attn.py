"""Self-attention over sparse rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrec_nni.operators.inputs import Inputs, Limits
from nasrec_nni.operators.linear import LAYER_NORM_EPS, RowMap, layer_norm, xavier

INNER_NORM_WEIGHT = 0.17  # LN_INIT of the authors' implementation
HEAD_WIDTH = 2  # what the compiled kernel of attention serves


class Attention(nn.Module):
    """A transformer layer over the S mixed rows: `[B, E, r_j]` each to `[B, E, S]`.

    ```
    U = LN_S(Q X);  A = LN'_1(U + MHA(U, U, U));  out = LN'_2(A + W2 ReLU(W1 A))
    ```
    No mask, no dropout. The inner norms run over E, are always on and start at weight 0.17.
    Source: NASRec, authors' implementation (`transformer`).
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        width = limits.embedding
        self.heads = limits.heads
        self.map = RowMap(limits.sparse, limits.out, limits.layer_norm)
        self.in_weight = xavier((3 * width, width), width, 3 * width)
        self.in_bias = nn.Parameter(torch.zeros(3 * width))
        self.out = nn.Linear(width, width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.norm2 = nn.LayerNorm(width, LAYER_NORM_EPS)
        for linear in (self.out, self.inner, self.outer):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        for norm in (self.norm1, self.norm2):
            nn.init.constant_(norm.weight, INNER_NORM_WEIGHT)

    def forward(self, inputs: Inputs, out: int) -> Tensor:
        rows = self.map(inputs.sparse, out).transpose(1, 2).contiguous()
        attended = _normed(self.norm1, rows + self._attend(rows))
        result = _normed(self.norm2, attended + self.outer(torch.relu_(self.inner(attended))))
        return result.transpose(1, 2).contiguous()

    def _attend(self, rows: Tensor) -> Tensor:
        batch, count, width = rows.shape
        projected = F.linear(rows, self.in_weight, self.in_bias)
        parts = projected.view(batch, count, 3, self.heads, width // self.heads)
        return self.out(attended_heads(parts).reshape(batch, count, width))  # type: ignore[no-any-return]


def _normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return layer_norm(x, norm.weight, norm.bias)


def attended_heads(projected: Tensor) -> Tensor:
    """Scaled dot-product attention of each head: query, key, value `[B, S, 3, H, w]` to `[B, S, H, w]`."""
    if _has_kernel(projected):
        from nasrec_nni.operators.kernels.attention import HeadsOfTwo  # numba takes half a second to import

        return HeadsOfTwo.apply(projected)  # type: ignore[no-any-return,no-untyped-call]
    query, key, value = projected.permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2)


def _has_kernel(projected: Tensor) -> bool:
    return (
        projected.shape[-1] == HEAD_WIDTH
        and projected.is_cpu
        and projected.dtype == torch.float32
        and not torch.compiler.is_compiling()  # an exported network consists of torch's operations
    )
