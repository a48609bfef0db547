"""Tiles of a matrix product: four rows by 16 columns of sums, which stay in registers."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasrec_nni.operators.kernels.compiled import inlined
from nasrec_nni.operators.kernels.vectors import BYTES, load, plus_product, spread, spread_from, store

TILE = 16  # columns: two vectors
LINE = 16  # numbers of a line of the caches
ZERO = np.float32(0)


@inlined
def aligned(address: Any) -> Any:
    """The next address where a line of the caches begins: a vector across two lines takes two accesses."""
    return (address + 4 * LINE - 1) // (4 * LINE) * (4 * LINE)


@inlined
def added(
    a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, x: Any, apart: Any, left: Any, right: Any
) -> Any:
    """The sums of four rows, a number of each times 16 columns more; the numbers lie `apart` bytes from x."""
    number = spread_from(x)
    a, b = plus_product(a, number, left), plus_product(b, number, right)
    number = spread_from(x + apart[0])
    c, d = plus_product(c, number, left), plus_product(d, number, right)
    number = spread_from(x + apart[1])
    e, f = plus_product(e, number, left), plus_product(f, number, right)
    number = spread_from(x + apart[2])
    return a, b, c, d, e, f, plus_product(g, number, left), plus_product(h, number, right)


@inlined
def written(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, out: Any, step: Any) -> Any:
    store(out, a)
    store(out + BYTES, b)
    store(out + step, c)
    store(out + step + BYTES, d)
    store(out + 2 * step, e)
    store(out + 2 * step + BYTES, f)
    store(out + 3 * step, g)
    store(out + 3 * step + BYTES, h)


@inlined
def tile(total: Any, xs: Any, strides: Any, widths: Any, w: Any, step: Any, out: Any, out_step: Any) -> Any:
    """Four rows by 16 columns of `Σ_j x_j W_j`, written to `out`: all arguments but arrays are addresses or bytes.

    `xs[j]` is the address of the four rows' first number, `strides[t, j]` the distance of row t from it.
    """
    zero = spread(ZERO)
    a, b, c, d, e, f, g, h = zero, zero, zero, zero, zero, zero, zero, zero
    for j in range(total):
        x, apart = xs[j], (strides[1, j], strides[2, j], strides[3, j])
        for _ in range(widths[j]):
            a, b, c, d, e, f, g, h = added(a, b, c, d, e, f, g, h, x, apart, load(w), load(w + BYTES))
            w += step
            x += 4
    written(a, b, c, d, e, f, g, h, out, out_step)


@inlined
def tile_of_one(depth: Any, x: Any, step: Any, live: Any, w: Any, w_step: Any, out: Any, out_step: Any) -> Any:
    """The same of one source, whose rows are `step` bytes apart; `live` of the four are there."""
    apart = (step * min(1, live - 1), step * min(2, live - 1), step * min(3, live - 1))
    zero = spread(ZERO)
    a, b, c, d, e, f, g, h = zero, zero, zero, zero, zero, zero, zero, zero
    for _ in range(depth):
        a, b, c, d, e, f, g, h = added(a, b, c, d, e, f, g, h, x, apart, load(w), load(w + BYTES))
        w += w_step
        x += 4
    written(a, b, c, d, e, f, g, h, out, out_step)
