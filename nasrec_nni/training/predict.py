"""Click probabilities of a network for rows of a prepared set."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nasrec_nni.data.loader import Batches
from nasrec_nni.data.prepared import PreparedSet


@torch.inference_mode()
def predict(
    network: nn.Module, prepared: PreparedSet, rows: NDArray[np.int64], batch: int = 8192
) -> NDArray[np.float64]:
    """Probabilities `[len(rows)]` in float64, in the order of `rows`; the network's mode is put back.

    Args:
        network: `(dense [B, w_0], sparse [B, C]) -> logits [B]`; runs where its parameters are.
        prepared: the arrays.
        rows: row numbers.
        batch: rows at once.
    """
    device = next(network.parameters()).device
    batches = Batches(prepared, rows, batch, None, pin=device.type == "cuda")
    modes = [(part, part.training) for part in network.modules()]
    network.eval()
    try:
        found = np.empty(len(rows), np.float64)
        for step in range(len(batches)):
            part = batches.batch(0, step).to(device)
            logits = network(part.dense, part.sparse)
            found[step * batch : step * batch + len(logits)] = torch.sigmoid(logits.double()).cpu().numpy()
        return found
    finally:
        for part_, training in modes:
            part_.training = training
