"""Multiply-accumulates per example and parameters (embeddings not counted) of an architecture.

live_* is what reaches the output, all_* every operator and merger as written.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nasrec_nni.architecture.json import load_architecture
from nasrec_nni.cli.options import network_sizes
from nasrec_nni.cli.tables import pairs
from nasrec_nni.errors import UserError
from nasrec_nni.profiling import Sizes, profile


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("architecture", metavar="ARCH", type=Path, help="architecture file, ours or the authors'")
    network_sizes(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    sizes = sizes_of(options)
    architecture = load_architecture(options.architecture)
    inputs = {"dense": sizes.dense, "sparse": sizes.fields, "embedding": sizes.embedding}
    return {"id": architecture.id} | inputs | profile(architecture, sizes).as_dict()


def sizes_of(options: argparse.Namespace) -> Sizes:
    """Network sizes from the shared options."""
    if options.data is not None:
        if options.dense is not None or options.sparse is not None:
            raise UserError("--data already gives the columns", where="--dense, --sparse", hint="Give one of them")
        dense, fields = _columns(options.data)
    elif options.dense is None or options.sparse is None:
        raise UserError("the number of columns is needed", hint="Give --dense N --sparse N, or --data DATA")
    else:
        dense, fields = max(1, options.dense), options.sparse
    if fields == 0:
        raise UserError("a network needs at least one sparse field", value=fields, where="--sparse")
    if options.embedding % options.heads:
        raise UserError("must divide --embedding", value=options.heads, where="--heads", allowed="a divisor")
    return Sizes(dense, fields, options.embedding, options.heads, options.layer_norm)


def _columns(folder: Path) -> tuple[int, int]:
    from nasrec_nni.data.prepared import PreparedSet

    prepared = PreparedSet.load(folder)
    return prepared.dense_width, len(prepared.rows_per_field)


def words(result: dict[str, Any]) -> str:
    return pairs(result)
