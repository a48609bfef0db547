"""Multiply-accumulates and parameters of a hand-made model, counted as the profiler counts searched networks."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nasrec_nni.operators.embedding import FusedEmbedding


class Cost(NamedTuple):
    """MACs per example, and parameters without embedding tables."""

    macs: int
    parameters: int


def count(model: nn.Module, dense_width: int, columns: int) -> Cost:
    """Costs of any model that maps dense `[B, w_0]` and ids `[B, C]` to logits.

    Matrix products are counted by torch while one row runs through the model: `in · out` for a linear map, `n² E`
    for the products of all pairs of n rows (SPEC section 10 counts the dot product so too). Look-ups, sums, means,
    biases and activations count 0. Elementwise products count 0 as well, but for a factorization machine, whose only
    arithmetic they are: a part says so by an attribute `product_macs`.

    Args:
        model: left in the mode it came in.
        dense_width: `w_0`.
        columns: `C`, columns of ids.
    """
    training = model.training
    model.eval()
    weight = next(model.parameters())
    dense = torch.zeros(1, dense_width, dtype=weight.dtype, device=weight.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(dense, torch.zeros(1, columns, dtype=torch.int64, device=weight.device))
    model.train(training)
    products = sum(getattr(part, "product_macs", 0) for part in model.modules())
    return Cost(counter.get_total_flops() // 2 + products, _parameters(model))


def _parameters(model: nn.Module) -> int:
    tables = [part for part in model.modules() if isinstance(part, (FusedEmbedding, nn.Embedding))]
    inside = {id(weight) for part in tables for weight in part.parameters()}
    return sum(weight.numel() for weight in model.parameters() if id(weight) not in inside)
