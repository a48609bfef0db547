"""One progress bar an epoch, on stderr."""

from __future__ import annotations

import sys
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from tqdm import tqdm

SHOW_EVERY = 50  # steps between two readings of the loss, which wait for the device


class Progress(Callback):
    """Steps, epoch and the last loss; cheaper than Lightning's bar, which reads its metrics at each step."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()
        name = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._bar = tqdm(total=int(trainer.num_training_batches), desc=name, unit="step", file=sys.stderr, leave=False)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is None:  # resumed inside an epoch: Lightning does not start it again
            self.on_train_epoch_start(trainer, pl_module)
            assert self._bar is not None
            self._bar.update(batch_idx)
        self._bar.update(1)
        if batch_idx % SHOW_EVERY == 0 and outputs and "loss" in outputs:
            self._bar.set_postfix(loss=f"{outputs['loss'].item():.4f}", refresh=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
