"""The trial command of retraining, `nasrec-trial --train RUN`: trains the one model and seed that NNI hands it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

from nasrec_nni.config_file import load_config
from nasrec_nni.errors import UserError
from nasrec_nni.experiment.channel import connect
from nasrec_nni.experiment.orphans import watch_parent
from nasrec_nni.files import read_json
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.models import models
from nasrec_nni.pipeline.retrain import TRAINED, train
from nasrec_nni.run_folder import RunFolder


def main(run: Path) -> int:
    """Train, and report the validation log loss."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    watch_parent(lambda: os._exit(1))
    folder = RunFolder.open(run)
    context = Context(load_config(folder.config), folder, progress=False)
    nni = connect()
    asked: Any = nni.parameter()
    found = [model for model in models(context) if model.name == asked["model"]]
    if not found:
        raise UserError("no such model in this run", value=asked["model"], where="trial parameter")
    context.set_threads()
    target = folder.training(found[0].folder, asked["seed"])
    if not (target / TRAINED).exists():
        train(found[0], asked["seed"], target, context)
    result = read_json(target / TRAINED)
    figures = {key: value for key, value in result.items() if type(value) in (int, float)}
    nni.final({"default": result["val_log_loss"], **figures})
    return 0


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
