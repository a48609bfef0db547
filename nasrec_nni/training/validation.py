"""After each epoch: the validation figures, the best weights, the judgement of the recipe."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from safetensors.torch import save_file

from nasrec_nni.config import Recipe
from nasrec_nni.data.loader import labels_of
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError
from nasrec_nni.files import atomic_path
from nasrec_nni.metrics import auc, log_loss
from nasrec_nni.operators.optimizers import NotFiniteError
from nasrec_nni.training.module import ClickModule
from nasrec_nni.training.predict import predict
from nasrec_nni.training.schedule import Judge


@dataclass(frozen=True)
class ValidationRows:
    """What to validate on."""

    prepared: PreparedSet
    rows: NDArray[np.int64]

    def figures(self, network: Any) -> dict[str, float | None]:
        """`log_loss` and `auc` of a network, by weight; `auc` is None if the rows hold one class only.

        Raises:
            NotFiniteError: a prediction is infinite or not a number.
        """
        labels, weight = labels_of(self.prepared, self.rows)
        probabilities = predict(network, self.prepared, self.rows)
        if not np.isfinite(probabilities).all():
            raise NotFiniteError("a validation row has a prediction that is not a number")
        return {"log_loss": log_loss(labels, probabilities, weight), "auc": auc(labels, probabilities, weight)}


class EpochEnd(Callback):
    """Validates, keeps the weights of the best epoch in a file, cuts rates, stops.

    Everything it knows is in the checkpoint, which `CheckpointKeeper` writes right after it. A kill in between runs
    the epoch's rest and its end again, with the same outcome.

    Args:
        validation: rows and set.
        recipe: monitor, schedule, patience.
        weights: file for the best weights.

    Attributes:
        history: one entry an epoch.
        cpu_seconds, wall_seconds: of the training up to the last checkpoint, over all its resumptions.
    """

    def __init__(self, validation: ValidationRows, recipe: Recipe, weights: Path) -> None:
        self.validation = validation
        self.judge = Judge(recipe)
        self.weights = weights
        self.history: list[dict[str, Any]] = []
        self._before = (0.0, 0.0)
        self._began = (time.process_time(), time.perf_counter())

    @property
    def cpu_seconds(self) -> float:
        return self._before[0] + time.process_time() - self._began[0]

    @property
    def wall_seconds(self) -> float:
        return self._before[1] + time.perf_counter() - self._began[1]

    def state_dict(self) -> dict[str, Any]:
        seconds = [self.cpu_seconds, self.wall_seconds]
        return {"judge": self.judge.state_dict(), "history": self.history, "seconds": seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.judge.load_state_dict(state_dict["judge"])
        self.history = state_dict["history"]
        self._before = (state_dict["seconds"][0], state_dict["seconds"][1])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.judge.stopped:  # killed between the last checkpoint and the result
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, ClickModule)
        optimizer = trainer.optimizers[0]
        entry: dict[str, Any] = {
            "epoch": trainer.current_epoch + 1,
            "steps": trainer.global_step,
            "learning_rate": optimizer.param_groups[0]["lr"],
            "train_log_loss": pl_module.take_train_loss(),
        }
        figures = self.validation.figures(pl_module.network)
        figure = figures[self.judge.recipe.monitor]
        if figure is None:
            raise UserError(
                "the validation rows hold one class only, so there is no AUC to monitor",
                where="recipe.monitor",
                allowed="log_loss",
            )
        better = self.judge.see(trainer.current_epoch, figure, optimizer)
        if better and trainer.is_global_zero:
            state = {name: value.detach().cpu() for name, value in pl_module.network.state_dict().items()}
            with atomic_path(self.weights) as temporary:
                save_file(state, temporary)
        trainer.should_stop = self.judge.stopped
        self.history.append(entry | {f"val_{name}": value for name, value in figures.items()})
        if pl_module.logger is not None:
            known = {f"val/{name}": value for name, value in figures.items() if value is not None}
            pl_module.logger.log_metrics(known, trainer.global_step)
