"""Train any network by a recipe, resumably, and keep its best epoch."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from nasrec_nni.config import Precision, Recipe
from nasrec_nni.data.loader import Batches
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError
from nasrec_nni.files import fingerprint, read_json, sha256, sweep, write_json
from nasrec_nni.operators.memory import need_of, refuse_beyond_gpu
from nasrec_nni.operators.ranks import total
from nasrec_nni.training.deadline import Deadline
from nasrec_nni.training.keeper import CheckpointKeeper, StepSeed, guarded, other_training
from nasrec_nni.training.launch import here, launch, refuse_uneven
from nasrec_nni.training.loader import ResumableLoader
from nasrec_nni.training.module import ClickModule
from nasrec_nni.training.trainer import make_trainer, on_gpu, quiet
from nasrec_nni.training.validation import EpochEnd, ValidationRows

WEIGHTS, RESULT, CHECKPOINT = "model.safetensors", "result.json", "checkpoint"


@dataclass(frozen=True)
class FitResult:
    """What a training came to.

    Attributes:
        best_epoch: from 1; the one whose weights are kept.
        epochs: trained.
        steps: optimizer steps.
        train_rows: rows of the training split (an epoch leaves out the last, incomplete batch).
        cpu_seconds: of the process or processes, validation included; time lost by a kill is not counted.
        wall_seconds: the same by the clock.
        val_log_loss: of the best epoch.
        val_auc: of the best epoch, None if the validation rows hold one class.
        history: per epoch: epoch, steps, learning_rate, train_log_loss (under negative sampling of the sampled rows,
            so not to be compared with val_log_loss), val_log_loss, val_auc.
    """

    best_epoch: int
    epochs: int
    steps: int
    train_rows: int
    cpu_seconds: float
    wall_seconds: float
    val_log_loss: float
    val_auc: float | None
    history: list[dict[str, Any]]


def fit(
    network: nn.Module,
    prepared: PreparedSet,
    recipe: Recipe,
    *,
    seed: int,
    folder: Path,
    train_rows: NDArray[np.int64],
    val_rows: NDArray[np.int64],
    progress: bool = True,
    tensorboard: Path | None = None,
    checkpoint_every: int = 1000,
    device: str = "auto",
    devices: int = 1,
    precision: Precision = "32-true",
    until: float | None = None,
) -> FitResult:
    """Train `network` in place; it ends with the weights of its best validation epoch.

    Writes `folder/model.safetensors` (best epoch) and, last, `folder/result.json`. A complete folder is read, not
    trained again. A killed one goes on from `folder/checkpoint`: same bits on the same machine, threads and versions.

    Args:
        network: freshly made from `seed`, with the kind of tables that `sparse_gradients_for(recipe)` says.
        prepared: the arrays.
        recipe: how.
        seed: of batches and dropout.
        folder: of this training alone.
        train_rows: row numbers.
        val_rows: row numbers.
        progress: a bar on stderr.
        tensorboard: folder of event files.
        checkpoint_every: steps.
        device: `auto`, `cpu`, `cuda`.
        devices: processes that share each batch; with several, `network` and `prepared` must be picklable, and the
            steps are those of one process with the same batch up to rounding (and other draws of dropout).
        precision: as of `make_trainer`.
        until: moment of `time.monotonic` by which to end, behind an epoch; the first epoch is trained in any case.

    Raises:
        UserError: no rows, another training's folder, a damaged file, no room on the GPU, or the training diverged.
        KeyboardInterrupt, SystemExit: interrupted, state saved.
    """
    for name, rows in (("training", train_rows), ("validation", val_rows)):
        if not len(rows):
            raise UserError(f"the {name} split has no rows", where=str(prepared.folder))
    identity = _identity(network, prepared, recipe, seed, train_rows, val_rows)
    if precision != "32-true":
        identity["precision"] = precision
    if (folder / RESULT).exists():
        return _finished(network, folder, identity)
    if devices > 1 and here().count == 1:
        refuse_uneven(len(train_rows), recipe.batch, devices)
        launch(
            fit,
            devices,
            network=network,
            prepared=prepared,
            recipe=recipe,
            seed=seed,
            folder=folder,
            train_rows=np.asarray(train_rows),
            val_rows=np.asarray(val_rows),
            progress=progress,
            tensorboard=tensorboard,
            checkpoint_every=checkpoint_every,
            device=device,
            devices=devices,
            precision=precision,
            until=until,
        )
        return _finished(network, folder, identity)
    sweep(folder)

    rank = here()
    if pin := on_gpu(device):
        refuse_beyond_gpu(need_of(network, recipe), rank.number)
    # an incomplete batch is not trained on (NASRec, authors' implementation), unless there is no other
    drop_last, part = len(train_rows) >= recipe.batch, (rank.number, rank.count)
    batches = Batches(prepared, train_rows, recipe.batch, seed, drop_last, pin=pin, part=part)
    loader = ResumableLoader(batches)
    module = ClickModule(network, recipe, len(batches) * recipe.epochs, prepared.negative_rate)
    end = EpochEnd(ValidationRows(prepared, val_rows), recipe, folder / WEIGHTS)
    keeper = CheckpointKeeper(folder / CHECKPOINT, loader, checkpoint_every, identity=identity)
    resumed = keeper.resume_from()
    deadline = [] if until is None else [Deadline(until, epochs=True)]
    trainer = make_trainer(
        folder,
        callbacks=[StepSeed(seed), end, *deadline, keeper],
        epochs=recipe.epochs,
        progress=progress,
        tensorboard=tensorboard,
        first_step=keeper.saved_steps(),
        device=device,
        devices=devices,
        precision=precision,
    )
    network.train()
    with torch.random.fork_rng(devices=[]), guarded(keeper.path), quiet():
        trainer.fit(module, train_dataloaders=loader, ckpt_path=resumed)
    network.load_state_dict(load_file(folder / WEIGHTS))
    best = end.history[end.judge.best_epoch]
    result = FitResult(
        best_epoch=best["epoch"],
        epochs=len(end.history),
        steps=end.history[-1]["steps"],
        train_rows=len(train_rows),
        cpu_seconds=round(total(end.cpu_seconds), 3),
        wall_seconds=round(end.wall_seconds, 3),
        val_log_loss=best["val_log_loss"],
        val_auc=best["val_auc"],
        history=end.history,
    )
    if rank.number:
        return result
    proof = {"identity": identity, "sha256": sha256(folder / WEIGHTS)}
    early = {"ended_early": True} if any(one.reached for one in deadline) else {}
    write_json(folder / RESULT, asdict(result) | proof | early)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    return result


def _identity(
    network: nn.Module, prepared: PreparedSet, recipe: Recipe, seed: int, *rows: NDArray[np.int64]
) -> dict[str, Any]:
    """What must be the same for two calls to be one training."""
    shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
    return {
        "network": fingerprint(shapes),
        "data": prepared.fingerprint,
        "recipe": fingerprint(recipe.model_dump(mode="json")),
        "seed": seed,
        "rows": [hashlib.sha256(np.ascontiguousarray(part).data).hexdigest()[:16] for part in rows],
    }


def _finished(network: nn.Module, folder: Path, identity: dict[str, Any]) -> FitResult:
    content = read_json(folder / RESULT)
    found, digest = content.pop("identity", None), content.pop("sha256", None)
    content.pop("ended_early", None)
    if found != identity:
        raise other_training(folder, found, identity)
    weights = folder / WEIGHTS
    if not weights.exists() or sha256(weights) != digest:
        raise UserError("the weights do not match their hash", where=str(weights), hint=f"Remove {folder}")
    network.load_state_dict(load_file(weights))
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    return FitResult(**content)
