"""Logistic regression: the floor that every other model must beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from nasrec_nni.baselines.layers import FirstOrder
from nasrec_nni.baselines.settings import BaselineSettings


def build(dense_width: int, rows_per_field: Sequence[int], settings: BaselineSettings, **options: Any) -> nn.Module:
    """A weight per dense column and per id, no interaction: dense `[B, w_0]`, ids `[B, F]` to logits `[B]`.

    Has no option.
    """
    return FirstOrder(dense_width, rows_per_field, settings.changed("lr", options, ()))
