"""The stages up to the retrained winners and baselines: data, supernet, search, retrain. `--workers N`: by NNI."""

from __future__ import annotations

import argparse
from typing import Any

from nasrec_nni.cli.options import config_and_out, workers
from nasrec_nni.cli.stages import run_up_to
from nasrec_nni.cli.stages import stage_words as words

__all__ = ["arguments", "run", "words"]


def arguments(parser: argparse.ArgumentParser) -> None:
    config_and_out(parser)
    workers(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    return run_up_to(options, "retrain", "retrain")
