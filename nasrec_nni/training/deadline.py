"""Ends a training by the clock, where a time budget says so."""

from __future__ import annotations

import time
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback


class Deadline(Callback):
    """Stops at a moment; several processes agree on it.

    Args:
        at: moment of `time.monotonic`, which processes of one machine share.
        epochs: end behind an epoch only: if the next one would end too late. Otherwise behind any step.

    Attributes:
        reached: the clock has ended the training.
    """

    def __init__(self, at: float, *, epochs: bool) -> None:
        self.at, self.reached = at, False
        self._epochs = epochs
        self._began = time.monotonic()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._epochs:
            self._stop(trainer, time.monotonic() >= self.at)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._epochs and not trainer.should_stop and trainer.current_epoch + 1 < (trainer.max_epochs or 0):
            now = time.monotonic()
            self._stop(trainer, now + (now - self._began) > self.at)

    def _stop(self, trainer: Trainer, late: bool) -> None:
        if trainer.world_size > 1:
            late = bool(trainer.strategy.reduce_boolean_decision(late, all=False))
        if late:
            self.reached = trainer.should_stop = True
