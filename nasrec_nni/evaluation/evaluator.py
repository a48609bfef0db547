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
from nasrec_nni.evaluation.cache import KINDS, Cache, cached
from nasrec_nni.evaluation.last_layer import fit_adagrad, fit_lbfgs, fit_newton
from nasrec_nni.evaluation.rejection import behind, hopeless
from nasrec_nni.evaluation.rows import HEAD_STREAM, SCORE_STREAM, look_first, shuffled, subset
from nasrec_nni.evaluation.supernet import Supernet
from nasrec_nni.metrics import auc, mean, row_losses
from nasrec_nni.network import NASRecNetwork

# Rows the frozen part runs on at once. On a CPU the intermediate results of a chunk should stay in its caches: one core
# of a Xeon took 1.1 to 1.8 times as long for chunks of 8192 rows as for 512, and one of an EPYC a tenth less for 1024,
# which halve the calls. On a GPU a large chunk hides the calls.
CHUNKS = {"cpu": 1024, "cuda": 8192}
WINDOW = 65_536  # rows whose losses are computed at once


@dataclass(frozen=True)
class Score:
    """How good a candidate is.

    Args:
        log_loss: mean over the scored validation rows, by weight, float64. Of a rejected candidate an estimate: the
            best one's, and how far it was behind on the rows it was scored on.
        auc: of the same rows, by weight; `None` if they hold one class, or the candidate was rejected.
        losses: the loss of each row, for comparing two candidates in pairs; of a rejected one, of the first rows.
        cpu_seconds: process CPU time of the evaluation.
        head_rows: training rows the last layer was refitted on.
        score_rows: validation rows scored.
        converged: whether the refit of the last layer did; `None` for a fixed number of steps.
        rejected: hopeless after the first rows, so that the others were not scored.
    """

    log_loss: float
    auc: float | None
    losses: np.ndarray
    cpu_seconds: float
    head_rows: int
    score_rows: int
    converged: bool | None
    rejected: bool = False


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
        score_rows: validation row numbers that are scored, in the order of `Score.losses`.
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
        self.head_rows = subset(prepared.rows("train"), config.head_rows, seed, HEAD_STREAM)
        scored = subset(prepared.rows("val"), config.score_rows, seed, SCORE_STREAM)
        parts = [scored] if config.early_rejection is None else look_first(scored, seed)
        self.score_rows = np.concatenate(parts) if len(parts) > 1 else scored
        order = shuffled(self.head_rows, seed) if config.head == "adagrad" else self.head_rows
        chunk, pin = CHUNKS.get(self.device.type, CHUNKS["cuda"]), self.device.type == "cuda"
        self._head = Batches(prepared, order, chunk, None, pin=pin)
        self._score = [(len(rows), Batches(prepared, rows, chunk, None, pin=pin)) for rows in parts]
        self._truth = labels_of(prepared, self.score_rows)
        self._shift = math.log(prepared.negative_rate)

    @torch.inference_mode()
    def evaluate(self, architecture: Architecture, best: Score | None = None) -> Score:
        """A network that gives no finite logits has a log loss that is not finite either, and no AUC.

        Args:
            architecture: the candidate.
            best: of this evaluator, all rows scored; with `early_rejection` a candidate far behind it is rejected.

        Raises:
            UserErrors: the architecture is not in the supernet's space.
        """
        begin = time.process_time()
        network = self.supernet.network(architecture)
        head, converged = self._fit(network)
        labels, weight = self._truth
        logits, losses = np.empty(len(labels), np.float32), np.empty(len(labels))
        end, estimate = 0, None
        for count, batches in self._score:
            first, end = end, end + count
            logits[first:end] = self._logits(network, head, count, batches)
            for row in range(first, end, WINDOW):
                window = slice(row, min(end, row + WINDOW))
                losses[window] = row_losses(labels[window], logits[window])
            if end < len(labels) and best is not None:
                estimate = self._rejected(losses[:end], best)
                if estimate is not None:
                    break
        log_loss = mean(losses, weight) if estimate is None else estimate
        whole = estimate is None and math.isfinite(log_loss)
        return Score(
            log_loss=log_loss,
            auc=auc(labels, logits, weight) if whole else None,
            losses=losses[:end],
            cpu_seconds=time.process_time() - begin,
            head_rows=len(self.head_rows),
            score_rows=end,
            converged=converged,
            rejected=estimate is not None,
        )

    def _rejected(self, losses: np.ndarray, best: Score) -> float | None:
        """The log loss a candidate can be expected to have if it is hopeless, by its first rows; else None."""
        if self.config.early_rejection is None:
            return None
        count, weight = len(losses), self._truth[1]
        difference, error = behind(losses, best.losses[:count], None if weight is None else weight[:count])
        return best.log_loss + difference if hopeless(difference, error, self.config.early_rejection) else None

    def _batches(self, batches: Batches) -> Iterator[Batch]:
        for step in range(len(batches)):
            yield batches.batch(0, step).to(self.device)

    def _logits(self, network: NASRecNetwork, head: Tensor, rows: int, batches: Batches) -> np.ndarray:
        """Logits of rows to score with another last layer, `[rows]` float32; features are forgotten at once."""
        logits = torch.empty(rows, device=self.device)
        end = 0
        for batch in self._batches(batches):
            begin, end = end, end + len(batch.label)
            features = network.features(batch.dense, batch.sparse)
            torch.addmv(head[-1].expand(len(features)), features, head[:-1], out=logits[begin:end])
        return logits.numpy(force=True)

    def _fit(self, network: NASRecNetwork) -> tuple[Tensor, bool | None]:
        """The refitted last layer; rows thinned by negative sampling only move its bias, which is put back."""
        start = shared_head(network)
        kind = KINDS[self.config.features]
        cache = cached(network, self._batches(self._head), len(self.head_rows), len(start) - 1, kind)
        return refitted(cache, start, self.config, self._shift)


def refitted(cache: Cache, start: Tensor, config: SearchConfig, shift: float) -> tuple[Tensor, bool | None]:
    """The last layer on cached rows by the config's solver, and whether it converged (None: a fixed number of steps).

    Args:
        cache: rows in the order of the steps.
        start: `[D + 1]`, the supernet's shared last layer.
        config: which solver.
        shift: log of the share of negatives that was kept; the bias is moved by it for the fit, and back.
    """
    head, converged = start.clone(), None
    x, y, w = cache
    head[-1] -= shift
    if config.head == "adagrad":
        head = fit_adagrad(x, y, head, weight=w)
    else:
        fit = fit_newton if config.head == "newton" else fit_lbfgs
        # in float64: float32 sums are off by as much as the last steps gain, and each rounding ends elsewhere
        found, converged = fit(x, y, head.double(), config.head_ridge, weight=w)
        head = found.to(start)
    head[-1] += shift
    return head, converged


def shared_head(network: NASRecNetwork) -> Tensor:
    """The last layer's weights in the order of its features, then its bias: `[D + 1]`."""
    head = network.head
    merger_rows = 0 if head.merger is None else head.merger.shape[1]
    return torch.cat((head.vector(head.dense.shape[0], head.sparse.shape[1], merger_rows), head.bias)).detach()
