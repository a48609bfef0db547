"""What a prepared set or a run is, as values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nasrec_nni.analysis.data_page import render_data_page
from nasrec_nni.config_file import load_config
from nasrec_nni.data.describing import describe
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError
from nasrec_nni.files import read_json, read_lines
from nasrec_nni.pipeline import staleness
from nasrec_nni.run_folder import RunFolder


def inspect_data(folder: Path) -> dict[str, Any]:
    """Rows, columns with their roles, splits, fingerprint and making of a prepared set.

    Raises:
        UserError: it is none, or it is broken.
    """
    prepared = PreparedSet.load(folder)
    sampling = {"negatives": prepared.manifest.get("negatives")}
    return {"kind": "prepared set"} | describe(prepared) | sampling


def write_data_page(content: dict[str, Any], page: Path | None) -> Path:
    """Write the page of a prepared set.

    Args:
        content: of `inspect_data`.
        page: where; None for `NAME-report.html` in the working folder.

    Returns:
        Where it is.

    Raises:
        UserError: the place is in the set, whose files stay as they are hashed, or is a folder.
    """
    folder = Path(content["folder"]).absolute().resolve()
    page = page or Path(f"{folder.name}-report.html")
    if page.is_dir():
        raise UserError("the place of the page is a folder", where=str(page), hint="Name a file: --html FILE")
    if folder in page.absolute().resolve().parents:
        raise UserError(
            "the page would lie within the prepared set", where=str(page), hint="Name a file elsewhere: --html FILE"
        )
    render_data_page(content, page)
    return page


def inspect_run(path: Path) -> dict[str, Any]:
    """Stages done, where every figure came from, versions.

    Raises:
        UserError: it is not a run.
    """
    folder = RunFolder.open(path)
    manifest = folder.read_manifest()
    config = load_config(folder.config)
    names = staleness.STAGES if config.retrain.sweep is None else staleness.ALL
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
        "stages": [_stage(folder, name) for name in staleness.ALL if name in names],
    }


def _stage(folder: RunFolder, name: str) -> dict[str, Any]:
    record = staleness.read_record(folder, name)
    if record is None:
        return {"stage": name, "state": "absent", "finished": None, "seconds": None, "cpu_seconds": None}
    keys = ("stage", "state", "finished", "seconds", "cpu_seconds")
    return {key: record.get(key) for key in keys}
