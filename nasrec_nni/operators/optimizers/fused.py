"""The blocks of a step that compiled kernels can update, as one table of addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nasrec_nni.operators.optimizers.gradients import Block


@dataclass(slots=True)
class Parts:
    """Blocks of one group, and where they lie.

    Attributes:
        blocks: kept here, because `places` are addresses.
        places: as of `nasrec_nni.operators.kernels.updates`; states are 0 until `find_states`.
    """

    blocks: list[Block]
    places: NDArray[np.int64]

    @classmethod
    def of(cls, blocks: list[Block]) -> Parts:
        """Of blocks that `fits` has let through; gradients are laid out anew where they are not contiguous."""
        return cls(blocks, np.array([_line(block) for block in blocks], np.int64))

    def find_states(self, states: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
        """Fill in the addresses of the state tensors."""
        from nasrec_nni.operators.kernels.updates import FIRST

        for index, name in enumerate(names):
            self.places[:, FIRST + index] = [state[name].data_ptr() for state in states]

    def add_l2(self, l2: float) -> None:
        """`g += l2 · w`."""
        from nasrec_nni.operators.kernels.updates import decay

        decay(self.places, np.float32(l2))

    def squares(self) -> float:
        """The sum of all squared gradients."""
        from nasrec_nni.operators.kernels.updates import squares

        return float(squares(self.places))


def fits(block: Block) -> bool:
    """Whether kernels know this kind of block: float32 in the CPU's memory, rows at equal distances."""
    weight, gradient = block.parameter, block.gradient
    if not weight.is_cpu or weight.dtype != torch.float32 or gradient.dtype != torch.float32:
        return False
    return weight.is_contiguous() and (weight.dim() in (1, 2) or (weight.dim() > 2 and weight.shape == gradient.shape))


def _line(block: Block) -> tuple[int, ...]:
    if not block.gradient.is_contiguous():
        block.gradient = block.gradient.contiguous()
    weight, gradient, rows = block.parameter, block.gradient, block.rows
    count = gradient.shape[0]
    columns, whole = gradient.numel() // count, weight.numel() // weight.shape[0]
    numbers = 0 if rows is None else rows.data_ptr()
    return gradient.data_ptr(), weight.data_ptr(), 0, 0, numbers, count, columns, whole
