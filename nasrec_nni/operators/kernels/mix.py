"""Mixing many short rows with layer norm and ReLU in one pass: float32 on the CPU.

A sparse output is 8,192 rows of 16 to 64 numbers at batch 512. The products, the norm and, backwards, all gradients of
a few rows are finished before the next rows are read, with the sums in registers. Libraries' matrix products reach
about a third of their speed at such sizes within a step, and pass over the rows seven times more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasrec_nni.operators.kernels.compiled import compiled, in_parts
from nasrec_nni.operators.kernels.mix_back import ROWS, backward
from nasrec_nni.operators.kernels.tiles import LINE, TILE, ZERO, aligned, tile
from nasrec_nni.operators.kernels.vectors import (
    BYTES,
    copy_number,
    load,
    minus,
    not_negative,
    plus,
    plus_product,
    spread,
    store,
    times,
    total_of,
)

ONE = np.float32(1)


@compiled
def _forward(
    begin: int,
    end: int,
    addresses: Any,
    widths: Any,
    packed: Any,
    weight: Any,
    bias: Any,
    live: Any,
    eps: Any,
    relu: bool,
    kept: bool,
    sums: Any,
    y: Any,
    moments: Any,
) -> None:
    """Rows `begin` to `end` of y, and of the sums and moments (mean, 1 / deviation) if they are to be kept."""
    count, (wide, width) = len(widths), (packed.shape[1], y.shape[1])
    share = ONE / np.float32(width)
    step = 4 * wide
    buffer = np.empty(5 * wide + LINE, np.float32)
    held = aligned(buffer.ctypes.data)
    made = held + 4 * step
    xs, strides = np.empty(count, np.int64), np.empty((4, count), np.int64)
    w, scale_at, shift_at, live_at = packed.ctypes.data, weight.ctypes.data, bias.ctypes.data, live.ctypes.data
    whole = width % 8 == 0
    span = -(-width // 8) * BYTES
    for first in range(begin, end, 4):
        rows = min(4, end - first)
        for j in range(count):
            xs[j] = addresses[j] + 4 * first * widths[j]
            for t in range(4):  # a row that is not there is worked on as the last one again
                strides[t, j] = 4 * widths[j] * min(t, rows - 1)
        for column in range(0, wide, TILE):
            tile(count, xs, strides, widths, w + 4 * column, step, held + 4 * column, step)
        for t in range(rows):
            row = held + t * step
            added = spread(ZERO)
            for at in range(0, span, BYTES):
                added = plus(added, load(row + at))
            mean = total_of(added) * share
            middle = spread(mean)
            added = spread(ZERO)
            for at in range(0, span, BYTES):
                away = minus(load(row + at), middle)
                if not whole:
                    away = times(away, load(live_at + at))
                added = plus_product(added, away, away)
            scale = ONE / np.sqrt(total_of(added) * share + eps)
            factor = spread(scale)
            # A row's last vector runs over into the next rows, which come later; not so at the end.
            direct = whole or (end - first - t - 1) * width >= 8
            place = 4 * width * (first + t)
            target = y.ctypes.data + place if direct else made
            for at in range(0, span, BYTES):
                hat = times(minus(load(row + at), middle), factor)
                normed = plus_product(load(shift_at + at), hat, load(scale_at + at))
                store(target + at, not_negative(normed) if relu else normed)
            if kept:
                moments[first + t, 0] = mean
                moments[first + t, 1] = scale
            if kept and direct:
                target = sums.ctypes.data + place
                for at in range(0, span, BYTES):
                    store(target + at, load(row + at))
            if not direct:
                for at in range(0, 4 * width, 4):
                    copy_number(made + at, y.ctypes.data + place + at)
                    if kept:
                        copy_number(row + at, sums.ctypes.data + place + at)
    buffer[0] = ZERO  # numba frees an array after its last use, and does not count its address as one


def _padded(maps: Sequence[Tensor], heights: Sequence[int], width: int, wide: int) -> Any:
    """All maps below one another, `[Σ heights, wide]`, zero behind their width."""
    packed, first = (np.zeros if width < wide else np.empty)((sum(heights), wide), np.float32), 0
    for one, height in zip(maps, heights, strict=True):
        packed[first : first + height, :width] = one.numpy()
        first += height
    return packed


def _turned(maps: Sequence[Tensor], heights: Sequence[int], width: int) -> list[Any]:
    """Each map transposed, `[width, height]`, with zeros up to whole tiles."""
    found = []
    for one, height in zip(maps, heights, strict=True):
        turned = np.zeros((width, -(-height // TILE) * TILE), np.float32)
        turned[:, :height] = one.numpy().T
        found.append(turned)
    return found


class MixedRows(torch.autograd.Function):
    """`LN(Σ_j x_j W_j)`, `x_j [..., r_j]`, `W_j [r_j, S]` to `[..., S]`; negative numbers become 0 if `relu`.

    Arguments are `relu`, the layer norm's epsilon, weight and bias `[S]`, all x, then all W.

    What is small is numpy's: a call has many such arrays, and torch takes five times as long to make one.
    """

    @staticmethod
    def forward(context: Any, relu: bool, eps: float, weight: Tensor, bias: Tensor, *given: Tensor) -> Tensor:
        number = len(given) // 2
        xs, maps = [x.detach().contiguous() for x in given[:number]], [one.detach() for one in given[number:]]
        lead, width = xs[0].shape[:-1], len(weight)
        count = lead.numel()
        wide = -(-width // TILE) * TILE
        kept = any(context.needs_input_grad)
        widths = [x.shape[-1] for x in xs]
        norm = np.zeros((3, wide), np.float32)
        norm[0, :width], norm[1, :width], norm[2, :width] = weight.detach().numpy(), bias.detach().numpy(), 1
        y, moments = xs[0].new_empty(*lead, width), np.empty((count if kept else 0, 2), np.float32)
        sums = xs[0].new_empty(count if kept else 0, width)
        arrays: list[Any] = [np.array([x.data_ptr() for x in xs]), np.array(widths)]
        arrays += [_padded(maps, widths, width, wide), *norm, np.float32(eps), relu, kept]
        arrays += [sums.numpy(), y.numpy().reshape(count, width), moments]
        in_parts(lambda begin, end: _forward(begin, end, *arrays), count)
        if kept:
            context.save_for_backward(sums, *xs, *maps)
            context.relu, context.moments, context.norm = relu, moments, norm
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        sums, *given = context.saved_tensors
        number = len(given) // 2
        xs, maps = given[:number], given[number:]
        count, width = sums.shape
        wide, parts = context.norm.shape[1], -(-count // ROWS)
        wanted = context.needs_input_grad[4 : 4 + number]
        found = [torch.empty_like(x) if want else None for x, want in zip(xs, wanted, strict=True)]
        heights = [x.shape[-1] for x in xs]
        turned = _turned(maps, heights, width)
        totals = np.zeros((parts, sum(heights), wide), np.float32)
        sides = np.zeros((2, parts, wide), np.float32)
        arrays: list[Any] = [
            gradient.contiguous().numpy().reshape(count, width),
            sums.numpy(),
            context.moments,
            *context.norm,
            context.relu,
        ]
        arrays += [np.array([x.data_ptr() for x in xs]), np.array(heights)]
        arrays += [np.array([one.ctypes.data for one in turned])]
        arrays += [np.array([0 if one is None else one.data_ptr() for one in found])]
        arrays += [totals, *sides]
        in_parts(lambda begin, end: backward(begin, end, *arrays), parts)
        by_map = torch.from_numpy(totals[:, :, :width].sum(0)).split(heights)  # type: ignore[no-untyped-call]
        dw, db = torch.from_numpy(sides[:, :, :width].sum(1))
        return None, None, dw, db, *found, *by_map
