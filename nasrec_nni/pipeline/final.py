"""The only place that reads the test split: once per model and seed, after the winner is fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasrec_nni.errors import UserError
from nasrec_nni.files import read_json, sha256, write_json
from nasrec_nni.metrics import CLIP, auc, calibration, log_loss
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.models import Model, build
from nasrec_nni.pipeline.predictions import save_predictions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TESTED = "test.json"


def open_test(context: Context, wanted: Sequence[tuple[Model, int]]) -> int:
    """Predict the test split with every trained model that has not done so.

    Returns:
        How often the split was read in this run, this call included.
    """
    from safetensors.torch import load_model

    from nasrec_nni.data.loader import labels_of
    from nasrec_nni.training.predict import predict

    folder, prepared = context.folder, context.prepared
    _refuse_without_winner(context)
    reads: int = folder.read_manifest()["test_reads"]
    left = [(model, seed) for model, seed in wanted if not (folder.training(model.folder, seed) / TESTED).exists()]
    if not left:
        return reads
    rows = prepared.test_rows()
    labels, weight = labels_of(prepared, rows)
    for model, seed in left:
        target = folder.training(model.folder, seed)
        _verify(target)
        reads += 1
        folder.update_manifest(test_reads=reads)  # before the read: a kill never hides one
        network = build(model, context, seed).to(context.device)
        load_model(network, target / "model.safetensors", strict=True)
        predictions = predict(network, prepared, rows)
        save_predictions(target / "test.npy", predictions)
        figures = {
            "test_log_loss": log_loss(labels, predictions, weight),
            "test_auc": auc(labels, predictions, weight),
            "calibration": calibration(labels, predictions, weight),
        }
        write_json(target / TESTED, figures)
    return reads


def losses_on_test(context: Context, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
    """`[N]` log losses of saved test predictions, row by row; no model is run."""
    _refuse_without_winner(context)
    labels = context.prepared.label[context.prepared.test_rows()]
    clipped = np.clip(predictions, CLIP, 1 - CLIP)
    return np.asarray(-np.where(labels > 0.5, np.log(clipped), np.log1p(-clipped)))


def weight_on_test(context: Context) -> NDArray[np.float32] | None:
    """`[N]` weights of the test rows; None if all count as one."""
    _refuse_without_winner(context)
    weight = context.prepared.weight
    return None if weight is None else np.asarray(weight[context.prepared.test_rows()])


def _refuse_without_winner(context: Context) -> None:
    if not context.folder.winner.exists():
        raise RuntimeError("the test split stays closed until the winner is written down")


def _verify(training: Path) -> None:
    """Raises UserError if the weights are not those that training has left."""
    weights, result = training / "model.safetensors", training / "result.json"
    if not weights.exists() or sha256(weights) != read_json(result)["sha256"]:
        raise UserError("the weights do not match their hash", where=str(weights), hint=f"Remove {training}")
