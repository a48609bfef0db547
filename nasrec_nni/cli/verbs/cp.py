"""Copy an example config to start from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nasrec_nni.cli.examples import find
from nasrec_nni.errors import UserError
from nasrec_nni.files import write_text


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("example", metavar="EXAMPLE", help="`nasrec ls examples` lists them")
    parser.add_argument("--out", metavar="FILE", type=Path, help="where to, ./EXAMPLE.yaml if not given")


def run(options: argparse.Namespace) -> dict[str, Any]:
    source = find(options.example)
    out = options.out or Path(source.name)
    if out.is_dir():
        out /= source.name
    if out.exists():
        raise UserError("is there already", where=str(out), hint="Name another file with --out")
    write_text(out, source.read_text(encoding="utf-8"))
    return {"example": source.name.removesuffix(".yaml"), "out": str(out)}


def words(result: dict[str, Any]) -> str:
    return f"copied to {result['out']}; run it with: nasrec run {result['out']} --out runs/{result['example']}"
