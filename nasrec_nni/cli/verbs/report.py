"""Leaderboard and self-contained page of a run whose models are trained."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nasrec_nni.cli.stages import stage_words as words

__all__ = ["arguments", "run", "words"]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run folder")


def run(options: argparse.Namespace) -> dict[str, Any]:
    from nasrec_nni.pipeline.report import report_again

    return report_again(options.run)
