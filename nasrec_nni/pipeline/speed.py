"""How fast this machine runs and trains networks: a few are built with tiny tables and timed for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasrec_nni.config import Recipe
from nasrec_nni.profiling import Sizes
from nasrec_nni.threads import using_threads

if TYPE_CHECKING:
    from torch import nn

TABLE_ROWS = 64
REPEATS = 2
FORWARD_ROWS = 1024


@dataclass(frozen=True)
class Speed:
    """Seconds of one network.

    Args:
        train_row: per row and training step, optimizer included, at the recipe's batch.
        forward_row: per row and prediction.
    """

    train_row: float
    forward_row: float


def measure(networks: Sequence[nn.Module], sizes: Sizes, recipe: Recipe, devices: int = 1) -> Speed:
    """Mean seconds over some networks.

    Args:
        networks: with tables of `TABLE_ROWS` rows a field.
        sizes: of their inputs.
        recipe: optimizer and batch.
        devices: processes that share a batch and the threads of this one; a part of the batch is trained with a part
            of the threads.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    from nasrec_nni.operators.optimizers import build_optimizer

    part = max(1, recipe.batch // devices)
    rows = max(part, FORWARD_ROWS)
    dense, ids = torch.randn(rows, sizes.dense), torch.randint(0, TABLE_ROWS, (rows, sizes.fields))
    label = torch.randint(0, 2, (rows,)).float()
    train, forward = [], []
    for network in networks:
        optimizer = build_optimizer(network, recipe)

        def step(network: nn.Module = network, optimizer: torch.optim.Optimizer = optimizer) -> None:
            optimizer.zero_grad()
            logits = network(dense[:part], ids[:part])
            loss = binary_cross_entropy_with_logits(logits, label[:part])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        def predict(network: nn.Module = network) -> None:
            with torch.no_grad():
                network(dense[:FORWARD_ROWS], ids[:FORWARD_ROWS])

        with using_threads(max(1, torch.get_num_threads() // devices)):
            train.append(_seconds(step) / recipe.batch)
        forward.append(_seconds(predict) / FORWARD_ROWS)
    return Speed(sum(train) / len(train), sum(forward) / len(forward))


def fit_pass(rows: int, features: int) -> float:
    """Seconds of one pass over cached features, loss and gradient."""
    import torch

    x, weights, residual = torch.randn(rows, features), torch.randn(features), torch.randn(rows)

    def run() -> None:
        torch.sigmoid(x @ weights)
        x.T @ residual

    return _seconds(run)


def _seconds(run: Callable[[], None]) -> float:
    """Least of a few calls behind one that warms up."""
    run()
    found = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        run()
        found.append(time.perf_counter() - begin)
    return min(found)
