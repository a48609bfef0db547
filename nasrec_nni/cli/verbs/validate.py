"""Check a config: every mistake at once, nothing is run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nasrec_nni.cli.options import overrides
from nasrec_nni.config_file import load_config
from nasrec_nni.pipeline.check import check


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", type=Path, help="YAML file")
    overrides(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    config = load_config(options.config, tuple(options.overrides))
    check(config)
    return {"valid": True, "config": config.model_dump(mode="json")}


def words(result: dict[str, Any]) -> str:
    return "the config is valid"
