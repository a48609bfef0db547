"""Mixing many short rows with layer norm and ReLU in one pass: float32 on the CPU.

A sparse output is 8,192 rows of 16 to 64 numbers at batch 512. The products, the norm and, backwards, all gradients of
a few rows are finished before the next rows are read, with the sums in registers. Libraries' matrix products reach
about a third of their speed at such sizes within a step, and pass over the rows seven times more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasrec_nni.operators.kernels.compiled import compiled, in_parts, inlined
from nasrec_nni.operators.kernels.vectors import (
    BYTES,
    copy_number,
    load,
    minus,
    not_negative,
    plus,
    plus_product,
    spread,
    spread_from,
    store,
    times,
    total_of,
    where_positive,
)

TILE = 16  # columns of a tile of sums: 4 rows of 2 vectors
ROWS = 1024  # whose gradients of weights are added up first, on however many threads
BLOCK = 128  # rows whose gradients are held at once
LINE = 16  # numbers of a line of the caches
ZERO, ONE = np.float32(0), np.float32(1)


@inlined
def _aligned(address: Any) -> Any:
    """The next address where a line of the caches begins: a vector across two lines takes two accesses."""
    return (address + 4 * LINE - 1) // (4 * LINE) * (4 * LINE)


@inlined
def _tile(total: Any, xs: Any, strides: Any, widths: Any, w: Any, step: Any, out: Any, out_step: Any) -> Any:
    """Four rows by 16 columns of `Σ_j x_j W_j`, written to `out`: all arguments but arrays are addresses or bytes.

    `xs[j]` is the address of the four rows' first number, `strides[t, j]` the distance of row t from it.
    """
    zero = spread(ZERO)
    a, b, c, d, e, f, g, h = zero, zero, zero, zero, zero, zero, zero, zero
    for j in range(total):
        x = xs[j]
        second, third, fourth = strides[1, j], strides[2, j], strides[3, j]
        for _ in range(widths[j]):
            left, right = load(w), load(w + BYTES)
            w += step
            number = spread_from(x)
            a, b = plus_product(a, number, left), plus_product(b, number, right)
            number = spread_from(x + second)
            c, d = plus_product(c, number, left), plus_product(d, number, right)
            number = spread_from(x + third)
            e, f = plus_product(e, number, left), plus_product(f, number, right)
            number = spread_from(x + fourth)
            g, h = plus_product(g, number, left), plus_product(h, number, right)
            x += 4
    store(out, a)
    store(out + BYTES, b)
    out += out_step
    store(out, c)
    store(out + BYTES, d)
    out += out_step
    store(out, e)
    store(out + BYTES, f)
    out += out_step
    store(out, g)
    store(out + BYTES, h)


@inlined
def _tile_of_one(depth: Any, x: Any, step: Any, live: Any, w: Any, w_step: Any, out: Any, out_step: Any) -> Any:
    """The same of one source, whose rows are `step` bytes apart; `live` of the four are there."""
    second, third, fourth = step * min(1, live - 1), step * min(2, live - 1), step * min(3, live - 1)
    zero = spread(ZERO)
    a, b, c, d, e, f, g, h = zero, zero, zero, zero, zero, zero, zero, zero
    for _ in range(depth):
        left, right = load(w), load(w + BYTES)
        w += w_step
        number = spread_from(x)
        a, b = plus_product(a, number, left), plus_product(b, number, right)
        number = spread_from(x + second)
        c, d = plus_product(c, number, left), plus_product(d, number, right)
        number = spread_from(x + third)
        e, f = plus_product(e, number, left), plus_product(f, number, right)
        number = spread_from(x + fourth)
        g, h = plus_product(g, number, left), plus_product(h, number, right)
        x += 4
    store(out, a)
    store(out + BYTES, b)
    out += out_step
    store(out, c)
    store(out + BYTES, d)
    out += out_step
    store(out, e)
    store(out + BYTES, f)
    out += out_step
    store(out, g)
    store(out + BYTES, h)


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
    held = _aligned(buffer.ctypes.data)
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
            _tile(count, xs, strides, widths, w + 4 * column, step, held + 4 * column, step)
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


@inlined
def _norm_back(
    span: Any,
    live: Any,
    share: Any,
    given: Any,
    summed: Any,
    made: Any,
    relu: Any,
    mean: Any,
    scale: Any,
    w: Any,
    dw: Any,
    db: Any,
    out: Any,
) -> Any:
    """The gradient of a row's sums to `out`; what the row adds to those of the norm's weight and bias, to theirs.

    `live`, if it is not 0, has a 1 for each of the row's numbers; what else its last vector holds counts as 0.
    """
    middle, factor = spread(mean), spread(scale)
    plain, along = spread(ZERO), spread(ZERO)
    for at in range(0, span, BYTES):
        held, total = load(given + at), load(summed + at)
        if relu:
            held = where_positive(load(made + at), held)
        if live != 0:
            held, total = where_positive(load(live + at), held), where_positive(load(live + at), total)
        hat = times(minus(total, middle), factor)
        weighted = times(held, load(w + at))
        plain, along = plus(plain, weighted), plus_product(along, weighted, hat)
        store(dw + at, plus_product(load(dw + at), held, hat))
        store(db + at, plus(load(db + at), held))
        store(out + at, weighted)
    less, lean = spread(total_of(plain) * share), spread(total_of(along) * share)
    for at in range(0, span, BYTES):
        hat = times(minus(load(summed + at), middle), factor)
        slope = times(factor, minus(minus(load(out + at), less), times(hat, lean)))
        if live != 0:
            slope = where_positive(load(live + at), slope)
        store(out + at, slope)


@inlined
def _to_source(
    rows: Any, behind: Any, slopes: Any, step: Any, width: Any, turned: Any, source: Any, out: Any, scratch: Any
) -> Any:
    """The gradient of a block's rows of one source, whose map is given transposed and padded.

    A row's last tile runs over into the next rows, so it is made first; `behind` are those that follow the block.
    """
    broad = -(-source // TILE) * TILE
    for r in range(0, rows, 4):
        four = min(4, rows - r)
        direct = four == 4 and (broad == source or (behind + rows - r - 4) * source >= TILE)
        for column in range(broad - TILE, -1, -TILE):
            target, target_step = out + 4 * (r * source + column), 4 * source
            if not direct:
                target, target_step = scratch, 4 * TILE
            _tile_of_one(width, slopes + r * step, step, four, turned + 4 * column, 4 * broad, target, target_step)
            if not direct:
                for t in range(four):
                    begin, end = scratch + 4 * TILE * t, out + 4 * ((r + t) * source + column)
                    for at in range(0, 4 * min(TILE, source - column), 4):
                        copy_number(begin + at, end + at)


@inlined
def _to_map(rows: Any, slopes: Any, step: Any, x: Any, source: Any, out: Any) -> Any:
    """Adds what a block's rows of one source give to the gradient of its map, at `out`: four of its rows at a time."""
    for k in range(0, source, 4):
        second, third, fourth = min(1, source - 1 - k), min(2, source - 1 - k), min(3, source - 1 - k)
        for column in range(0, step, 4 * TILE):
            first = out + k * step + column
            at2, at3, at4 = first + second * step, first + third * step, first + fourth * step
            a, b, c, d = load(first), load(first + BYTES), load(at2), load(at2 + BYTES)
            e, f, g, h = load(at3), load(at3 + BYTES), load(at4), load(at4 + BYTES)
            row, number = slopes + column, x + 4 * k
            for _ in range(rows):
                left, right = load(row), load(row + BYTES)
                value = spread_from(number)
                a, b = plus_product(a, value, left), plus_product(b, value, right)
                value = spread_from(number + 4 * second)
                c, d = plus_product(c, value, left), plus_product(d, value, right)
                value = spread_from(number + 4 * third)
                e, f = plus_product(e, value, left), plus_product(f, value, right)
                value = spread_from(number + 4 * fourth)
                g, h = plus_product(g, value, left), plus_product(h, value, right)
                row += step
                number += 4 * source
            store(at4, g)  # rows that are not there are the last one, worked on again: the same sums
            store(at4 + BYTES, h)
            store(at3, e)
            store(at3 + BYTES, f)
            store(at2, c)
            store(at2 + BYTES, d)
            store(first, a)
            store(first + BYTES, b)


