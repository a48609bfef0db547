"""What an operator or merger registers: facts without torch, from which all else follows.

Canonical form needs what it reads, the profiler its costs, the builder the class behind `target`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Side = Literal["dense", "sparse"]
List = Literal["dense", "sparse", "left", "right"]


@dataclass(frozen=True)
class Shape:
    """Active sizes one operator of one block sees.

    Args:
        dense: source -> `w_j`, columns read through the `dense` list.
        sparse: source -> `r_j`, rows read through the `sparse` list, merger rows included.
        left: widest of the left sources, columns.
        right: widest of the right sources, columns.
        out: `D` columns for a dense operator, `S` rows for a sparse one.
        embedding: `E`.
        layer_norm: whether linear maps are followed by a layer norm and have no bias.
    """

    dense: Mapping[int, int]
    sparse: Mapping[int, int]
    left: int
    right: int
    out: int
    embedding: int
    layer_norm: bool

    @property
    def columns(self) -> int:
        """Σ w_j."""
        return sum(self.dense.values())

    @property
    def rows(self) -> int:
        """Σ r_j."""
        return sum(self.sparse.values())

    @property
    def widest(self) -> int:
        """`m`, to which left and right are padded."""
        return max(self.left, self.right)


Count = Callable[[Shape], int]


@dataclass(frozen=True)
class Operator:
    """A dense or sparse operator.

    Args:
        name: unique in the group `nasrec_nni.operators`.
        side: the half of a block it can fill.
        reads: connection lists it reads; the others have no effect on it.
        macs: multiply-accumulates per example, skip rules applied (SPEC section 10).
        parameters: weights and biases of the operator alone, skip rules applied.
        target: `module:Class` of the torch module.
        symmetric: whether left and right may be exchanged.
    """

    name: str
    side: Side
    reads: frozenset[List]
    macs: Count
    parameters: Count
    target: str
    symmetric: bool = False


@dataclass(frozen=True)
class MergerShape:
    """Sizes a merger sees: `D` of the dense operator, `S` of the sparse one, `E`."""

    width: int
    rows: int
    embedding: int
    layer_norm: bool


@dataclass(frozen=True)
class Merger:
    """A merger: dense output to extra rows, or sparse output into columns.

    Args:
        name: unique in the group `nasrec_nni.mergers`.
        side: the output it feeds: `sparse` adds rows, `dense` adds to the columns.
        macs: multiply-accumulates per example.
        parameters: weights and biases.
        target: `module:Class`.
        rows: rows added, 0 for one that feeds the dense output.
    """

    name: str
    side: Side
    macs: Callable[[MergerShape], int]
    parameters: Callable[[MergerShape], int]
    target: str
    rows: int = 0


def linear_parameters(inputs: int, outputs: int, layer_norm: bool) -> int:
    """A map with bias, or without bias but with the weight and bias of the layer norm behind it."""
    return inputs * outputs + (2 * outputs if layer_norm else outputs)


def dot_product_rows(width: int) -> int:
    """`k = round(sqrt(2 D))`, the bounded rows of the balanced dot product (authors' implementation)."""
    return round(math.sqrt(2 * width))
