"""Scores an architecture with the supernet's weights."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nasrec_nni.architecture.value import Architecture
from nasrec_nni.config import SearchConfig
from nasrec_nni.data.batch import Batch
from nasrec_nni.data.loader import Batches, labels_of
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError
from nasrec_nni.evaluation.cache import KINDS, cached
from nasrec_nni.evaluation.last_layer import fit_adagrad, fit_lbfgs, fit_newton
from nasrec_nni.evaluation.supernet import Supernet
from nasrec_nni.metrics import auc, mean, row_losses
from nasrec_nni.network import NASRecNetwork

# Rows the frozen part runs on at once. On a CPU the intermediate results of a chunk should stay in its caches: one core
# of a Xeon took 1.1 to 1.8 times as long for chunks of 8192 rows as for 512. On a GPU a large chunk hides the calls.
CHUNKS = {"cpu": 512, "cuda": 8192}
WINDOW = 65_536  # rows whose losses are computed at once
HEAD_STREAM, SCORE_STREAM, ORDER_STREAM = 1, 2, 3


@dataclass(frozen=True)
class Score:
    """How good a candidate is.

    Args:
        log_loss: mean over the scored validation rows, by weight, float64.
        auc: of the same rows, by weight; `None` if they hold one class.
        losses: the loss of each row, for comparing two candidates in pairs.
        cpu_seconds: process CPU time of the evaluation.
        head_rows: training rows the last layer was refitted on.
        score_rows: validation rows scored.
        converged: whether the refit of the last layer did; `None` for a fixed number of steps.
    """

    log_loss: float
    auc: float | None
    losses: np.ndarray
    cpu_seconds: float
    head_rows: int
    score_rows: int
    converged: bool | None


class Evaluator:
    """Slices a candidate, refits its last layer on cached features, scores it on rows fixed for all.

    Args:
        folder: a trained supernet.
        prepared: the set it was trained on; only its training and validation splits are read.
        config: how many rows, which solver.
        seed: picks the rows.
        device: where networks run.

    Attributes:
        head_rows: training row numbers the last layer is refitted on.
        score_rows: validation row numbers that are scored.
    """

    def __init__(
        self,
        folder: Path,
        prepared: PreparedSet,
        config: SearchConfig,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> None:
        self.supernet = Supernet(folder, device)
        if self.supernet.facts.data != prepared.fingerprint:
            raise UserError(
                "the supernet was trained on another prepared set",
                value=prepared.fingerprint,
                where=str(folder),
                allowed=self.supernet.facts.data,
                hint="Search on the set it was trained on, or train it again",
            )
        self.config = config
        self.device = self.supernet.device
        self.head_rows = _some(prepared.rows("train"), config.head_rows, [seed, HEAD_STREAM])
        self.score_rows = _some(prepared.rows("val"), config.score_rows, [seed, SCORE_STREAM])
        order = self.head_rows
        if config.head == "adagrad":  # a log may be sorted by time or label, and steps take rows as they come
            order = np.random.default_rng([seed, ORDER_STREAM]).permutation(order)
        chunk, pin = CHUNKS.get(self.device.type, CHUNKS["cuda"]), self.device.type == "cuda"
        self._head = Batches(prepared, order, chunk, None, pin=pin)
        self._score = Batches(prepared, self.score_rows, chunk, None, pin=pin)
        self._truth = labels_of(prepared, self.score_rows)
        self._shift = math.log(prepared.negative_rate)

    @torch.inference_mode()
    def evaluate(self, architecture: Architecture) -> Score:
        """A network that gives no finite logits has a log loss that is not finite either, and no AUC.

        Raises:
            UserErrors: the architecture is not in the supernet's space.
        """
        begin = time.process_time()
        network = self.supernet.network(architecture)
        head, converged = self._fit(network)
        logits = self._logits(network, head)
        labels, weight = self._truth
        losses = np.empty(len(logits))
        for first in range(0, len(logits), WINDOW):
            window = slice(first, first + WINDOW)
            losses[window] = row_losses(labels[window], logits[window])
        log_loss = mean(losses, weight)
        return Score(
            log_loss=log_loss,
            auc=auc(labels, logits, weight) if math.isfinite(log_loss) else None,
            losses=losses,
            cpu_seconds=time.process_time() - begin,
            head_rows=len(self.head_rows),
            score_rows=len(losses),
            converged=converged,
        )

    def _batches(self, batches: Batches) -> Iterator[Batch]:
        for step in range(len(batches)):
            yield batches.batch(0, step).to(self.device)

    def _logits(self, network: NASRecNetwork, head: Tensor) -> np.ndarray:
        """Logits of the scored rows with another last layer, `[N]` float32; features are forgotten at once."""
        logits = torch.empty(len(self.score_rows), device=self.device)
        end = 0
        for batch in self._batches(self._score):
            begin, end = end, end + len(batch.label)
            features = network.features(batch.dense, batch.sparse)
            torch.addmv(head[-1].expand(len(features)), features, head[:-1], out=logits[begin:end])
        return logits.numpy(force=True)

    def _fit(self, network: NASRecNetwork) -> tuple[Tensor, bool | None]:
        """The refitted last layer; rows thinned by negative sampling only move its bias, which is put back."""
        head, converged = shared_head(network), None
        kind = KINDS[self.config.features]
        x, y, w = cached(network, self._batches(self._head), len(self.head_rows), len(head) - 1, kind)
        head[-1] -= self._shift
        if self.config.head == "adagrad":
            head = fit_adagrad(x, y, head, weight=w)
        else:
            fit = fit_newton if self.config.head == "newton" else fit_lbfgs
            head, converged = fit(x, y, head, self.config.head_ridge, weight=w)
        head[-1] += self._shift
        return head, converged


def shared_head(network: NASRecNetwork) -> Tensor:
    """The last layer's weights in the order of its features, then its bias: `[D + 1]`."""
    head = network.head
    merger_rows = 0 if head.merger is None else head.merger.shape[1]
    return torch.cat((head.vector(head.dense.shape[0], head.sparse.shape[1], merger_rows), head.bias)).detach()


def _some(rows: np.ndarray, count: int | None, seed: list[int]) -> np.ndarray:
    """A seeded subset in the order of the file, or all rows if there are not more."""
    if count is None or count >= len(rows):
        return rows
    chosen = np.random.default_rng(seed).choice(len(rows), count, replace=False)
    return rows[np.sort(chosen)]
