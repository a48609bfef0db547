"""What operators are built for (`Limits`) and what they are given (`Inputs`).

Sparse outputs are kept embedding-major, `[B, E, r]`: mixing rows is then one matrix product over the last
axis, and layer norm over rows runs on contiguous memory. The last `merger_rows` rows of a source are those
its dense→sparse merger added; they have a weight slot of their own in every consumer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor


class Rows(NamedTuple):
    """The sparse output of a source: `tensor [B, E, r]`, of whose rows the last `merger_rows` are a merger's."""

    tensor: Tensor
    merger_rows: int


@dataclass(frozen=True)
class Inputs:
    """Live sources of one block, by list; sources ascending. A list nobody reads is empty."""

    dense: Mapping[int, Tensor] = field(default_factory=dict)
    sparse: Mapping[int, Rows] = field(default_factory=dict)
    left: tuple[Tensor, ...] = ()
    right: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Limits:
    """Largest sizes an operator or merger must serve.

    Args:
        dense: source -> most columns `w_j`.
        sparse: source -> (most operator rows, merger rows).
        widest: most columns of any left or right source, `m`.
        out: most columns `D` or rows `S` it may emit.
        embedding: `E`.
        heads: attention heads.
        layer_norm: layer norm behind linear maps, no bias in them.
        elastic: True in a supernet: a map that is skipped at these very sizes is still needed at smaller ones.
    """

    dense: Mapping[int, int]
    sparse: Mapping[int, tuple[int, int]]
    widest: int
    out: int
    embedding: int
    heads: int
    layer_norm: bool
    elastic: bool

    @property
    def columns(self) -> int:
        """Σ w_j."""
        return sum(self.dense.values())

    @property
    def rows(self) -> int:
        """Σ r_j, merger rows included."""
        return sum(operator + merger for operator, merger in self.sparse.values())
