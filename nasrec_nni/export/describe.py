"""What `nasrec inspect` says about an exported model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nasrec_nni.data.schema import Schema
from nasrec_nni.export import layout
from nasrec_nni.export.model import columns_of
from nasrec_nni.files import read_json


def describe(folder: Path) -> dict[str, Any]:
    """Plain values; every file is verified.

    Raises:
        UserError: it is no exported model, or a file was changed.
    """
    manifest = layout.read_manifest(folder)
    schema = Schema.from_dict(read_json(folder / layout.SCHEMA))
    run, figures, data = (manifest.get(key, {}) for key in ("run", "figures", "data"))
    return {
        "kind": "exported model",
        "folder": str(folder),
        "name": manifest["model"]["name"],
        "network": manifest["model"]["kind"],
        "id": manifest["model"]["id"],
        "seed": manifest.get("seed"),
        "run": run.get("name"),
        "winner_of_run": run.get("is_winner"),
        "made": manifest["made"],
        "commit": manifest["commit"],
        "data_fingerprint": data.get("fingerprint"),
        "source": data.get("source"),
        "label": schema.label,
        **{key: figures.get(key) for key in ("val_log_loss", "test_log_loss", "test_auc", "calibration")},
        **{key: figures.get(key) for key in ("live_macs", "parameters", "all_parameters")},
        "versions": manifest["versions"],
        "left_out": manifest["left_out"],
        "columns": list(columns_of(schema)),
        "files": [
            {"file": name, "bytes": entry["bytes"], "state": _state(folder / name), "sha256": entry["sha256"]}
            for name, entry in manifest["files"].items()
        ],
    }


def _state(path: Path) -> str:
    return "as written" if path.is_file() else "removed"
