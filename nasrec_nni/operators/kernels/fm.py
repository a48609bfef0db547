"""Sums of all products of pairs of rows, the factorization machine's: float32 on the CPU.

`rows [N, S]` are read once, where torch reads them twice forwards and writes them twice backwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasrec_nni.operators.kernels.compiled import compiled, in_parts

ZERO = np.float32(0)


@compiled
def _forward(begin: int, end: int, rows: Any, totals: Any, pairs: Any) -> None:
    """`rows [N, S]` to `totals [N]` and `pairs [N]`, lines `begin` to `end`."""
    for n in range(begin, end):
        total, squares = ZERO, ZERO
        for s in range(rows.shape[1]):
            total += rows[n, s]
            squares += rows[n, s] * rows[n, s]
        totals[n] = total
        pairs[n] = total * total - squares


@compiled
def _backward(begin: int, end: int, gradient: Any, rows: Any, totals: Any, slopes: Any) -> None:
    """Lines `begin` to `end` of the gradient `[N]` to `slopes [N, S]`."""
    for n in range(begin, end):
        double, total = gradient[n] + gradient[n], totals[n]
        for s in range(rows.shape[1]):
            slopes[n, s] = (total - rows[n, s]) * double


class SumsOfPairs(torch.autograd.Function):
    """`(Σ_s r_s)² − Σ_s r_s²` of rows `[B, E, S]`: `[B, E]`."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        rows = rows.detach().contiguous()
        totals, pairs = rows.new_empty(rows.shape[:2]), rows.new_empty(rows.shape[:2])
        arrays = [one.numpy() for one in (rows.flatten(0, 1), totals.flatten(), pairs.flatten())]
        in_parts(lambda begin, end: _forward(begin, end, *arrays), totals.numel())
        context.save_for_backward(rows, totals)
        return pairs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> Tensor:
        rows, totals = context.saved_tensors
        slopes = torch.empty_like(rows)
        given = (gradient.flatten(), rows.flatten(0, 1), totals.flatten(), slopes.flatten(0, 1))
        arrays = [one.numpy() for one in given]
        in_parts(lambda begin, end: _backward(begin, end, *arrays), totals.numel())
        return slopes
