"""The one loss that everything is trained with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def click_loss(logits: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean binary cross-entropy of logits, a scalar.

    Args:
        logits: `[B]`.
        label: `[B]`, 0 or 1.
        weight: `[B]`, above 0: `Σ w l / Σ w`, so a row of weight 3 counts as three equal ones; None if all count as
            one.
    """
    if logits.dtype in (torch.bfloat16, torch.float16):  # of mixed precision
        logits = logits.float()
    if weight is None:
        return F.binary_cross_entropy_with_logits(logits, label)
    losses = F.binary_cross_entropy_with_logits(logits, label, reduction="none")
    # not `@`, which mixed precision would take in half precision
    return torch.dot(losses, weight) / weight.sum()
