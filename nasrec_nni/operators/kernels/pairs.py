"""Products of pairs of rows, sample by sample in the nearest cache: float32 on the CPU.

torch multiplies all pairs twice over, writes them, and picks those that are wanted in another pass; backwards it does
the same the other way round. A sample's own 33 rows of 16 numbers are 2 kB.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasrec_nni.operators.kernels.compiled import compiled, in_parts
from nasrec_nni.operators.kernels.vectors import BYTES, load, plus_product, spread, spread_from, store

ZERO = np.float32(0)


@compiled
def _forward(begin: int, end: int, x: Any, rows: Any, pairs: Any) -> None:
    """Samples `begin` to `end` of `x [B, E]`, `rows [B, E, M - 1]` to `pairs [B, M (M - 1) / 2]`."""
    _, width, count = rows.shape
    count += 1
    wide = -(-count // 8) * 8
    step = 4 * wide
    own, both = np.zeros((width, wide), np.float32), np.empty((wide, wide), np.float32)
    own_at, both_at = own.ctypes.data, both.ctypes.data
    for sample in range(begin, end):
        for e in range(width):
            own[e, 0] = x[sample, e]
            for m in range(1, count):
                own[e, m] = rows[sample, e, m - 1]
        for first in range(0, count, 4):  # four rows by eight columns, up to the diagonal
            for at in range(0, 4 * (first + 4), BYTES):
                a, b, c, d = spread(ZERO), spread(ZERO), spread(ZERO), spread(ZERO)
                row, number = own_at + at, own_at + 4 * first
                for _ in range(width):
                    vector = load(row)
                    a = plus_product(a, spread_from(number), vector)
                    b = plus_product(b, spread_from(number + 4), vector)
                    c = plus_product(c, spread_from(number + 8), vector)
                    d = plus_product(d, spread_from(number + 12), vector)
                    row += step
                    number += step
                out = both_at + first * step + at
                store(out, a)
                store(out + step, b)
                store(out + 2 * step, c)
                store(out + 3 * step, d)
        pair = 0
        for m in range(1, count):
            for n in range(m):
                pairs[sample, pair + n] = both[m, n]
            pair += m


@compiled
def _backward(begin: int, end: int, gradient: Any, x: Any, rows: Any, x_slopes: Any, slopes: Any) -> None:
    """Samples `begin` to `end` of the gradient `[B, M (M - 1) / 2]` to those of x and of the rows."""
    _, width, count = rows.shape
    count += 1
    wide = -(-count // 8) * 8
    both, made = np.zeros((count, wide), np.float32), np.empty((4, wide), np.float32)
    own = np.empty((width, count), np.float32)
    both_at, made_at = both.ctypes.data, made.ctypes.data
    for sample in range(begin, end):
        pair = 0
        for m in range(1, count):
            for n in range(m):
                both[m, n] = gradient[sample, pair + n]
                both[n, m] = gradient[sample, pair + n]
            pair += m
        for e in range(width):
            own[e, 0] = x[sample, e]
            for m in range(1, count):
                own[e, m] = rows[sample, e, m - 1]
        for first in range(0, width, 4):
            live = min(4, width - first)
            top = own.ctypes.data + 4 * count * first
            second, third, fourth = 4 * count * min(1, live - 1), 4 * count * min(2, live - 1), 4 * count * (live - 1)
            for at in range(0, 4 * wide, BYTES):
                a, b, c, d = spread(ZERO), spread(ZERO), spread(ZERO), spread(ZERO)
                number, row = top, both_at + at
                for _ in range(count):
                    vector = load(row)
                    a = plus_product(a, spread_from(number), vector)
                    b = plus_product(b, spread_from(number + second), vector)
                    c = plus_product(c, spread_from(number + third), vector)
                    d = plus_product(d, spread_from(number + fourth), vector)
                    number += 4
                    row += 4 * wide
                out = made_at + at
                store(out, a)
                store(out + 4 * wide, b)
                store(out + 8 * wide, c)
                store(out + 12 * wide, d)
            for t in range(live):
                x_slopes[sample, first + t] = made[t, 0]
                for m in range(1, count):
                    slopes[sample, first + t, m - 1] = made[t, m]
    own[0, 0] = ZERO  # numba frees an array after its last use, and does not count its address as one


class PairsOfRows(torch.autograd.Function):
    """Products of pairs of the M rows `x [B, E]`, `rows [B, E, M - 1]`: `[B, M (M - 1) / 2]`.

    In the order of `tril_indices` of M, where x is row 0.
    """

    @staticmethod
    def forward(context: Any, x: Tensor, rows: Tensor) -> Tensor:
        x, rows = x.detach().contiguous(), rows.detach().contiguous()
        context.save_for_backward(x, rows)
        samples, _, count = rows.shape
        pairs = rows.new_empty(samples, count * (count + 1) // 2)
        arrays = x.numpy(), rows.numpy(), pairs.numpy()
        in_parts(lambda begin, end: _forward(begin, end, *arrays), samples)
        return pairs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, rows = context.saved_tensors
        found = torch.empty_like(x), torch.empty_like(rows)
        arrays = [one.numpy() for one in (gradient.contiguous(), x, rows, *found)]
        in_parts(lambda begin, end: _backward(begin, end, *arrays), len(rows))
        return found
