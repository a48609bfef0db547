"""Layer norm over the last axis, with or without a ReLU behind it: float32 on the CPU.

For the many short rows of a sparse output (8,192 of 16 to 64 numbers at batch 512). torch takes 1.2 to 2 times as long
for them with the ReLU, which goes over them once more; of attention's 24,576 rows of 16, 2 to 3 times.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasrec_nni.operators.kernels.compiled import compiled, in_parts

ROWS = 1024  # whose gradients of weight and bias are added up first, on however many threads
ZERO, ONE = np.float32(0), np.float32(1)


@compiled
def _forward(begin: int, end: int, x: Any, weight: Any, bias: Any, eps: Any, relu: bool, y: Any, moments: Any) -> None:
    """`x [N, D]` to `y [N, D]`; `moments [N, 2]`: mean, 1 / deviation. Copies spare the loops a check for overlap."""
    width = x.shape[1]
    share = ONE / np.float32(width)
    w, c = weight.copy(), bias.copy()
    for i in range(begin, end):
        mean, square = ZERO, ZERO
        for j in range(width):
            mean += x[i, j]
        mean *= share
        for j in range(width):
            away = x[i, j] - mean
            square += away * away
        scale = ONE / np.sqrt(square * share + eps)
        if relu:
            for j in range(width):
                found = (x[i, j] - mean) * scale * w[j] + c[j]
                y[i, j] = ZERO if found < ZERO else found  # not a number stays one
        else:
            for j in range(width):
                y[i, j] = (x[i, j] - mean) * scale * w[j] + c[j]
        moments[i, 0] = mean
        moments[i, 1] = scale


@compiled
def _backward(
    begin: int, end: int, g: Any, x: Any, y: Any, weight: Any, relu: bool, moments: Any, dx: Any, dw: Any, db: Any
) -> None:
    """Gradient `g` of `y` to that of `x`, and to those of weight and bias by parts of `ROWS` rows, `begin` to `end`.

    One short loop a purpose: a loop that stores to several arrays would not be vectorised.
    """
    rows, width = x.shape
    share = ONE / np.float32(width)
    w = weight.copy()
    held, hat = np.empty(width, np.float32), np.empty(width, np.float32)
    for part in range(begin, end):
        along_hat, plain = np.zeros(width, np.float32), np.zeros(width, np.float32)
        for i in range(part * ROWS, min(rows, (part + 1) * ROWS)):
            mean, scale = moments[i, 0], moments[i, 1]
            if relu:
                for j in range(width):
                    held[j] = g[i, j] if y[i, j] > ZERO else ZERO
            else:
                for j in range(width):
                    held[j] = g[i, j]
            for j in range(width):
                hat[j] = (x[i, j] - mean) * scale
            total, along = ZERO, ZERO
            for j in range(width):
                weighted = held[j] * w[j]
                total += weighted
                along += weighted * hat[j]
            for j in range(width):
                plain[j] += held[j]
            for j in range(width):
                along_hat[j] += held[j] * hat[j]
            total *= share
            along *= share
            for j in range(width):
                dx[i, j] = scale * (held[j] * w[j] - total - hat[j] * along)
        dw[part] = along_hat
        db[part] = plain


class LayerNorm(torch.autograd.Function):
    """`x [..., D]`, weight and bias `[D]` to `[..., D]`; the result's negative numbers become 0 if `relu`."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, relu: bool) -> Tensor:
        x, weight = x.detach().contiguous(), weight.detach()
        width = x.shape[-1]
        y, moments = torch.empty_like(x), x.new_empty(x.numel() // width, 2)
        given, made = x.numpy().reshape(-1, width), y.numpy().reshape(-1, width)
        arrays: list[Any] = [given, weight.numpy(), bias.detach().numpy(), np.float32(eps), relu, made, moments.numpy()]
        in_parts(lambda begin, end: _forward(begin, end, *arrays), len(given))
        context.save_for_backward(x, y, weight, moments)
        context.relu = relu
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, weight, moments = (tensor.detach() for tensor in context.saved_tensors)
        width = x.shape[-1]
        dx = torch.empty_like(x)
        g, given, made, result = (one.numpy().reshape(-1, width) for one in (gradient.contiguous(), x, y, dx))
        parts = -(-len(given) // ROWS)
        dw, db = x.new_empty(parts, width), x.new_empty(parts, width)
        arrays: list[Any] = [g, given, made, weight.numpy(), context.relu, moments.numpy(), result]
        arrays += [dw.numpy(), db.numpy()]
        in_parts(lambda begin, end: _backward(begin, end, *arrays), parts)
        return dx, dw.sum(0), db.sum(0), None, None
