"""Lightning checkpoints as safetensors and JSON: atomic, verified, never unpickled."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO
from safetensors.torch import load_file, save_file

from nasrec_nni.errors import UserError
from nasrec_nni.files import atomic_path, fingerprint, read_json, sha256, write_json
from nasrec_nni.training.tree import pack, unpack

STATE = "state.json"
FORMAT = 1


class SafeCheckpointIO(CheckpointIO):
    """`Trainer(plugins=[SafeCheckpointIO()])`: a checkpoint is a folder.

    ```
    PATH/state.json              everything that is no tensor, tags for tuples and int keys, sha256 of both files
    PATH/tensors-<random>.safetensors
    ```

    Writing makes the tensors under a new name first and then renames `state.json` over the old one, so a kill at any
    moment leaves the last good checkpoint. Reading checks both hashes.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write Lightning's whole dictionary.

        Raises:
            TypeError: an entry is neither a tensor nor plain (numpy values, enums and objects are not); names it.
        """
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read and verify, onto the device `map_location` or the CPU; `weights_only` has no pickle to guard against.

        Raises:
            UserError: a file is absent, cut or changed.
            TypeError: `map_location` is a function or a map.
        """
        if not isinstance(map_location, (str, torch.device, type(None))):
            raise TypeError("map_location must be a device, its name or None")
        return read_checkpoint(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint's folder."""
        shutil.rmtree(path, ignore_errors=True)


def exists(path: Path) -> bool:
    """Is there a checkpoint, whole or broken?"""
    return (path / STATE).exists()


def write_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """See SafeCheckpointIO.save_checkpoint."""
    tree, tensors = pack(checkpoint)
    path.mkdir(parents=True, exist_ok=True)
    name = f"tensors-{secrets.token_hex(4)}.safetensors"
    with atomic_path(path / name) as temporary:
        save_file(tensors, temporary)
    body = {"format": FORMAT, "file": name, "sha256": sha256(path / name), "tree": tree}
    write_json(path / STATE, body | {"fingerprint": fingerprint(body)})
    for old in [*path.glob("tensors-*"), *path.glob(".*.tmp")]:
        if old.name != name:
            old.unlink(missing_ok=True)


def read_state(path: Path) -> dict[str, Any]:
    """The verified JSON half of a checkpoint, without its tensors."""
    content = read_json(path / STATE)
    body = {key: value for key, value in content.items() if key != "fingerprint"} if isinstance(content, dict) else {}
    if not body or content.get("fingerprint") != fingerprint(body):
        raise _broken(path / STATE)
    if body["format"] != FORMAT:
        raise UserError("a checkpoint of another version", value=body["format"], where=str(path), allowed=str(FORMAT))
    return body


def read_checkpoint(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """See SafeCheckpointIO.load_checkpoint."""
    body = read_state(path)
    file = path / body["file"]
    if not file.exists() or sha256(file) != body["sha256"]:
        raise _broken(file)
    checkpoint: dict[str, Any] = unpack(body["tree"], load_file(file, device=str(device)))
    return checkpoint


def _broken(file: Path) -> UserError:
    return UserError(
        "the checkpoint is damaged: its content does not match its hash",
        where=str(file),
        hint="Remove the checkpoint's folder to start this stage again",
    )
