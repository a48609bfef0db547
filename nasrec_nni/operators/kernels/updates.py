"""Optimizer updates of many parts of weights in one pass over each: float32 on the CPU.

torch's list operations read and write all parts once for each term of a formula, into temporaries that the system has
to find memory for; table rows they would copy out and back. These loops take a quarter of their time.

A part is a line of `places`, 64-bit integers: address of its gradient, of its weight and of each state; of its row
numbers or 0; rows; columns; columns of the whole weight. The gradient `[rows, columns]` is contiguous. Row `i` of a
part begins `numbers[i]` (or `i`) whole rows behind the weight's address. No two rows of a call may be the same one.
Whoever calls must hold the tensors meanwhile.
"""

from __future__ import annotations

from typing import Any

import numba as untyped_numba
import numpy as np
from numba import extending

from nasrec_nni.operators.kernels.compiled import compiled, inlined

GRADIENT, WEIGHT, FIRST, SECOND, NUMBERS, ROWS, COLUMNS, WHOLE = range(8)
FLOAT = 4  # bytes

numba: Any = untyped_numba  # its own annotations do not know what happens inside a kernel
intrinsic: Any = extending.intrinsic


def _pointer_to(kind: Any) -> Any:
    def pointer(_: Any, address: Any) -> Any:
        """The address as that of an array."""

        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return builder.inttoptr(values[0], context.get_value_type(signature.return_type))

        return numba.types.CPointer(kind)(numba.types.int64), code

    return intrinsic(pointer)


_floats = _pointer_to(numba.types.float32)
_longs = _pointer_to(numba.types.int64)


@inlined
def _row(line: Any, i: int) -> Any:
    """Which row of the whole weight is row `i` of the part."""
    return _longs(line[NUMBERS])[i] if line[NUMBERS] else i


@inlined
def _shape(line: Any) -> Any:
    """Rows, columns and whole columns of a part; one long row where its rows lie one behind the other."""
    if line[NUMBERS] == 0 and line[COLUMNS] == line[WHOLE]:
        return 1, line[ROWS] * line[COLUMNS], line[ROWS] * line[COLUMNS]
    return line[ROWS], line[COLUMNS], line[WHOLE]


@inlined
def _array(line: Any, which: int, place: int, columns: int) -> Any:
    """So many numbers from the one at `place` on."""
    return numba.carray(_floats(line[which] + FLOAT * place), columns)


@compiled
def squares(places: Any) -> float:
    """The sum of all squared gradients, in float64."""
    total = 0.0
    for n in range(len(places)):
        line = places[n]
        gradient = _array(line, GRADIENT, 0, line[ROWS] * line[COLUMNS])
        own = 0.0
        for j in range(len(gradient)):
            g = np.float64(gradient[j])
            own += g * g
        total += own
    return total


@compiled
def decay(places: Any, l2: Any) -> None:
    """`g += l2 · w`."""
    for n in range(len(places)):
        line = places[n]
        rows, columns, whole = _shape(line)
        for i in range(rows):
            gradient = _array(line, GRADIENT, i * columns, columns)
            weight = _array(line, WEIGHT, _row(line, i) * whole, columns)
            for j in range(columns):
                gradient[j] += l2 * weight[j]


@compiled
def adagrad(places: Any, scale: Any, rate: Any, eps: Any) -> None:
    """`g ← scale · g; s += g²; w -= rate · g / (√s + ε)`."""
    for n in range(len(places)):
        line = places[n]
        rows, columns, whole = _shape(line)
        for i in range(rows):
            place = _row(line, i) * whole
            gradient = _array(line, GRADIENT, i * columns, columns)
            weight = _array(line, WEIGHT, place, columns)
            total = _array(line, FIRST, place, columns)
            for j in range(columns):
                g = gradient[j] * scale
                s = total[j] + g * g
                total[j] = s
                weight[j] -= rate * g / (np.sqrt(s) + eps)


@compiled
def rowwise_adagrad(places: Any, scale: Any, rate: Any, eps: Any) -> None:
    """`g ← scale · g; s += Σ g² / columns of the whole row; w -= rate · g / (√s + ε)`, one `s` a row."""
    for n in range(len(places)):
        line = places[n]
        columns, whole = line[COLUMNS], line[WHOLE]
        for i in range(line[ROWS]):
            row = _row(line, i)
            gradient = _array(line, GRADIENT, i * columns, columns)
            weight = _array(line, WEIGHT, row * whole, columns)
            total = _array(line, FIRST, row, 1)
            squared = np.float32(0)
            for j in range(columns):
                g = gradient[j] * scale
                squared += g * g
            s = total[0] + squared / np.float32(whole)
            total[0] = s
            step = rate * scale / (np.sqrt(s) + eps)
            for j in range(columns):
                weight[j] -= step * gradient[j]


@compiled
def adam(places: Any, scale: Any, first: Any, second: Any, rates: Any, epsilons: Any) -> None:
    """`g ← scale · g; m += (1-β₁)(g-m); v += (1-β₂)(g²-v); w -= rate · m / (√v + ε)`; rate and ε of each part.

    `first` and `second` are `1-β₁` and `1-β₂`.
    """
    for n in range(len(places)):
        line = places[n]
        rows, columns, whole = _shape(line)
        rate, eps = rates[n], epsilons[n]
        for i in range(rows):
            place = _row(line, i) * whole
            gradient = _array(line, GRADIENT, i * columns, columns)
            weight = _array(line, WEIGHT, place, columns)
            mean = _array(line, FIRST, place, columns)
            square = _array(line, SECOND, place, columns)
            for j in range(columns):
                g = gradient[j] * scale
                m = mean[j] + first * (g - mean[j])
                v = square[j] + second * (g * g - square[j])
                mean[j] = m
                square[j] = v
                weight[j] -= rate * m / (np.sqrt(v) + eps)
