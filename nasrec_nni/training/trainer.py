"""Lightning's Trainer as every training here uses it: quiet, tidy, without sanity check or pickles."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from nasrec_nni.config import Precision
from nasrec_nni.training.checkpoint import SafeCheckpointIO
from nasrec_nni.training.launch import here
from nasrec_nni.training.progress import Progress
from nasrec_nni.training.strategy import RankStrategy

# "GPU available: …", "`Trainer.fit` stopped: …", tips; NNI's "Model 1 fails to be executed" before our own error
LOGGERS = {"pytorch_lightning": logging.WARNING, "lightning_fabric": logging.WARNING, "nni": logging.CRITICAL}
NOISE = (
    ".*does not have many workers.*",  # batches are one gather from memory-mapped arrays
    ".*smaller than the logging interval.*",
    ".*GPU available but not used.*",
    ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",  # Lightning 2.6 on torch 2.13
    ".*It is recommended to use `self.log\\(.*sync_dist=True.*",  # every rank validates on all rows
    ".*resuming from a checkpoint that ended before the epoch ended.*",  # ResumableLoader starts at the right batch
)


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's information and known warnings are not shown inside the block; its other warnings are."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in NOISE:
            warnings.filterwarnings("ignore", message=message)
        try:
            for logger in loggers:
                logger.setLevel(LOGGERS[logger.name])
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def on_gpu(device: str) -> bool:
    """Whether a Trainer of `make_trainer(device=…)` runs on a GPU."""
    return device != "cpu" and torch.cuda.is_available()


def make_trainer(
    folder: Path,
    *,
    callbacks: Sequence[Callback] = (),
    epochs: int | None = None,
    progress: bool = True,
    tensorboard: Path | None = None,
    first_step: int | None = None,
    device: str = "auto",
    devices: int = 1,
    precision: Precision = "32-true",
    kind: Callable[..., Trainer] = Trainer,
    **more: Any,
) -> Trainer:
    """A Trainer that writes checkpoints by SafeCheckpointIO and nothing of its own.

    Args:
        folder: of this training; Lightning's default root.
        callbacks: in order; a `CheckpointKeeper` runs last wherever it stands.
        epochs: passes over the loader.
        progress: a bar on stderr.
        tensorboard: folder of the event files; none are written without it.
        first_step: of a resumed training; later points of an earlier attempt are dropped from TensorBoard.
        device: `auto`, `cpu`, `cuda`.
        devices: processes of this training; with several, this one must be a rank of `launch`.
        precision: `32-true`, or `bf16-mixed` for bfloat16 where autocast takes it; weights stay float32.
        kind: makes the Trainer; NNI's evaluator wants its own traced class.
        more: any other argument of Lightning's Trainer.

    Clipping is the optimizer's; validation is a callback's.
    """
    logger: TensorBoardLogger | bool = False
    if tensorboard is not None:
        purge: dict[str, Any] = {} if first_step is None else {"purge_step": first_step}
        logger = TensorBoardLogger(str(tensorboard.parent), name=tensorboard.name, version="", **purge)
    settings: dict[str, Any] = {
        "default_root_dir": str(folder),
        "max_epochs": epochs,
        "callbacks": [*callbacks, *([Progress()] if progress and here().number == 0 else [])],
        "logger": logger,
        "accelerator": device,
        "devices": devices,
        "strategy": RankStrategy() if devices > 1 else "auto",
        "precision": precision,
        "plugins": [SafeCheckpointIO()],
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
    }
    with quiet():
        return kind(**(settings | more))
