"""Adam: torch's on whole weights, lazy on slices and table rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from nasrec_nni.operators.optimizers.base import TouchedOptimizer
from nasrec_nni.operators.optimizers.gradients import Block
from nasrec_nni.operators.slices import SliceTape


class Adam(TouchedOptimizer):
    """`m += (1-β₁)(g-m); v += (1-β₂)(g²-v); w -= lr · m̂ / (√v̂ + ε)` (Kingma and Ba 2015).

    Whole weights follow `torch.optim.Adam`. Slices and rows follow `torch.optim.SparseAdam`: an unused entry keeps
    its weight and both moments, where dense Adam would go on moving it by its old momentum, and ε stands beside
    `√v`, not `√v̂`. Rule of the step count `t` in the corrections of `m̂` and `v̂`: one count a parameter (a whole
    table, a whole weight), of the steps that used any part of it, not one a row.

    Args:
        parameters: parameters or groups.
        lr: learning rate.
        betas: β₁, β₂.
        eps: ε.
        l2: added to the gradient of the used part, times the weight.
        clip: global gradient norm, 0 for none.
        tape: of the slices.
    """

    states = ("mean", "square")

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        *,
        l2: float = 0.0,
        clip: float = 0.0,
        tape: SliceTape | None = None,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "l2": l2}, clip=clip, tape=tape)

    def update(
        self,
        group: dict[str, Any],
        blocks: list[Block],
        wholes: list[dict[str, Any]],
        weights: list[Tensor],
        parts: dict[str, list[Tensor]],
    ) -> None:
        first, second = group["betas"]
        gradients = [block.gradient for block in blocks]
        torch._foreach_lerp_(parts["mean"], gradients, 1 - first)
        torch._foreach_mul_(parts["square"], second)
        torch._foreach_addcmul_(parts["square"], gradients, gradients, value=1 - second)
        # With c = √(1-β₂ᵗ): m̂ / (√v̂ + ε) = c/(1-β₁ᵗ) · m / (√v + c ε); the lazy form has ε in place of c ε.
        epsilons, rates = [], []
        for block, whole in zip(blocks, wholes, strict=True):
            correction = math.sqrt(1 - second ** whole["step"])
            epsilons.append(group["eps"] * (correction if block.dense else 1.0))
            rates.append(-group["lr"] * correction / (1 - first ** whole["step"]))
        roots: Any = torch._foreach_sqrt(parts["square"])
        torch._foreach_add_(roots, epsilons)
        torch._foreach_addcdiv_(weights, parts["mean"], roots, rates)
