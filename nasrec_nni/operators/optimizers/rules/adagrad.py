"""Adagrad: exact on rows and slices, because an unused entry would not change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasrec_nni.operators.optimizers.fused import Parts
from nasrec_nni.operators.optimizers.gradients import Block
from nasrec_nni.operators.optimizers.rules.rule import Rule


class AdagradRule(Rule):
    """`s += g²; w -= lr · g / (√s + ε)`."""

    states = ("sum",)
    values = {"eps": 1e-10}  # noqa: RUF012

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

    def fused(self, group: dict[str, Any], parts: Parts, wholes: Sequence[dict[str, Any]], scale: float) -> None:
        from nasrec_nni.operators.kernels.updates import adagrad

        adagrad(parts.places, np.float32(scale), np.float32(group["lr"]), np.float32(group["eps"]))
