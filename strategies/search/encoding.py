"""An architecture as numbers, for regressors: choices of its canonical form, block by block.

per block   dense operator and sparse operator   one of n each, all 0 where dead
            D, S                                 log2 over the space's largest, 0 where dead
            dense, sparse connections            a bit a source
            left, right                          a bit a source
            mergers                              a bit each
whole       counts: live operators of each kind, log2 of the summed D and S
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture, Block


def encode(architectures: Sequence[Architecture], space: SpaceDescription) -> NDArray[np.float32]:
    """`[n, K]`, n from 1; equal rows for equal canonical forms, K by the space alone."""
    rows = [_encoded(architecture.canonical.blocks, space) for architecture in architectures]
    return np.array(rows, np.float32)


def _encoded(blocks: Sequence[Block], space: SpaceDescription) -> list[float]:
    widest, most = math.log2(1 + max(space.dense_widths)), math.log2(1 + max(space.sparse_rows))
    found: list[float] = []
    for number, block in enumerate(blocks, 1):
        found += [float(block.dense_operator == name) for name in space.dense_operators]
        found += [float(block.sparse_operator == name) for name in space.sparse_operators]
        found += [_log(block.dense_width) / widest, _log(block.sparse_rows) / most]
        for sources in (block.dense_connections or (), block.sparse_connections or ()):
            found += [float(source in sources) for source in range(number)]
        for one in (block.left, block.right):
            found += [float(source == one) for source in range(number)]
        found += [float(bool(block.dense_to_sparse)), float(bool(block.sparse_to_dense))]
    found += [float(sum(block.dense_operator == name for block in blocks)) for name in space.dense_operators]
    found += [float(sum(block.sparse_operator == name for block in blocks)) for name in space.sparse_operators]
    found += [
        _log(sum(block.dense_width or 0 for block in blocks)),
        _log(sum(block.sparse_rows or 0 for block in blocks)),
    ]
    return found


def _log(size: int | None) -> float:
    return math.log2(1 + (size or 0))
