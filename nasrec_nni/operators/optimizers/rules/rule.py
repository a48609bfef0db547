"""What an update rule has to say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Size, Tensor

from nasrec_nni.operators.optimizers.fused import Parts
from nasrec_nni.operators.optimizers.gradients import Block


class Rule(ABC):
    """One update, in two forms that are equal up to rounding: torch's operations, and one pass on the CPU.

    Attributes:
        states: names of the state tensors.
        values: what a group must say beside `lr` and `l2`, with defaults.
    """

    states: ClassVar[tuple[str, ...]] = ()
    values: ClassVar[dict[str, Any]] = {}

    def state_shape(self, parameter: Tensor) -> Size:
        """Of each state tensor."""
        return parameter.shape

    @abstractmethod
    def update(
        self,
        group: dict[str, Any],
        blocks: list[Block],
        wholes: list[dict[str, Any]],
        weights: list[Tensor],
        parts: dict[str, list[Tensor]],
    ) -> None:
        """Change `weights` and `parts` in place by `blocks[i].gradient`.

        Args:
            group: the parameter group.
            blocks: what is used.
            wholes: the state of each parameter, its `step` already counted.
            weights: the used part of each weight.
            parts: for each name of `states`, the used part of that state.
        """

    @abstractmethod
    def fused(self, group: dict[str, Any], parts: Parts, wholes: Sequence[dict[str, Any]], scale: float) -> None:
        """The same by a compiled kernel, with gradients times `scale`; `parts` knows where the states are."""
