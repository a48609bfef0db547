"""The evaluator's Lightning module of a supernet: loss, optimizer, validation figures."""

from __future__ import annotations

import math
from typing import Any

import nni
import torch
from nni.nas.evaluator.pytorch import LightningModule
from torch import Tensor

from nasrec_nni.config import Recipe
from nasrec_nni.data.batch import Batch
from nasrec_nni.operators.loss import click_loss
from nasrec_nni.operators.optimizers import build_optimizer
from nasrec_nni.operators.ranks import share
from nasrec_nni.operators.slices import SliceTape
from nasrec_nni.training.module import refuse_not_finite
from nasrec_nni.training.schedule import build_schedule


@nni.trace
class SupernetTraining(LightningModule):  # type: ignore[misc]
    """BCE on logits for whatever path the model runs.

    Args:
        recipe: optimizer, schedule and clipping (which the optimizer does itself).
        steps: optimizer steps in all, for the schedule.
        negative_rate: as of `nasrec_nni.training.module.ClickModule`.

    Attributes:
        slice_tape: one-shot modules record on it, so that only the sampled slices have gradients.
    """

    def __init__(self, recipe: Recipe, steps: int, negative_rate: float = 1.0) -> None:
        super().__init__()
        self.recipe = recipe
        self.steps = steps
        self.shift = -math.log(negative_rate)
        self.slice_tape = SliceTape()
        self._losses: list[Tensor] = []
        self._weights: list[Tensor] = []

    def configure_optimizers(self) -> Any:
        optimizer = build_optimizer(self.model, self.recipe, self.slice_tape)
        schedule = build_schedule(optimizer, self.recipe, self.steps)
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.model(batch.dense, batch.sparse)
        return logits

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        logits = self(batch)
        loss = click_loss(logits + self.shift if self.shift else logits, batch.label, batch.weight)
        refuse_not_finite(loss.detach(), self.trainer.global_step)
        self.log("supernet/loss", loss, prog_bar=True)
        return loss * share(batch.weight)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """One fixed architecture on one batch; figures are means over all of them."""
        weight = None if batch.weight is None else batch.weight.double()
        self._losses.append(click_loss(self(batch).double(), batch.label.double(), weight))
        rows = torch.tensor(len(batch.label), dtype=torch.float64) if weight is None else weight.sum()
        self._weights.append(rows.to(self._losses[-1].device))

    def on_validation_epoch_end(self) -> None:
        losses, weights = torch.stack(self._losses), torch.stack(self._weights)
        self.log("supernet/val_log_loss", (losses @ weights) / weights.sum(), prog_bar=True)
        self._losses.clear()
        self._weights.clear()
