"""Multiply-accumulates per example, parameters (embeddings not counted) and latency of an architecture or a model.

live_* is what reaches the output, all_* every operator and merger as written. --latency measures this machine: for
batches of 1, 128 and 4,096 rows the time that half of the calls, and 99 of 100, stay below, with torch and with ONNX
Runtime.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nasrec_nni.architecture.json import load_architecture
from nasrec_nni.cli.options import network_sizes, positive
from nasrec_nni.cli.tables import pairs, table
from nasrec_nni.errors import UserError
from nasrec_nni.profiling import Sizes, profile


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "architecture",
        metavar="ARCH|MODEL",
        type=Path,
        help="architecture file, ours or the authors'; exported model",
    )
    network_sizes(parser)
    parser.add_argument("--latency", action="store_true", help="measure it on this machine, for up to half a minute")
    parser.add_argument("--threads", metavar="N", type=positive, default=1, help="CPU threads of --latency (1)")
    parser.add_argument(
        "--rows", metavar="N", type=positive, default=10_000, help="table rows a field of ARCH without --data (10000)"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    if options.architecture.is_dir():
        return _model(options)
    sizes = sizes_of(options)
    architecture = load_architecture(options.architecture)
    inputs = {"dense": sizes.dense, "sparse": sizes.fields, "embedding": sizes.embedding}
    found = {"id": architecture.id} | inputs | profile(architecture, sizes).as_dict()
    if not options.latency:
        return found
    from nasrec_nni.pipeline.latency import of_architecture

    return found | of_architecture(architecture, sizes, options.data or options.rows, options.threads)


def _model(options: argparse.Namespace) -> dict[str, Any]:
    from nasrec_nni.export.layout import read_manifest
    from nasrec_nni.pipeline.latency import of_model

    manifest = read_manifest(options.architecture)
    given = [flag for flag in ("data", "dense", "sparse") if getattr(options, flag) is not None]
    if given:
        raise UserError("an exported model knows its columns", where=f"--{given[0]}", hint=f"Leave --{given[0]} away")
    figures = manifest.get("figures", {})
    found = {"name": manifest["model"]["name"], "id": manifest["model"]["id"]}
    found |= {key: figures.get(key) for key in ("live_macs", "parameters", "all_parameters")}
    return found | of_model(options.architecture, options.threads) if options.latency else found


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
    text = pairs({key: value for key, value in result.items() if key != "latency"})
    return f"{text}\n\n{table(result['latency'])}" if "latency" in result else text
