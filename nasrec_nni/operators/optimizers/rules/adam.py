"""Adam: torch's on whole weights, lazy on slices and table rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasrec_nni.operators.optimizers.fused import Parts
from nasrec_nni.operators.optimizers.gradients import Block
from nasrec_nni.operators.optimizers.rules.rule import Rule


class AdamRule(Rule):
    """`m += (1-β₁)(g-m); v += (1-β₂)(g²-v); w -= lr · m̂ / (√v̂ + ε)`, see `Adam`."""

    states = ("mean", "square")
    values = {"betas": (0.9, 0.999), "eps": 1e-8}  # noqa: RUF012

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
        rates, epsilons = _corrected(group, blocks, wholes)
        roots: Any = torch._foreach_sqrt(parts["square"])
        torch._foreach_add_(roots, epsilons)
        torch._foreach_addcdiv_(weights, parts["mean"], roots, [-rate for rate in rates])

    def fused(self, group: dict[str, Any], parts: Parts, wholes: Sequence[dict[str, Any]], scale: float) -> None:
        from nasrec_nni.operators.kernels.updates import adam

        numbers = (np.array(values, np.float32) for values in _corrected(group, parts.blocks, wholes))
        first, second = (np.float32(1 - beta) for beta in group["betas"])
        adam(parts.places, np.float32(scale), first, second, *numbers)


def _corrected(
    group: dict[str, Any], blocks: Sequence[Block], wholes: Sequence[dict[str, Any]]
) -> tuple[list[float], list[float]]:
    """Rate and ε of each block.

    With c = √(1-β₂ᵗ): m̂ / (√v̂ + ε) = c/(1-β₁ᵗ) · m / (√v + c ε); the lazy form has ε in place of c ε.
    """
    first, second = group["betas"]
    rates, epsilons = [], []
    for block, whole in zip(blocks, wholes, strict=True):
        correction = math.sqrt(1 - second ** whole["step"])
        rates.append(group["lr"] * correction / (1 - first ** whole["step"]))
        epsilons.append(group["eps"] * (correction if block.dense else 1.0))
    return rates, epsilons
