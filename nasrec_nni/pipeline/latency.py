"""Milliseconds a batch on this machine: of an architecture with random weights, or of an exported model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from nasrec_nni.errors import UserError
from nasrec_nni.profiling import Sizes
from nasrec_nni.threads import using_threads

if TYPE_CHECKING:
    from nasrec_nni.architecture.value import Architecture
    from nasrec_nni.export.engines import Engine

BATCHES = (1, 128, 4096)  # rows


def of_model(folder: Path, threads: int) -> dict[str, Any]:
    """Of an exported model: torch, and ONNX Runtime where there is a file and a runtime.

    Args:
        folder: of the model, verified.
        threads: of either engine.
    """
    from nasrec_nni.export import layout
    from nasrec_nni.export.description import read
    from nasrec_nni.export.engines import OnnxEngine, TorchEngine
    from nasrec_nni.export.model import load_network

    content = read(folder, layout.NETWORK)
    searched = content["kind"] == "searched"
    width = content["sizes"]["dense"] if searched else content["dense_width"]
    lengths = (content if searched else content["settings"])["lengths"]
    rows = np.repeat(content["rows_per_field"], lengths or 1)
    with using_threads(threads):
        network = TorchEngine(load_network(folder))
        try:
            runtime: Engine | UserError = OnnxEngine(folder / layout.ONNX, threads)
        except UserError as error:
            runtime = error
        return _told({"torch": network, "onnx": runtime}, width, rows.tolist(), threads)


def of_architecture(architecture: Architecture, sizes: Sizes, rows: Path | int, threads: int) -> dict[str, Any]:
    """Of a network with random weights.

    Args:
        architecture: any.
        sizes: of its inputs.
        rows: table rows of each field, or the prepared set that tells them.
        threads: of either engine.
    """
    from nasrec_nni.data.prepared import PreparedSet
    from nasrec_nni.export import programs
    from nasrec_nni.export.engines import OnnxEngine, TorchEngine
    from nasrec_nni.network import NASRecNetwork, TableSettings

    lengths: tuple[int, ...] = (1,) * sizes.fields
    per_field: tuple[int, ...] = (rows,) * sizes.fields if isinstance(rows, int) else ()
    if isinstance(rows, Path):
        prepared = PreparedSet.load(rows)
        per_field, lengths = prepared.rows_per_field, prepared.lengths
    network = NASRecNetwork(architecture, sizes, TableSettings(per_field, lengths=lengths)).eval()
    columns = np.repeat(per_field, lengths).tolist()
    with TemporaryDirectory() as folder, using_threads(threads):
        try:
            programs.need_onnx()
            path = Path(folder) / "model.onnx"
            programs.save_onnx(programs.trace(network, sizes.dense, len(columns)), path)
            runtime: Engine | UserError = OnnxEngine(path, threads)
        except UserError as error:
            runtime = error
        return _told({"torch": TorchEngine(network), "onnx": runtime}, sizes.dense, columns, threads)


def _told(engines: dict[str, Engine | UserError], width: int, rows: Sequence[int], threads: int) -> dict[str, Any]:
    """Percentiles by engine and batch; ids are drawn evenly, so that hardly a table row is in a cache."""
    from nasrec_nni.evaluation.latency import percentiles

    random = np.random.default_rng(0)
    found: list[dict[str, Any]] = []
    without = {name: engine.message for name, engine in engines.items() if isinstance(engine, UserError)}
    for batch in BATCHES:
        dense = random.standard_normal((batch, width)).astype(np.float32)
        sparse = random.integers(0, rows, (batch, len(rows))).astype(np.int32)
        for name, engine in engines.items():
            if isinstance(engine, UserError):
                continue
            took = percentiles(lambda run=engine.logits, x=dense, ids=sparse: run(x, ids))  # type: ignore[misc]
            found.append({"engine": name, "batch": batch} | took._asdict())
    return {"threads": threads, "latency": found} | ({"not_measured": without} if without else {})
