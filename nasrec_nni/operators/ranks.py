"""What the processes of one data-parallel training tell each other beside gradients."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def ranks() -> int:
    """Processes of this training, 1 if it is alone."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def share(weight: Tensor | None) -> Tensor | float:
    """What the loss of this rank's rows counts in the mean over ranks.

    With losses `Σ w l / Σ w` of each rank's own rows, the mean over ranks of `share · loss` is that of all rows.

    Args:
        weight: `[B]` of this rank's rows; None if all count as one, each rank having as many rows.
    """
    if weight is None or ranks() == 1:
        return 1.0
    own = weight.sum()
    everyone = own.clone()
    dist.all_reduce(everyone)
    return ranks() * own / everyone


def total(value: float) -> float:
    """Sum of a number over ranks; every rank must ask."""
    if ranks() == 1:
        return value
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    found = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(found)
    return found.item()
