"""Say what a prepared set, a run or an architecture file is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nasrec_nni.cli.tables import pairs, table
from nasrec_nni.errors import UserError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="DATA|RUN|ARCH", type=Path, help="folder or architecture file")


def run(options: argparse.Namespace) -> dict[str, Any]:
    path: Path = options.path
    if not path.exists():
        raise UserError("no such file or folder", where=str(path))
    if path.is_file():
        return _architecture(path)
    from nasrec_nni.pipeline.inspection import inspect_data, inspect_run
    from nasrec_nni.run_folder import RunFolder

    if RunFolder(path).exists:
        return inspect_run(path)
    return inspect_data(path)


def _architecture(path: Path) -> dict[str, Any]:
    from nasrec_nni.architecture.json import load_architecture, to_json

    architecture = load_architecture(path)
    blocks = to_json(architecture.canonical)["blocks"]
    return {"kind": "architecture", "id": architecture.id, "space": architecture.space, "blocks": blocks}


def words(result: dict[str, Any]) -> str:
    below = {key: value for key, value in result.items() if isinstance(value, list) and value}
    parts = [pairs({key: value for key, value in result.items() if key not in below})]
    for name, items in below.items():
        rows = all(isinstance(item, dict) for item in items)
        parts += ["", name, *([table(items)] if rows else map(str, items))]
    return "\n".join(parts)
