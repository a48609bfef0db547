"""What operators are built for (`Limits`) and what they are given (`Inputs`).

Sparse outputs are kept embedding-major, `[B, E, r]`: mixing rows is then one matrix product over the last
axis, and layer norm over rows runs on contiguous memory. The rows that a dense→sparse merger adds stay a tensor of
their own, since they have a weight slot of their own in every consumer: whoever mixes rows need not join them first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Rows:
    """The sparse output of a source: `own [B, E, r]`, and the rows `merged [B, E, m]` that its merger added."""

    own: Tensor
    merged: Tensor | None = None

    @property
    def merger_rows(self) -> int:
        """m, 0 without a merger."""
        return 0 if self.merged is None else self.merged.shape[2]

    @property
    def count(self) -> int:
        """r + m."""
        return self.own.shape[2] + self.merger_rows

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The tensors that there are."""
        return (self.own,) if self.merged is None else (self.own, self.merged)

    @cached_property
    def tensor(self) -> Tensor:
        """All rows in one tensor `[B, E, r + m]`, the merger's last; joined when first asked for."""
        return self.own if self.merged is None else torch.cat(self.parts, 2)


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
