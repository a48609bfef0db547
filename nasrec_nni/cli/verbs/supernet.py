"""The stages up to the trained supernet: data, supernet."""

from __future__ import annotations

import argparse
from typing import Any

from nasrec_nni.cli.options import config_and_out as arguments
from nasrec_nni.cli.stages import run_up_to
from nasrec_nni.cli.stages import stage_words as words

__all__ = ["arguments", "run", "words"]


def run(options: argparse.Namespace) -> dict[str, Any]:
    return run_up_to(options, "supernet", "supernet")
