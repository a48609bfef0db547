"""Attention at a head width of 2 on the CPU, which is what `E = 16` over 8 heads gives.

torch's fused attention is made of matrix products, which have nothing to do at an inner size of 2; it spends some 4
times the time of these loops, whose inner one fills a vector register with keys or with queries. Rows of a batch are
independent and each is summed in one order, so threads do not change a bit.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba.extending import intrinsic
from torch import Tensor

from nasrec_nni.operators.kernels.compiled import compiled, compiled_for_numbers, in_parts, inlined

LOG2E = np.float32(1 / math.log(2))
LOWEST = np.float32(-126)  # exponent of the smallest normal float32
# Minimax coefficients of 2^f on [-0.5, 0.5], relative error 2e-7 in float32.
C6, C5, C4, C3, C2, C1 = (
    np.float32(c) for c in (1.5469e-4, 1.33908e-3, 9.61844e-3, 5.550360e-2, 2.4022650e-1, 6.9314718e-1)
)
ZERO, HALF, ONE, SMALLEST = np.float32(0), np.float32(0.5), np.float32(1), np.float32(-3.4e38)
BIAS, MANTISSA = np.int32(127), np.int32(23)


def _bits(_: Any, integer: Any) -> Any:
    """The float32 of these 32 bits."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.FloatType())

    return numba.types.float32(numba.types.int32), code


_float_of: Any = intrinsic(_bits)


@inlined
def _power_of_two(x: Any) -> Any:
    """2^x for x ≤ 0, 2^-126 at least. The C library's function would keep the loop around it from vectors.

    Large scores are rounded one way where the largest is looked for and another way here (products and sums fused or
    not), so their difference may lie above 0 by thousands: it is taken as 0.
    """
    x = LOWEST if x < LOWEST else x  # not a number stays one
    x = ZERO if x > ZERO else x
    whole = np.int32(x - HALF)
    f = x - np.float32(whole)
    p = (((((C6 * f + C5) * f + C4) * f + C3) * f + C2) * f + C1) * f + ONE
    return p * _float_of((whole + BIAS) << MANTISSA)


@compiled_for_numbers
def _largest(q0: Any, q1: Any, k0: Any, k1: Any) -> Any:
    """The largest exponent of a query."""
    largest = SMALLEST
    for j in range(len(k0)):
        s = q0 * k0[j] + q1 * k1[j]
        largest = s if s > largest else largest
    return largest


@compiled
def _forward(begin: int, end: int, x: Any, out: Any, top: Any, share: Any) -> None:
    """`x [B, S, 3, H, 2]` to `out [B, S, H, 2]`; `top` and `share [B, H, S]`: largest exponent, 1 / sum of powers."""
    _, rows, _, heads, _ = x.shape
    q = np.empty((2, rows), np.float32)
    k, v = np.empty_like(q), np.empty_like(q)
    k0, k1, v0, v1 = k[0], k[1], v[0], v[1]
    scale = LOG2E * np.float32(math.sqrt(0.5))
    for b in range(begin, end):
        for h in range(heads):
            for i in range(rows):
                for c in range(2):
                    q[c, i] = x[b, i, 0, h, c] * scale
                    k[c, i] = x[b, i, 1, h, c]
                    v[c, i] = x[b, i, 2, h, c]
            for i in range(rows):
                q0, q1 = q[0, i], q[1, i]
                largest = _largest(q0, q1, k0, k1)
                total, o0, o1 = ZERO, ZERO, ZERO
                for j in range(rows):
                    p = _power_of_two(q0 * k0[j] + q1 * k1[j] - largest)
                    total += p
                    o0 += p * v0[j]
                    o1 += p * v1[j]
                part = ONE / total
                out[b, i, h, 0] = o0 * part
                out[b, i, h, 1] = o1 * part
                top[b, h, i] = largest
                share[b, h, i] = part


@compiled
def _backward(begin: int, end: int, x: Any, out: Any, top: Any, share: Any, g: Any, dx: Any) -> None:
    """Gradient `g` of `out` to `dx` of `x`, shapes as in `_forward`; the powers are made again."""
    _, rows, _, heads, _ = x.shape
    q = np.empty((2, rows), np.float32)
    go, dq = np.empty_like(q), np.empty_like(q)
    q0, q1, g0, g1, dq0, dq1 = q[0], q[1], go[0], go[1], dq[0], dq[1]
    d = np.empty(rows, np.float32)
    largest, part = np.empty_like(d), np.empty_like(d)
    width = np.float32(math.sqrt(0.5))
    for b in range(begin, end):
        for h in range(heads):
            for i in range(rows):
                for c in range(2):
                    q[c, i] = x[b, i, 0, h, c] * (width * LOG2E)
                    go[c, i] = g[b, i, h, c]
                    dq[c, i] = ZERO
                d[i] = g[b, i, h, 0] * out[b, i, h, 0] + g[b, i, h, 1] * out[b, i, h, 1]
                largest[i] = top[b, h, i]
                part[i] = share[b, h, i]
            for j in range(rows):
                k0, k1, v0, v1 = x[b, j, 1, h, 0], x[b, j, 1, h, 1], x[b, j, 2, h, 0], x[b, j, 2, h, 1]
                dk0, dk1, dv0, dv1 = ZERO, ZERO, ZERO, ZERO
                for i in range(rows):
                    p = _power_of_two(q0[i] * k0 + q1[i] * k1 - largest[i]) * part[i]
                    p = ONE if p > ONE else p  # a share; above 1 where rounding moves a large score
                    ds = p * (g0[i] * v0 + g1[i] * v1 - d[i])
                    dv0 += p * g0[i]
                    dv1 += p * g1[i]
                    dk0 += ds * q0[i]
                    dk1 += ds * q1[i]
                    dq0[i] += ds * k0
                    dq1[i] += ds * k1
                dx[b, j, 1, h, 0] = dk0 / LOG2E
                dx[b, j, 1, h, 1] = dk1 / LOG2E
                dx[b, j, 2, h, 0] = dv0
                dx[b, j, 2, h, 1] = dv1
            for i in range(rows):
                dx[b, i, 0, h, 0] = dq0[i] * width
                dx[b, i, 0, h, 1] = dq1[i] * width


class HeadsOfTwo(torch.autograd.Function):
    """Projected rows `[B, S, 3, H, 2]` (query, key, value) to attended rows `[B, S, H, 2]`; float32 on the CPU."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        x = x.detach().contiguous()
        batch, rows, _, heads, width = x.shape
        out = x.new_empty(batch, rows, heads, width)
        kept = (x, out, x.new_empty(batch, heads, rows), x.new_empty(batch, heads, rows))
        arrays: list[Any] = [part.numpy() for part in kept]
        in_parts(lambda begin, end: _forward(begin, end, *arrays), batch)
        context.save_for_backward(*kept)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> Tensor:
        x = context.saved_tensors[0]
        dx = torch.empty_like(x)
        arrays: list[Any] = [part.detach().numpy() for part in (*context.saved_tensors, gradient.contiguous(), dx)]
        in_parts(lambda begin, end: _backward(begin, end, *arrays), len(x))
        return dx
