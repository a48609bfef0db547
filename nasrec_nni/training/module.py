"""The Lightning module of any click model: logits, binary cross-entropy, our optimizer."""

from __future__ import annotations

import math
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from nasrec_nni.config import Recipe
from nasrec_nni.data.batch import Batch
from nasrec_nni.operators.loss import click_loss
from nasrec_nni.operators.optimizers import NotFiniteError, build_optimizer
from nasrec_nni.operators.ranks import share
from nasrec_nni.training.schedule import build_schedule

LOG_EVERY = 50  # steps between two scalars in TensorBoard
CHECK_EVERY = 50  # steps between two looks at the loss on a GPU, where each look waits for it


def refuse_not_finite(loss: Tensor, step: int) -> None:
    """Raises NotFiniteError for a loss that is infinite or not a number; on a GPU at every 50th step only."""
    if loss.device.type == "cpu" or step % CHECK_EVERY == 0:
        figure = loss.item()
        if not math.isfinite(figure):
            raise NotFiniteError(f"the loss of step {step} is {figure}")


class ClickModule(LightningModule):
    """Trains a network by a recipe.

    Args:
        network: `(dense [B, w_0], sparse [B, F]) -> logits [B]`.
        recipe: optimizer, schedule, clip, L2.
        steps: optimizer steps of the whole training, for the schedule.
        negative_rate: share of rows without a click that negative sampling has left in the training rows.

    The network learns the logit of the whole log: in the sampled rows the odds of a click are `1 / negative_rate`
    times as high, so their loss is taken at `logit − log(negative_rate)`.

    The mean of the losses since `take_train_loss` is a part of the checkpoint; with several processes it is that of
    rank 0's rows.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, steps: int, negative_rate: float = 1.0) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.steps = steps
        self.shift = -math.log(negative_rate)
        self._loss_sum = torch.zeros((), dtype=torch.float64)
        self._loss_weight: Tensor | float = 0.0

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean binary cross-entropy of one batch, by weight; one rank's share of it with several processes.

        Raises:
            NotFiniteError: the loss is infinite or not a number; nothing is updated.
        """
        logits = self.network(batch.dense, batch.sparse)
        loss = click_loss(logits + self.shift if self.shift else logits, batch.label, batch.weight)
        value = loss.detach()
        step = self.global_step
        refuse_not_finite(value, step)
        if step % LOG_EVERY == 0 and self.logger is not None:
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            self.logger.log_metrics({"train/log_loss": value.item(), "train/learning_rate": rate}, step)
        rows = 1.0 if batch.weight is None else batch.weight.sum().double()
        self._loss_sum = self._loss_sum.to(value.device) + value * rows
        self._loss_weight = self._loss_weight + rows
        return loss * share(batch.weight)

    def take_train_loss(self) -> float:
        """Mean loss since the last call, by weight; under negative sampling that of the sampled rows."""
        weight = float(self._loss_weight)
        mean = self._loss_sum.item() / weight if weight else 0.0
        self._loss_sum, self._loss_weight = torch.zeros_like(self._loss_sum), 0.0
        return mean

    def configure_optimizers(self) -> Any:
        optimizer = build_optimizer(self.network, self.recipe)
        schedule = build_schedule(optimizer, self.recipe, self.steps)
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["train_loss"] = {"sum": self._loss_sum.item(), "weight": float(self._loss_weight)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        kept = checkpoint["train_loss"]
        self._loss_sum, self._loss_weight = torch.tensor(kept["sum"], dtype=torch.float64), kept["weight"]
