"""Adagrad over whole weights, slices and table rows: exact, because an unused entry would not change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nasrec_nni.operators.optimizers.base import TouchedOptimizer
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
        super().__init__(parameters, "adagrad", {"lr": lr, "eps": eps, "l2": l2}, clip=clip, tape=tape)


class RowwiseAdagrad(TouchedOptimizer):
    """Adagrad with one sum a row: `s += mean over the row of g²` (fbgemm's EXACT_ROWWISE_ADAGRAD).

    Meant for tables: their state takes `N` numbers in place of `N · E`. Arguments as of `Adagrad`.
    """

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
        super().__init__(parameters, "rowwise-adagrad", {"lr": lr, "eps": eps, "l2": l2}, clip=clip, tape=tape)
