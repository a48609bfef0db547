"""Say what a prepared set, a run, an exported model or an architecture file is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from nasrec_nni.cli.tables import pairs, shown, table
from nasrec_nni.errors import UserError

WHAT = "DATA|RUN|MODEL|ARCH"
HEAD = (
    *("folder", "rows", "label", "time", "weight", "ignored", "negatives", "facts"),
    *("source", "options", "command", "made", "fingerprint"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar=WHAT, nargs="?", type=Path, help="folder or architecture file")
    parser.add_argument(
        "--html",
        metavar="FILE",
        nargs="?",
        const="",
        help="of a prepared set: write a page too, to FILE or to <name of the set>-report.html in this folder",
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    path, html = options.path, options.html
    if path is None and html and Path(html).is_dir():
        path, html = Path(html), ""  # `--html DATA`: the set stands where FILE may
    if path is None:
        raise UserError(f"the following arguments are required: {WHAT}", where="nasrec inspect")
    if not path.exists():
        raise UserError("no such file or folder", where=str(path))
    if path.is_file():
        _only_data(html, path, "an architecture", f"`nasrec draw {path}` draws it")
        return _architecture(path)
    from nasrec_nni.pipeline.inspection import inspect_data, inspect_run, write_data_page
    from nasrec_nni.run_folder import RunFolder

    if RunFolder(path).exists:
        _only_data(html, path, "a run", f"`nasrec report {path}` writes its page")
        return inspect_run(path)
    from nasrec_nni.export.layout import is_model

    if is_model(path):
        from nasrec_nni.export.describe import describe

        _only_data(html, path, "an exported model", f"{path / 'README.md'} is its card")
        return describe(path)
    found = inspect_data(path)
    if html is not None:
        found["page"] = str(write_data_page(found, Path(html) if html else None))
        print(f"page: {found['page']}", file=sys.stderr)
    return found


def _only_data(html: str | None, path: Path, what: str, hint: str) -> None:
    if html is not None:
        raise UserError(f"--html is for a prepared set, this is {what}", where=str(path), hint=hint)


def _architecture(path: Path) -> dict[str, Any]:
    from nasrec_nni.architecture.json import load_architecture, to_json

    architecture = load_architecture(path)
    blocks = to_json(architecture.canonical)["blocks"]
    return {"kind": "architecture", "id": architecture.id, "space": architecture.space, "blocks": blocks}


def words(result: dict[str, Any]) -> str:
    if result["kind"] == "prepared set":
        return _data(result)
    below = {key: value for key, value in result.items() if isinstance(value, list) and value}
    parts = [pairs({key: value for key, value in result.items() if key not in below})]
    for name, items in below.items():
        rows = all(isinstance(item, dict) for item in items)
        parts += ["", name, *([table(items)] if rows else map(str, items))]
    return "\n".join(parts)


def _data(result: dict[str, Any]) -> str:
    """Rows, splits, a line per column with its role and reason; `--json` and the page have the rest."""
    from nasrec_nni.analysis.data_page import other_notes
    from nasrec_nni.analysis.data_words import counted, drift, part, share, stored

    splits = result["splits"]
    lines = [pairs({key: result[key] for key in HEAD if result.get(key)}), ""]
    lines.append(
        table(
            [
                {"split": split, **counts, "click rate": share(part({split: counts["clicks"]}, split, splits))}
                for split, counts in splits.items()
            ]
        )
    )
    columns = [
        {
            "column": column["column"],
            "role": column["role"],
            "kept as": stored(column),
            "distinct": column.get("distinct"),
            "missing": share(part(column.get("missing"), "train", splits)),
            "rare": counted(column, "rare", "train", splits),
            "unseen in val": counted(column, "unseen", "val", splits),
            "drift": drift(column, splits),
            "reason": column["reason"],
        }
        for column in result["columns"]
    ]
    lines += ["", table(columns)]
    for title, texts in (("notes", other_notes(result)), ("warnings", result["warnings"])):
        if texts:
            lines += ["", title, *map(shown, texts)]
    return "\n".join(lines)
