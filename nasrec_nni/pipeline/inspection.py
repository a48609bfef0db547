"""What a prepared set or a run is, as values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nasrec_nni.config import load_config
from nasrec_nni.data.describing import describe
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.files import read_json, read_lines
from nasrec_nni.pipeline import staleness
from nasrec_nni.run_folder import RunFolder


def inspect_data(folder: Path) -> dict[str, Any]:
    """Rows, columns with their roles, splits, fingerprint of a prepared set.

    Raises:
        UserError: it is none, or it is broken.
    """
    return {"kind": "prepared set"} | describe(PreparedSet.load(folder))


def inspect_run(path: Path) -> dict[str, Any]:
    """Stages done, where every figure came from, versions.

    Raises:
        UserError: it is not a run.
    """
    folder = RunFolder.open(path)
    manifest = folder.read_manifest()
    config = load_config(folder.config)
    return {
        "kind": "run",
        "folder": str(path),
        "made": manifest["made"],
        "commit": manifest["commit"],
        "data_fingerprint": manifest["data_fingerprint"],
        "test_reads": manifest["test_reads"],
        "space": config.space.name,
        "candidates": len(read_lines(folder.candidates)),
        "winner": read_json(folder.winner)["model"] if folder.winner.exists() else None,
        "versions": manifest["versions"],
        "hardware": manifest["hardware"],
        "stages": [_stage(folder, name) for name in staleness.STAGES],
    }


def _stage(folder: RunFolder, name: str) -> dict[str, Any]:
    record = staleness.read_record(folder, name)
    if record is None:
        return {"stage": name, "state": "absent", "finished": None, "seconds": None, "cpu_seconds": None}
    keys = ("stage", "state", "finished", "seconds", "cpu_seconds")
    return {key: record.get(key) for key in keys}
