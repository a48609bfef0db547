"""Train the one supernet of a run: our strategies, NNI's evaluator and engine, Lightning's loop."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nni.nas.evaluator.pytorch import Lightning, Trainer
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from numpy.typing import NDArray
from pytorch_lightning import LightningModule
from pytorch_lightning import Trainer as AnyTrainer
from pytorch_lightning.callbacks import Callback
from safetensors.torch import save_file

from nasrec_nni.config import WATCHING, Config
from nasrec_nni.data.loader import Batches
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.data.shuffle import Shuffle
from nasrec_nni.evaluation.supernet import FACTS, WEIGHTS, SupernetFacts
from nasrec_nni.files import atomic_path, sweep
from nasrec_nni.operators.memory import need_of, refuse_beyond_gpu
from nasrec_nni.operators.optimizers import NotFiniteError, sparse_gradients_for
from nasrec_nni.operators.ranks import total
from nasrec_nni.search_spaces.space import NASRecSpace
from nasrec_nni.strategies.one_shot.strategies import PathStrategy
from nasrec_nni.strategies.one_shot.training import SupernetTraining
from nasrec_nni.training.deadline import Deadline
from nasrec_nni.training.keeper import CheckpointKeeper, StepSeed, guarded, other_training, same_training
from nasrec_nni.training.launch import here, launch, refuse_uneven
from nasrec_nni.training.loader import ResumableLoader
from nasrec_nni.training.trainer import make_trainer, on_gpu, quiet

CHECKPOINT = "checkpoint"
EVALUATION_BATCH = 4096


class Clock(Callback):
    """Seconds spent in training, those before a resume included."""

    def __init__(self) -> None:
        self.cpu_seconds = self.wall_seconds = 0.0
        self._began = (0.0, 0.0)

    def on_train_start(self, trainer: AnyTrainer, pl_module: LightningModule) -> None:
        self._began = (time.process_time() - self.cpu_seconds, time.monotonic() - self.wall_seconds)

    def state_dict(self) -> dict[str, Any]:
        self.cpu_seconds = time.process_time() - self._began[0]
        self.wall_seconds = time.monotonic() - self._began[1]
        return {"cpu_seconds": self.cpu_seconds, "wall_seconds": self.wall_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.cpu_seconds, self.wall_seconds = state_dict["cpu_seconds"], state_dict["wall_seconds"]


class LastValidation(Callback):
    """Has the last step of all validated, however often the others are.

    Args:
        steps: of the training.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def on_train_batch_start(self, trainer: AnyTrainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step + 1 == self._steps:
            trainer.val_check_batch = batch_idx + 1


def make_space(config: Config, prepared: PreparedSet) -> NASRecSpace:
    """The configured search space on the columns of a prepared set."""
    recipe, chosen = config.supernet.recipe, config.space
    return NASRecSpace(
        dense=prepared.dense_width,
        rows_per_field=prepared.rows_per_field,
        space=chosen.name,
        layer_norm=config.supernet.layer_norm,
        sparse_gradients=sparse_gradients_for(recipe),
        embedding_init=recipe.embedding_init,
        max_rows_per_field=config.supernet.max_rows_per_field,
        dropout=recipe.dropout,
        lengths=prepared.lengths,
        **chosen.model_dump(exclude={"name"}),
    )


def train_supernet(
    config: Config,
    prepared: PreparedSet,
    folder: Path,
    *,
    progress: bool = True,
    tensorboard: Path | None = None,
    until: float | None = None,
) -> SupernetFacts:
    """Train, resume or just read the supernet of a folder.

    A training that `until` (a moment of `time.monotonic`) has ended early has fewer `steps` in its facts than it was
    `planned` to have; its learning rate has not come to its end then.

    Writes `folder/model.safetensors` and, last, `folder/supernet.json`; until then `folder/checkpoint` is what a
    killed training goes on from, with equal bits on the same machine, threads and versions.

    Raises:
        UserError: another training's folder, a damaged file, no room on the GPU, or the training diverged.
        KeyboardInterrupt, SystemExit: interrupted, state saved.
    """
    settings, recipe = config.supernet, config.supernet.recipe
    identity = _identity(config, prepared)
    if (folder / FACTS).exists():
        return _finished(folder, identity)
    devices, rank = config.devices, here()
    rows = prepared.rows("train")
    if devices > 1 and rank.count == 1:
        refuse_uneven(len(rows), recipe.batch, devices)
        launch(
            train_supernet,
            devices,
            config=config,
            prepared=prepared,
            folder=folder,
            progress=progress,
            tensorboard=tensorboard,
            until=until,
        )
        return _finished(folder, identity)
    sweep(folder)
    torch.manual_seed(config.seed)
    space = make_space(config, prepared)
    if pin := on_gpu(config.device):
        refuse_beyond_gpu(need_of(space, recipe), rank.number)
    drop_last, part = len(rows) >= recipe.batch, (rank.number, rank.count)
    batches = Batches(prepared, rows, recipe.batch, config.seed, drop_last, pin, part)
    loader = ResumableLoader(batches)
    steps = len(batches) * recipe.epochs
    steps = min(steps, settings.max_steps or steps)
    strategy = PathStrategy(
        distribution=settings.strategy,
        counts=settings.counts,
        warmup_steps=round(settings.warmup * steps),
        seed=config.seed,
        validation_paths=settings.validation_architectures,
    )
    clock = Clock()
    deadline = [] if until is None else [Deadline(until, epochs=False)]
    keeper = CheckpointKeeper(folder / CHECKPOINT, loader, settings.checkpoint_every, identity=identity)
    resumed = keeper.resume_from()
    trainer = make_trainer(
        folder,
        callbacks=[StepSeed(config.seed), clock, LastValidation(steps), *deadline, keeper],
        epochs=recipe.epochs,
        progress=progress,
        tensorboard=tensorboard,
        first_step=keeper.saved_steps(),
        device=config.device,
        devices=devices,
        precision=config.precision,
        kind=Trainer,
        val_check_interval=min(settings.validate_every, len(batches)),
        max_steps=steps,
    )
    validation = Batches(prepared, _validation_rows(config, prepared), EVALUATION_BATCH, None, pin=pin)
    evaluator = Lightning(
        SupernetTraining(recipe, steps, prepared.negative_rate),
        trainer,
        train_dataloaders=loader,
        val_dataloaders=ResumableLoader(validation),
        fit_kwargs={"ckpt_path": resumed},
    )
    with guarded(keeper.path), quiet():
        strategy(RawFormatModelSpace(space, evaluator), SequentialExecutionEngine())
        _refuse_not_finite(strategy.supernet)
    seconds = clock.state_dict()
    early = {"planned": steps} if any(one.reached for one in deadline) else {}
    training = {
        "cpu_seconds": total(seconds["cpu_seconds"]),
        "wall_seconds": seconds["wall_seconds"],
        "steps": trainer.global_step if early else steps,
        **early,
        "rows_per_epoch": len(batches) * recipe.batch,
        "row_macs": strategy.oneshot_module.row_macs,
        "strategy": strategy.distribution.name,
        "warmup_steps": strategy.warmup_steps,
    }
    return _finish(folder, strategy.supernet, prepared, training, identity)


def _identity(config: Config, prepared: PreparedSet) -> dict[str, Any]:
    """What must be the same for two calls to be one training."""
    found = config.model_dump(mode="json", include={"seed", "space", "supernet"}) | {"data": prepared.fingerprint}
    found["supernet"] = {name: value for name, value in found["supernet"].items() if name not in WATCHING}
    if config.precision != "32-true":
        found["precision"] = config.precision
    return found


def _validation_rows(config: Config, prepared: PreparedSet) -> NDArray[np.int64]:
    """A seeded subset: the first rows of a log that is sorted by time would be one hour."""
    rows, count = prepared.rows("val"), config.supernet.validation_rows
    if count >= len(rows):
        return rows
    return rows[np.sort(Shuffle(len(rows), config.seed, 0).at(np.arange(count)))]


def _refuse_not_finite(supernet: NASRecSpace) -> None:
    for name, parameter in supernet.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise NotFiniteError(f"{name} is not finite after the last step")


def _finish(
    folder: Path, supernet: NASRecSpace, prepared: PreparedSet, training: dict[str, Any], identity: dict[str, Any]
) -> SupernetFacts:
    weights = {name: parameter.detach().contiguous() for name, parameter in supernet.named_parameters()}
    facts = SupernetFacts(
        supernet.description, supernet.sizes, supernet.table, prepared.fingerprint, training, identity
    )
    if here().number:
        return facts
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(weights, temporary)
    facts.write(folder)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    return facts


def _finished(folder: Path, identity: dict[str, Any]) -> SupernetFacts:
    found = SupernetFacts.read(folder)
    if not same_training(found.identity, identity):
        raise other_training(folder, found.identity, identity)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    return found
