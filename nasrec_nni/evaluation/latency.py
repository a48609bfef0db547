"""How long a network takes for one batch, by the clock."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import torch

from nasrec_nni.data.batch import Batch
from nasrec_nni.network import NASRecNetwork

WARM, TIMED = 3, 15


@torch.inference_mode()
def latency_ms(network: NASRecNetwork, batch: Batch) -> float:
    """Median milliseconds of a forward pass, on the device and threads in use; no two measurements are equal.

    Args:
        network: in evaluation mode, on the device of the batch.
        batch: real rows, already there.
    """
    found = []
    for number in range(WARM + TIMED):
        _wait(batch)
        begin = perf_counter()
        network(batch.dense, batch.sparse)
        _wait(batch)
        if number >= WARM:
            found.append(1e3 * (perf_counter() - begin))
    return median(found)


def _wait(batch: Batch) -> None:
    """For what a GPU was told to do."""
    if batch.dense.is_cuda:
        torch.cuda.synchronize(batch.dense.device)
