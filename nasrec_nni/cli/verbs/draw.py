"""Picture of an architecture; parts that do not reach the output are grey."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nasrec_nni.architecture.json import load_architecture
from nasrec_nni.errors import UserError

FORMATS = (".svg", ".png")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("architecture", metavar="ARCH", type=Path, help="architecture file, ours or the authors'")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="picture.svg or picture.png")


def run(options: argparse.Namespace) -> dict[str, Any]:
    if options.out.suffix.lower() not in FORMATS:
        raise UserError("not a kind of picture", value=str(options.out), where="--out", allowed=", ".join(FORMATS))
    architecture = load_architecture(options.architecture)
    from nasrec_nni.analysis.drawing import draw

    draw(architecture, options.out)
    return {"id": architecture.id, "out": str(options.out)}


def words(result: dict[str, Any]) -> str:
    return f"drew {result['id']} into {result['out']}"
