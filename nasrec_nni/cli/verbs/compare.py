"""Runs on one prepared set side by side: all models in one table, with paired differences and what differs.

Below --out: index.html (one self-contained page), comparison.csv and comparison.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from nasrec_nni.cli.tables import pairs, table

COLUMNS = ("rank", "run", "model", "test_log_loss", "test_log_loss_deviation", "difference", "over_seeds", "over_rows")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="run folders, two or more")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="write page, CSV and Markdown there")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown, for a README")


def run(options: argparse.Namespace) -> dict[str, Any]:
    from nasrec_nni.pipeline.compare import compare_runs

    found = compare_runs(options.runs, options.out)
    return found | {"shown_as": "markdown" if options.markdown else "table"}


def words(result: dict[str, Any]) -> str:
    if result["shown_as"] == "markdown":
        for note in result["notes"]:
            print(note, file=sys.stderr)
        return str(result["table_markdown"]).rstrip()
    parts = [result["verdict"], result["detail"], *result["notes"], "", table(result["models"], COLUMNS)]
    parts += ["", "best of each run, pair by pair", table(result["pairs"]), "", table(result["runs"])]
    if result["differs"]:
        rows = [{"key": key} | values for key, values in result["differs"].items()]
        parts += ["", "what differs in the configs", table(rows)]
    if "files" in result:
        parts += ["", pairs(result["files"])]
    return "\n".join(parts)
