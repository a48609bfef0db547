"""Names in the folder of an exported model, and its files verified."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasrec_nni.errors import UserError
from nasrec_nni.files import read_json, sha256

FORMAT = 1
KIND = "model"
MANIFEST = "manifest.json"
WEIGHTS, NETWORK, ARCHITECTURE = "model.safetensors", "network.json", "architecture.json"
SCHEMA, VOCABULARY, SOURCE = "schema.json", "vocabulary.parquet", "source.json"
ONNX, PROGRAM, CARD = "model.onnx", "model.pt2", "README.md"
NEEDED = (WEIGHTS, NETWORK, SCHEMA, VOCABULARY, SOURCE)
AGAIN = "Export the model again, or copy it again"


def is_model(folder: Path) -> bool:
    """Whether this is the folder of an exported model."""
    if not (folder / MANIFEST).is_file():
        return False
    content = read_json(folder / MANIFEST)
    return isinstance(content, dict) and content.get("kind") == KIND


def read_manifest(folder: Path, *, verify: bool = True) -> dict[str, Any]:
    """The manifest; every file that it lists is what was written. Programs and card may have been removed.

    Args:
        folder: of the model.
        verify: compare hashes, not sizes only.

    Raises:
        UserError: no exported model, another format, or a file is gone or was changed.
    """
    if not is_model(folder):
        what = "not an exported model (it has no manifest.json of one)" if folder.is_dir() else "no such folder"
        raise UserError(what, where=str(folder), hint="`nasrec export RUN --out MODEL` makes one")
    content: dict[str, Any] = read_json(folder / MANIFEST)
    if content.get("format") != FORMAT:
        raise UserError(
            "an exported model of another format", value=content.get("format"), where=str(folder), allowed=str(FORMAT)
        )
    files = content.get("files")
    if not isinstance(files, dict) or any(name not in files for name in NEEDED) or not _whole(files):
        raise UserError("the manifest does not list all files", where=str(folder / MANIFEST), hint=AGAIN)
    for name, entry in files.items():
        _check(folder / name, entry, name in (*NEEDED, ARCHITECTURE), verify)
    return content


def _whole(files: Mapping[str, Any]) -> bool:
    """Whether each entry has what a file is compared with."""
    return all(isinstance(entry, dict) and {"bytes", "sha256"} <= entry.keys() for entry in files.values())


def _check(path: Path, entry: Mapping[str, Any], needed: bool, verify: bool) -> None:
    if not path.is_file():
        if needed:
            raise UserError("a file of the model is gone", where=str(path), hint=AGAIN)
        return
    size = path.stat().st_size
    if size != entry["bytes"]:
        allowed = f"{entry['bytes']} bytes"
        raise UserError(
            "a file of the model has another size", value=size, where=str(path), allowed=allowed, hint=AGAIN
        )
    if verify and sha256(path) != entry["sha256"]:
        raise UserError("a file of the model was changed: its sha256 differs", where=str(path), hint=AGAIN)
