"""Backwards through the mixing of rows: all gradients of some rows while they are in the nearest cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasrec_nni.operators.kernels.compiled import compiled, inlined
from nasrec_nni.operators.kernels.tiles import LINE, TILE, ZERO, added, aligned, tile_of_one
from nasrec_nni.operators.kernels.vectors import (
    BYTES,
    copy_number,
    load,
    minus,
    plus,
    plus_product,
    spread,
    store,
    times,
    total_of,
    where_positive,
)

ROWS = 1024  # whose gradients of weights are added up first, on however many threads
BLOCK = 128  # rows whose gradients are held at once
ONE = np.float32(1)


@inlined
def _norm_back(
    span: Any,
    live: Any,
    share: Any,
    given: Any,
    summed: Any,
    relu: Any,
    mean: Any,
    scale: Any,
    w: Any,
    b: Any,
    dw: Any,
    db: Any,
    out: Any,
) -> Any:
    """The gradient of a row's sums to `out`; what the row adds to those of the norm's weight and bias, to theirs.

    Which results the ReLU let pass is found again from the sums: reading them as well would cost more.
    `live`, if it is not 0, has a 1 for each of the row's numbers; what else its last vector holds counts as 0.
    """
    middle, factor = spread(mean), spread(scale)
    plain, along = spread(ZERO), spread(ZERO)
    for at in range(0, span, BYTES):
        held, total = load(given + at), load(summed + at)
        if live != 0:
            held, total = where_positive(load(live + at), held), where_positive(load(live + at), total)
        hat = times(minus(total, middle), factor)
        if relu:
            held = where_positive(plus_product(load(b + at), hat, load(w + at)), held)
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
            tile_of_one(width, slopes + r * step, step, four, turned + 4 * column, 4 * broad, target, target_step)
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
        apart = (4 * second, 4 * third, 4 * fourth)
        for column in range(0, step, 4 * TILE):
            first = out + k * step + column
            at2, at3, at4 = first + second * step, first + third * step, first + fourth * step
            a, b, c, d = load(first), load(first + BYTES), load(at2), load(at2 + BYTES)
            e, f, g, h = load(at3), load(at3 + BYTES), load(at4), load(at4 + BYTES)
            row, number = slopes + column, x + 4 * k
            for _ in range(rows):
                a, b, c, d, e, f, g, h = added(a, b, c, d, e, f, g, h, number, apart, load(row), load(row + BYTES))
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
def backward(
    begin: int,
    end: int,
    g: Any,
    sums: Any,
    moments: Any,
    weight: Any,
    bias: Any,
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
    (rows, width), (_, height, wide) = sums.shape, maps.shape
    step = 4 * wide
    slopes, padded = np.zeros(BLOCK * wide + LINE, np.float32), np.zeros((2, wide), np.float32)
    scratch = np.empty(4 * TILE, np.float32)
    slopes_at, share = aligned(slopes.ctypes.data), ONE / np.float32(width)
    mask, span = 0 if width % 8 == 0 else live.ctypes.data, -(-width // 8) * BYTES
    for part in range(begin, end):
        stop = min(rows, (part + 1) * ROWS)
        for first in range(part * ROWS, stop, BLOCK):
            count = min(BLOCK, stop - first)
            for r in range(count):
                place = 4 * width * (first + r)
                given, summed = g.ctypes.data + place, sums.ctypes.data + place
                if mask != 0 and (rows - first - r - 1) * width < 8:  # its last vector would reach beyond the arrays
                    for column in range(width):
                        padded[0, column] = g[first + r, column]
                        padded[1, column] = sums[first + r, column]
                    given = padded.ctypes.data
                    summed = given + step
                mean, scale = moments[first + r, 0], moments[first + r, 1]
                dw_at, db_at, out = dw.ctypes.data + part * step, db.ctypes.data + part * step, slopes_at + r * step
                w, b = weight.ctypes.data, bias.ctypes.data
                _norm_back(span, mask, share, given, summed, relu, mean, scale, w, b, dw_at, db_at, out)
            into = maps.ctypes.data + part * height * step
            for j in range(len(widths)):
                source, behind = widths[j], stop - first - count
                if found[j]:
                    target, map_at = found[j] + 4 * first * source, turned[j]
                    _to_source(count, behind, slopes_at, step, width, map_at, source, target, scratch.ctypes.data)
                _to_map(count, slopes_at, step, addresses[j] + 4 * first * source, source, into)
                into += source * step
    slopes[0] = scratch[0] = ZERO  # as above
