"""An exported model in memory: raw rows in, click probabilities out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.data.encoder import Encoder
from nasrec_nni.data.schema import Schema
from nasrec_nni.errors import UserError
from nasrec_nni.export import layout
from nasrec_nni.export.description import build, read
from nasrec_nni.export.engines import ENGINES, Engine, EngineName, OnnxEngine, TorchEngine

if TYPE_CHECKING:
    from torch import nn

BATCH = 8192  # rows that go through a network at once


class ExportedModel:
    """What `load_model` returns.

    Attributes:
        folder: where it lies.
        manifest: versions, figures, data and hashes.
        schema: the columns that it reads, with their transforms.
        encoder: raw rows to arrays.
        engine: arrays to logits.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], encoder: Encoder, engine: Engine) -> None:
        self.folder = folder
        self.manifest = manifest
        self.schema = encoder.schema
        self.encoder = encoder
        self.engine = engine

    @property
    def name(self) -> str:
        """As in the leaderboard of its run."""
        return str(self.manifest["model"]["name"])

    def predict(self, rows: Any, *more: Path | str) -> NDArray[np.float64]:
        """Click probabilities `[n]`, in the order of the rows.

        Args:
            rows: a pandas frame or an Arrow table with the columns of the log (other columns are not looked at), or a
                file or folder that `nasrec prepare` would take; a label is not needed.
            more: further files.

        Raises:
            UserError: a column is missing, a bad row, or a file that cannot be read.
        """
        if isinstance(rows, (str, Path)):
            from nasrec_nni.export.predict import scored

            parts = [part.scores for part in scored(self, [rows, *more])]
            return np.concatenate(parts) if parts else np.empty(0)
        encoded = self.encoder.encode_table(rows)
        return self.scores(encoded.dense, encoded.sparse)

    def scores(self, dense: Any, sparse: Any) -> NDArray[np.float64]:
        """Click probabilities `[n]` of encoded rows.

        Args:
            dense: `[n, D]` float32 as in a prepared set; without numeric columns `[n, 0]`.
            sparse: `[n, C]` ids as in a prepared set.
        """
        logits = self.logits(dense, sparse).astype(np.float64)
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-logits)))

    def logits(self, dense: Any, sparse: Any) -> NDArray[np.float32]:
        """Logits `[n]`, arguments as of `scores`."""
        x, ids = np.ascontiguousarray(dense, np.float32), np.asarray(sparse)
        columns = sum(self.schema.lengths)
        wrong = x.ndim != 2 or ids.ndim != 2 or len(x) != len(ids)
        if wrong or x.shape[1] != len(self.schema.dense) or ids.shape[1] != columns:
            raise ValueError(f"needs [n, {len(self.schema.dense)}] and [n, {columns}], got {x.shape} and {ids.shape}")
        if not x.shape[1]:
            x = np.zeros((len(x), 1), np.float32)  # a column of zeros stands in
        found = np.empty(len(x), np.float32)
        for start in range(0, len(x), BATCH):
            found[start : start + BATCH] = self.engine.logits(x[start : start + BATCH], ids[start : start + BATCH])
        return found


def load_model(
    folder: Path | str, *, engine: EngineName = "torch", device: str = "cpu", threads: int | None = None
) -> ExportedModel:
    """Load what `nasrec export` wrote. Needs neither NNI nor Lightning, and unpickles nothing.

    Args:
        folder: of the model.
        engine: `torch`, or `onnx` for ONNX Runtime on the CPU (pip install 'nasrec-nni[export]').
        device: of torch.
        threads: of ONNX Runtime; torch's are set by `torch.set_num_threads`.

    Raises:
        UserError: not a model, a file was changed, or an operator's package is not installed.
    """
    folder = Path(folder)
    if engine not in ENGINES:
        raise UserError("no such engine", value=engine, where="engine", allowed=", ".join(ENGINES))
    manifest = layout.read_manifest(folder)
    encoder = Encoder.of_files(folder)
    if engine == "onnx":
        return ExportedModel(folder, manifest, encoder, OnnxEngine(folder / layout.ONNX, threads))
    return ExportedModel(folder, manifest, encoder, TorchEngine(load_network(folder, device)))


def load_network(folder: Path, device: str = "cpu") -> nn.Module:
    """The network of a model whose files are verified.

    Raises:
        UserError: a plug-in is missing, or weights and description do not fit together.
    """
    from safetensors.torch import load_file

    where = str(folder / layout.NETWORK)
    network = build(read(folder, layout.NETWORK), where)
    try:
        network.load_state_dict(load_file(folder / layout.WEIGHTS))
    except RuntimeError as error:
        told = " ".join(str(error).split())[:300]
        raise UserError(
            f"the weights do not fit the network ({told})",
            where=where,
            hint="A plug-in of another version builds it otherwise: install the version that the manifest names",
        ) from None
    return network.to(device).requires_grad_(False)


def columns_of(schema: Schema) -> Iterable[dict[str, str]]:
    """The columns that raw rows need, for people: name, role and how it is read."""
    for dense in schema.dense:
        yield {"column": dense.name, "role": "numeric", "read as": dense.transform.name}
    for one in schema.sparse:
        how = "log2_bins" if one.bins else one.encoding
        several = f", values between {one.separator!r}" if one.separator is not None else ""
        yield {"column": one.name, "role": "categorical", "read as": f"{how}, {one.rows:,} ids{several}"}
