"""Costs by a counter and by hand, to hold against what a description says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def _matrices(total: Sequence[int], one: Sequence[int], other: Sequence[int], **_: Any) -> int:
    """Operations of `total + one @ other`, for matrices or batches of them."""
    return 2 * torch.Size(one).numel() * other[-1]


# Products added to what is there, which torch's counter does not know.
IN_PLACE = {torch.ops.aten.addmm_: _matrices, torch.ops.aten.baddbmm_: _matrices}


def counted_macs(module: nn.Module, run: Callable[[nn.Module], object]) -> int:
    """Multiply-accumulates of the matrix products in one run; of a batch of one that is a row's.

    Elementwise work counts 0. A part whose elementwise products are its point says so by an attribute `product_macs`,
    as baselines do.
    """
    counter = FlopCounterMode(display=False, custom_mapping=IN_PLACE)
    # attention by its definition: torch's fused kernels of the CPU are not known to its counter
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        run(module)
    products = sum(int(getattr(part, "product_macs", 0)) for part in module.modules())
    return counter.get_total_flops() // 2 + products


def numbers(module: nn.Module) -> int:
    """Numbers in its weights."""
    return sum(parameter.numel() for parameter in module.parameters())
