"""The whole way on the embedded click log: data, supernet, search, retrain beside baselines, report."""

from __future__ import annotations

import argparse
from importlib.resources import as_file
from pathlib import Path
from typing import Any

from nasrec_nni.cli.examples import find
from nasrec_nni.cli.options import overrides, redo
from nasrec_nni.cli.stages import run_up_to
from nasrec_nni.cli.stages import stage_words as words

__all__ = ["arguments", "run", "words"]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="RUN", type=Path, default=Path("runs/quickstart"), help="run folder (runs/quickstart)"
    )
    redo(parser)
    overrides(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    with as_file(find("quickstart")) as config:
        options.config = config
        return run_up_to(options, "report", "quickstart")