@compiled
def _backward(
    begin: int,
    end: int,
    g: Any,
    sums: Any,
    y: Any,
    moments: Any,
    weight: Any,
    live: Any,
    relu: bool,
    addresses: Any,
    widths: Any,
    turned: Any,
    found: Any,
    maps: Any,
    dw: Any,
    db: Any,
) -> None:
    """Parts `begin` to `end` of `ROWS` rows: the sources' gradients, and the part's own sum of those of all weights.

    `turned` are addresses of the transposed maps, padded; `found` of the sources' gradients, 0 where nobody wants one.
    `maps [parts, K, wide]`, `dw` and `db [parts, wide]` are zero before.
    """
    (rows, width), (_, height, wide) = y.shape, maps.shape
    step = 4 * wide
    slopes, padded = np.zeros(BLOCK * wide + LINE, np.float32), np.zeros((3, wide), np.float32)
    scratch = np.empty(4 * TILE, np.float32)
    slopes_at, share = _aligned(slopes.ctypes.data), ONE / np.float32(width)
    mask, span = 0 if width % 8 == 0 else live.ctypes.data, -(-width // 8) * BYTES
    for part in range(begin, end):
        stop = min(rows, (part + 1) * ROWS)
        for first in range(part * ROWS, stop, BLOCK):
            count = min(BLOCK, stop - first)
            for r in range(count):
                place = 4 * width * (first + r)
                given, summed, made = g.ctypes.data + place, sums.ctypes.data + place, y.ctypes.data + place
                if mask != 0 and (rows - first - r - 1) * width < 8:  # its last vector would reach beyond the arrays
                    for column in range(width):
                        padded[0, column] = g[first + r, column]
                        padded[1, column] = sums[first + r, column]
                        padded[2, column] = y[first + r, column]
                    given = padded.ctypes.data
                    summed, made = given + step, given + 2 * step
                mean, scale = moments[first + r, 0], moments[first + r, 1]
                dw_at, db_at, out = dw.ctypes.data + part * step, db.ctypes.data + part * step, slopes_at + r * step
                w = weight.ctypes.data
                _norm_back(span, mask, share, given, summed, made, relu, mean, scale, w, dw_at, db_at, out)
            into = maps.ctypes.data + part * height * step
            for j in range(len(widths)):
                source, behind = widths[j], stop - first - count
                if found[j]:
                    target, map_at = found[j] + 4 * first * source, turned[j]
                    _to_source(count, behind, slopes_at, step, width, map_at, source, target, scratch.ctypes.data)
                _to_map(count, slopes_at, step, addresses[j] + 4 * first * source, source, into)
                into += source * step
    slopes[0] = scratch[0] = ZERO  # as above


def _padded(x: Tensor, rows: int, columns: int) -> Tensor:
    if x.shape == (rows, columns) and x.is_contiguous():
        return x
    wider = x.new_zeros(rows, columns)
    wider[: x.shape[0], : x.shape[1]] = x
    return wider


class MixedRows(torch.autograd.Function):
    """`LN(Σ_j x_j W_j)`, `x_j [N, r_j]`, `W_j [r_j, S]` to `[N, S]`; negative numbers become 0 if `relu`.

    Arguments are `relu`, the layer norm's epsilon, weight and bias `[S]`, all x, then all W.
    """

    @staticmethod
    def forward(context: Any, relu: bool, eps: float, weight: Tensor, bias: Tensor, *given: Tensor) -> Tensor:
        number = len(given) // 2
        xs, maps = [x.contiguous() for x in given[:number]], given[number:]
        count, width = len(xs[0]), len(weight)
        wide = -(-width // TILE) * TILE
        kept = any(context.needs_input_grad)
        packed = _padded(torch.cat(maps) if number > 1 else maps[0], sum(len(one) for one in maps), wide)
        norm = torch.zeros(3, wide)
        norm[0, :width], norm[1, :width], norm[2, :width] = weight, bias, 1
        y, moments = xs[0].new_empty(count, width), xs[0].new_empty(count if kept else 0, 2)
        sums = xs[0].new_empty(count if kept else 0, width)
        addresses, widths = np.array([x.data_ptr() for x in xs]), np.array([x.shape[1] for x in xs])
        rows = [one.numpy() for one in (packed, *norm)]
        arrays: list[Any] = [addresses, widths, *rows, np.float32(eps), relu, kept]
        arrays += [one.numpy() for one in (sums, y, moments)]
        in_parts(lambda begin, end: _forward(begin, end, *arrays), count)
        if kept:
            context.save_for_backward(sums, y, moments, norm[0], norm[2], *xs, *maps)
            context.relu = relu
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        sums, y, moments, weight, live, *given = context.saved_tensors
        number = len(given) // 2
        xs, maps = given[:number], given[number:]
        count, width = y.shape
        wide, parts = len(weight), -(-count // ROWS)
        wanted = context.needs_input_grad[4 : 4 + number]
        found = [torch.empty_like(x) if want else None for x, want in zip(xs, wanted, strict=True)]
        turned = [_padded(one.t(), width, -(-len(one) // TILE) * TILE) for one in maps]
        heights = [len(one) for one in maps]
        totals, sides = y.new_zeros(parts, sum(heights), wide), y.new_zeros(2, parts, wide)
        arrays: list[Any] = [one.numpy() for one in (gradient.contiguous(), sums, y, moments, weight, live)]
        arrays += [context.relu, np.array([x.data_ptr() for x in xs]), np.array(heights)]
        arrays += [np.array([one.data_ptr() for one in turned])]
        arrays += [np.array([0 if one is None else one.data_ptr() for one in found])]
        arrays += [one.numpy() for one in (totals, *sides)]
        in_parts(lambda begin, end: _backward(begin, end, *arrays), parts)
        by_map = totals.sum(0)[:, :width].split(heights)
        dw, db = sides.sum(1)[:, :width]
        return None, None, dw, db, *found, *by_map
