"""The evaluator's Lightning module of a supernet: loss, optimizer, validation figures."""

from __future__ import annotations

from typing import Any

import nni
import torch
from nni.nas.evaluator.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F

from nasrec_nni.config import Recipe
from nasrec_nni.data.batch import Batch
from nasrec_nni.operators.optimizers import build_optimizer
from nasrec_nni.operators.slices import SliceTape
from nasrec_nni.training.module import refuse_not_finite
from nasrec_nni.training.schedule import build_schedule


@nni.trace
class SupernetTraining(LightningModule):  # type: ignore[misc]
    """BCE on logits for whatever path the model runs.

    Args:
        recipe: optimizer, schedule and clipping (which the optimizer does itself).
        steps: optimizer steps in all, for the schedule.

    Attributes:
        slice_tape: one-shot modules record on it, so that only the sampled slices have gradients.
    """

    def __init__(self, recipe: Recipe, steps: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.steps = steps
        self.slice_tape = SliceTape()
        self._losses: list[Tensor] = []

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
        loss = F.binary_cross_entropy_with_logits(self(batch), batch.label)
        refuse_not_finite(loss.detach(), self.trainer.global_step)
        self.log("supernet/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """One fixed architecture on one batch; figures are means over all of them."""
        logits = self(batch).double()
        self._losses.append(F.binary_cross_entropy_with_logits(logits, batch.label.double(), reduction="none"))

    def on_validation_epoch_end(self) -> None:
        self.log("supernet/val_log_loss", torch.cat(self._losses).mean(), prog_bar=True)
        self._losses.clear()
