"""Adam: torch's on whole weights, lazy on slices and table rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nasrec_nni.operators.optimizers.base import TouchedOptimizer
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
        super().__init__(parameters, "adam", {"lr": lr, "betas": betas, "eps": eps, "l2": l2}, clip=clip, tape=tape)
