"""How long a network takes for one batch, by the clock."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch

from nasrec_nni.data.batch import Batch
from nasrec_nni.network import NASRecNetwork

WARM, TIMED = 3, 15
LEAST, MOST = 100, 300  # calls that percentiles are taken from, between these as `SECONDS` allow
SECONDS = 3.0


class Percentiles(NamedTuple):
    """Milliseconds of a call; of `calls` calls, one behind the other."""

    p50_ms: float
    p99_ms: float
    calls: int


def percentiles(call: Callable[[], Any]) -> Percentiles:
    """How long a call takes, by the clock; no two measurements are equal."""
    for _ in range(WARM):
        call()
    found: list[float] = []
    end = perf_counter() + SECONDS
    while len(found) < LEAST or (len(found) < MOST and perf_counter() < end):
        begin = perf_counter()
        call()
        found.append(1e3 * (perf_counter() - begin))
    middle, late = np.percentile(found, (50, 99))
    return Percentiles(round(float(middle), 4), round(float(late), 4), len(found))


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
