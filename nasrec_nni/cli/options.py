"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path


def config_and_out(parser: argparse.ArgumentParser) -> None:
    """`CONFIG --out RUN [key=value …] [--redo]`."""
    parser.add_argument("config", metavar="CONFIG", type=Path, help="YAML file; `nasrec ls examples` lists some")
    parser.add_argument("--out", metavar="RUN", type=Path, required=True, help="run folder, made if absent")
    redo(parser)
    overrides(parser)


def overrides(parser: argparse.ArgumentParser) -> None:
    """`[key=value …]`."""
    parser.add_argument(
        "overrides", metavar="key=value", nargs="*", help="changes to the config: search.candidates=300"
    )


def redo(parser: argparse.ArgumentParser) -> None:
    """`--redo`."""
    parser.add_argument(
        "--redo", action="store_true", help="do stages anew that a changed config made stale; the old ones are kept"
    )


def workers(parser: argparse.ArgumentParser) -> None:
    """`[--workers N] [--gpus-per-worker G] [--no-web]`."""
    parser.add_argument("--workers", metavar="N", type=positive, help="processes that NNI runs; unset: this one works")
    parser.add_argument("--gpus-per-worker", metavar="G", type=whole, help="as workers.gpus=G")
    parser.add_argument("--no-web", action="store_true", help="work in this process, without NNI and its web page")


def network_sizes(parser: argparse.ArgumentParser) -> None:
    """`--dense N --sparse N [--embedding --heads --layer-norm]`, or `--data DATA`."""
    parser.add_argument("--data", metavar="DATA", type=Path, help="prepared set that gives --dense and --sparse")
    parser.add_argument("--dense", metavar="N", type=whole, help="dense columns")
    parser.add_argument("--sparse", metavar="N", type=whole, help="sparse fields")
    parser.add_argument("--embedding", metavar="E", type=positive, default=16, help="embedding width (16)")
    parser.add_argument("--heads", metavar="N", type=positive, default=8, help="attention heads (8)")
    parser.add_argument("--layer-norm", action="store_true", help="layer norm behind linear maps")


def whole(text: str) -> int:
    """A whole number from 0."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must not be below 0, got {text}")
    return number


def positive(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return number
