"""Row-wise Adagrad: one number a table row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Size, Tensor

from nasrec_nni.operators.optimizers.fused import Parts
from nasrec_nni.operators.optimizers.gradients import Block
from nasrec_nni.operators.optimizers.rules.rule import Rule


class RowwiseRule(Rule):
    """`s += mean over the row of g²; w -= lr · g / (√s + ε)`, one `s` a row (fbgemm's EXACT_ROWWISE_ADAGRAD).

    The mean is over the whole row of the weight, also where only its leading part is used: exact, as Adagrad is. A row
    of a vector is one number, so there it is Adagrad.
    """

    states = ("sum",)
    values = {"eps": 1e-10}  # noqa: RUF012

    def state_shape(self, parameter: Tensor) -> Size:
        return parameter.shape[:1]

    def update(
        self,
        group: dict[str, Any],
        blocks: list[Block],
        wholes: list[dict[str, Any]],
        weights: list[Tensor],
        parts: dict[str, list[Tensor]],
    ) -> None:
        for block, weight, total in zip(blocks, weights, parts["sum"], strict=True):
            gradient = block.gradient
            size = block.parameter[0].numel()
            total.add_(gradient.square().flatten(1).sum(1) if gradient.dim() > 1 else gradient.square(), alpha=1 / size)
            divisor = total.sqrt().add_(group["eps"]).view(-1, *[1] * (gradient.dim() - 1))
            weight.addcdiv_(gradient, divisor, value=-group["lr"])

    def fused(self, group: dict[str, Any], parts: Parts, wholes: Sequence[dict[str, Any]], scale: float) -> None:
        from nasrec_nni.operators.kernels.updates import rowwise_adagrad

        rowwise_adagrad(parts.places, np.float32(scale), np.float32(group["lr"]), np.float32(group["eps"]))
