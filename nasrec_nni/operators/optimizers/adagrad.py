"""Adagrad over whole weights, slices and table rows: exact, because an unused entry would not change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from nasrec_nni.operators.optimizers.base import TouchedOptimizer
from nasrec_nni.operators.optimizers.gradients import Block
from nasrec_nni.operators.slices import SliceTape


class Adagrad(TouchedOptimizer):
    """`s += g²; w -= lr · g / (√s + ε)`, s from 0, no decay of the learning rate (Duchi et al. 2011, torch's form).

    Equal to `torch.optim.Adagrad` with dense gradients on every row and slice, used or not.

    Args:
        parameters: parameters or groups.
        lr: learning rate.
        eps: ε; the published recipe has 1e-2.
        l2: added to the gradient of the used part, times the weight.
        clip: global gradient norm, 0 for none.
        tape: of the slices.
    """

    states = ("sum",)

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-2,
        eps: float = 1e-10,
        *,
        l2: float = 0.0,
        clip: float = 0.0,
        tape: SliceTape | None = None,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "eps": eps, "l2": l2}, clip=clip, tape=tape)

    def update(
        self,
        group: dict[str, Any],
        blocks: list[Block],
        wholes: list[dict[str, Any]],
        weights: list[Tensor],
        parts: dict[str, list[Tensor]],
    ) -> None:
        gradients = [block.gradient for block in blocks]
        torch._foreach_addcmul_(parts["sum"], gradients, gradients, value=1.0)
        roots: Any = torch._foreach_sqrt(parts["sum"])
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_addcdiv_(weights, gradients, roots, value=-group["lr"])
