"""Left and right inputs of Sum and sigmoid gating: padded to `m` columns, several of a side added."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def pad(x: Tensor, width: int) -> Tensor:
    """Zero columns appended on the right up to `width`: `[B, w]` to `[B, width]`."""
    return x if x.shape[1] == width else F.pad(x, (0, width - x.shape[1]))


def padded_sum(sources: tuple[Tensor, ...]) -> Tensor:
    """The sources padded to the widest of them and added: `[B, w_j]` each to `[B, max w_j]`."""
    if len(sources) == 1:
        return sources[0]
    width = max(x.shape[1] for x in sources)
    total = pad(sources[0], width)
    for x in sources[1:]:
        total = total + pad(x, width)
    return total
