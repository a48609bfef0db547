"""A trained network to a folder that stands by itself."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasrec_nni.data.preparing.options import PrepareOptions
from nasrec_nni.errors import UserError
from nasrec_nni.export import layout
from nasrec_nni.export.card import model_card
from nasrec_nni.export.model import load_network
from nasrec_nni.files import folder_in_progress, sha256, write_json, write_text
from nasrec_nni.run_folder import commit, now

if TYPE_CHECKING:
    from torch import nn

    from nasrec_nni.data.prepared import PreparedSet

FORMATS = ("onnx", "program")  # what `--skip` may name
PACKAGES = ("nasrec-nni", "torch", "numpy", "pyarrow", "safetensors", "onnx", "onnxscript", "onnxruntime")
CHECKED = 256  # validation rows that programs are compared on
APART = 1e-4  # of two probabilities: beyond it a program is not kept


@dataclass(frozen=True)
class Trained:
    """What is exported.

    Attributes:
        name: as in the leaderboard.
        description: of `export.description`.
        weights: the safetensors file that training has left.
        facts: for manifest and card: `seed`, `figures`, `run`, `recipe` and others.
    """

    name: str
    description: Mapping[str, Any]
    weights: Path
    facts: Mapping[str, Any]


def check_free(out: Path) -> None:
    """Raises UserError if there is something at the place."""
    if out.exists():
        raise UserError("exists already", where=str(out), hint="Name another folder, or remove this one")


def write_model(out: Path, trained: Trained, prepared: PreparedSet, skip: Collection[str] = ()) -> dict[str, Any]:
    """Write the folder; it appears whole or not at all. A program that cannot be made is left out, with the reason.

    Args:
        out: the folder to make.
        trained: the network.
        prepared: the set that it was trained on.
        skip: of `FORMATS`, not to be written.

    Returns:
        The manifest.

    Raises:
        UserError: the place is taken, or a package for ONNX is not installed.
    """
    check_free(out)
    if "onnx" not in skip:
        from nasrec_nni.export.programs import need_onnx

        need_onnx()
    with folder_in_progress(out, lambda: check_free(out)) as folder:
        shutil.copyfile(trained.weights, folder / layout.WEIGHTS)
        shutil.copyfile(prepared.folder / "schema.json", folder / layout.SCHEMA)
        shutil.copyfile(prepared.folder / "vocabulary.parquet", folder / layout.VOCABULARY)
        _write_description(folder, trained.description)
        write_json(folder / layout.SOURCE, source_of(prepared))
        checks, left_out = _write_programs(folder, prepared, skip)
        manifest = {
            "kind": layout.KIND,
            "format": layout.FORMAT,
            "made": now(),
            "model": {"name": trained.name, "kind": trained.description["kind"], "id": trained.description.get("id")},
            **trained.facts,
            "data": data_facts(prepared),
            "checked": checks,
            "left_out": left_out,
            "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
            "commit": commit(),
        }
        write_text(folder / layout.CARD, model_card(manifest, prepared.schema))
        files = {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in sorted(folder.iterdir())}
        write_json(folder / layout.MANIFEST, manifest | {"files": files})  # last: a folder that has one is whole
    return manifest | {"files": files}


def _write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """`network.json`, and for a searched network `architecture.json`, which `nasrec draw` and `profile` read too."""
    if "architecture" in description:
        write_json(folder / layout.ARCHITECTURE, description["architecture"])
    write_json(folder / layout.NETWORK, {key: value for key, value in description.items() if key != "architecture"})


def source_of(prepared: PreparedSet) -> dict[str, Any]:
    """The source of a log and its own options, without those of preparing."""
    options = {
        key: value for key, value in prepared.manifest["options"].items() if key not in PrepareOptions.model_fields
    }
    return {"source": prepared.manifest["source"], "options": options}


def data_facts(prepared: PreparedSet) -> dict[str, Any]:
    """What a model was trained on."""
    manifest = prepared.manifest
    return {
        "fingerprint": prepared.fingerprint,
        "source": manifest["source"],
        "rows": manifest["rows"],
        "splits": manifest["splits"],
        "split_rule": manifest["options"].get("split"),
        "made": manifest["made"],
        "negative_rate": prepared.negative_rate,
    }


def _write_programs(
    folder: Path, prepared: PreparedSet, skip: Collection[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """`model.pt2` and `model.onnx`: how far their scores are from the network's, and why one is not there."""
    wanted = [name for name in FORMATS if name not in skip]
    left_out = {name: "as asked for" for name in FORMATS if name in skip}
    checks: dict[str, Any] = {}
    if not wanted:
        return checks, left_out
    from nasrec_nni.export import programs

    network = load_network(folder)
    sample = _sample(prepared)
    try:
        traced = programs.trace(network, sample[0].shape[1], sample[1].shape[1])
    except UserError as error:
        return checks, left_out | dict.fromkeys(wanted, error.message)
    writers = {"onnx": (layout.ONNX, programs.save_onnx), "program": (layout.PROGRAM, programs.save_program)}
    for name in wanted:
        file, save = writers[name]
        try:
            save(traced, folder / file)
            checks[name] = {"rows": len(sample[0]), "largest_difference": _compared(folder / file, network, sample)}
        except UserError as error:
            (folder / file).unlink(missing_ok=True)
            left_out[name] = error.message
    return checks, left_out


def _sample(prepared: PreparedSet) -> tuple[Any, Any]:
    """Encoded rows: of the validation split, and one with every value missing and one with every value unseen."""
    rows = prepared.rows("val")[:CHECKED]
    dense = np.concatenate([prepared.dense[rows], np.zeros((2, len(prepared.schema.dense)), np.float32)])
    odd = np.repeat(np.array([[0], [1]], np.int32), sum(prepared.lengths), 1)
    odd = np.minimum(odd, np.repeat([rows - 1 for rows in prepared.rows_per_field], prepared.lengths)).astype(np.int32)
    sparse = np.concatenate([prepared.sparse[rows], odd])
    return dense if dense.shape[1] else np.zeros((len(dense), 1), np.float32), sparse


def _compared(path: Path, network: nn.Module, sample: tuple[Any, Any]) -> float:
    """Largest difference of the probabilities of a program read back from the network's.

    Raises:
        UserError: it is more than `APART`.
    """
    import torch

    from nasrec_nni.export.engines import OnnxEngine, TorchEngine

    dense, sparse = sample
    if path.name == layout.ONNX:
        found = OnnxEngine(path).logits(dense, sparse)
    else:
        program = torch.export.load(path).module()
        with torch.no_grad():
            found = program(torch.from_numpy(dense), torch.from_numpy(sparse.astype(np.int64)))[1].numpy()
    expected = TorchEngine(network).logits(dense, sparse)
    apart = float(np.abs(_probability(found) - _probability(expected)).max())
    if not apart <= APART:
        raise UserError("its scores are not the network's", value=apart, where=path.name, allowed=f"up to {APART}")
    return apart


def _probability(logits: Any) -> Any:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits.astype(np.float64)))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
