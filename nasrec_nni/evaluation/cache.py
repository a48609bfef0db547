"""What the last layer of a candidate reads, computed once per row and kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from nasrec_nni.data.batch import Batch
from nasrec_nni.network import NASRecNetwork

KINDS = {"float32": torch.float32, "bfloat16": torch.bfloat16}  # of the cached features, by config key


class Cache(NamedTuple):
    """Rows of the last layer's refit.

    Attributes:
        features: `[N, D]` float32 or bfloat16, the inputs of the last layer.
        labels: `[N]` float32, 0 or 1.
        weight: `[N]` float32, rows that each one counts as; None if all count as one.
    """

    features: Tensor
    labels: Tensor
    weight: Tensor | None


def cached(network: NASRecNetwork, batches: Iterable[Batch], rows: int, width: int, kind: torch.dtype) -> Cache:
    """Run the frozen part over the batches; memory is that of the result and of one batch.

    Args:
        network: the candidate.
        batches: on the network's device.
        rows: `N`, of all batches together.
        width: `D`.
        kind: of the features.
    """
    device = network.head.bias.device
    features = torch.empty(rows, width, dtype=kind, device=device)
    labels = torch.empty(rows, device=device)
    weight: Tensor | None = None
    end = 0
    for batch in batches:
        begin, end = end, end + len(batch.label)
        features[begin:end] = network.features(batch.dense, batch.sparse)
        labels[begin:end] = batch.label
        if batch.weight is not None:
            weight = torch.empty_like(labels) if weight is None else weight
            weight[begin:end] = batch.weight
    if end != rows:
        raise ValueError(f"{end} rows in the batches, not {rows}")
    return Cache(features, labels, weight)
