"""The winner of a run, held in memory: no run folder is needed to predict, to pickle or to copy it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_model
from torch import nn

from nasrec_nni.architecture.value import Architecture
from nasrec_nni.data.encoder import Encoder, read_vocabulary
from nasrec_nni.data.schema import Schema
from nasrec_nni.files import read_json
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.models import build, models
from nasrec_nni.pipeline.retrain import read_results

ROWS = 8192  # at once


class Winner:
    """A trained network with the preprocessing of its rows.

    Args:
        name: of the model.
        architecture: None for a hand-made one.
        network: `(dense [B, w_0], sparse [B, C]) -> logits [B]`, in evaluation mode.
        schema: of the prepared set.
        values: its vocabularies.
    """

    def __init__(
        self, name: str, architecture: Architecture | None, network: nn.Module, schema: Schema, values: dict[str, Any]
    ) -> None:
        self.name, self.architecture, self.network = name, architecture, network
        self._schema, self._values = schema, values
        self._encoder: Encoder | None = None
        self._double: nn.Module | None = None

    @classmethod
    def of(cls, context: Context) -> Winner:
        """Of a run whose models are trained; of several seeds the best on the validation rows."""
        folder, prepared = context.folder, context.prepared
        name = read_json(folder.winner)["model"]
        model = next(one for one in models(context) if one.name == name)
        best = min((one for one in read_results(folder) if one.model == name), key=lambda one: one.val_log_loss)
        network = build(model, context, best.seed)
        load_model(network, folder.training(model.folder, best.seed) / "model.safetensors", strict=True)
        values = read_vocabulary(prepared.folder / "vocabulary.parquet", prepared.schema)
        return cls(name, model.architecture, network.requires_grad_(False).eval(), prepared.schema, values)

    @torch.inference_mode()
    def logits(self, numbers: dict[str, NDArray[np.float64]], texts: dict[str, Any], rows: int) -> NDArray[np.float64]:
        """`[n]` log odds of the second class.

        Taken in float64, so that a row's figure does not depend on the rows beside it.
        """
        if self._encoder is None or self._double is None:
            self._encoder = Encoder(self._schema, self._values)
            self._double = copy.deepcopy(self.network).double()
        found = self._encoder.encode(numbers, texts, rows)
        dense = found.dense if found.dense.shape[1] else np.zeros((rows, 1), np.float32)
        parts = []
        for start in range(0, rows, ROWS):
            end = start + ROWS
            ids = torch.from_numpy(found.sparse[start:end].astype(np.int64))
            parts.append(self._double(torch.from_numpy(dense[start:end]).double(), ids).numpy())
        return np.concatenate(parts)

    def __getstate__(self) -> dict[str, Any]:
        """Without what is made again: the encoder's look-up tables, and the network in float64."""
        return self.__dict__ | {"_encoder": None, "_double": None}
