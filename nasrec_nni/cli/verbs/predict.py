"""Click probabilities of a raw log, one line a row, by an exported model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nasrec_nni.cli.options import positive
from nasrec_nni.cli.tables import pairs

ENGINES = ("torch", "onnx")
INTERRUPTED = "nothing is left of the unfinished scores, the same command starts over"
HOW = (
    "INPUT is what `nasrec prepare` takes: it is read as the log that the model was trained on, save that rows need no "
    "label. Rows keep their order and none is left out. Values that training has not seen, and missing ones, are "
    "scored as in training."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = HOW
    parser.add_argument("model", metavar="MODEL", type=Path, help="folder made by `nasrec export`")
    parser.add_argument("inputs", metavar="INPUT", nargs="*", help="raw files or folders, in order")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="scores: .parquet or .csv")
    parser.add_argument("--id", metavar="COLUMN", help="column of the input to keep beside the scores")
    parser.add_argument("--engine", choices=ENGINES, default="torch", help="torch, or onnx for ONNX Runtime (torch)")
    parser.add_argument(
        "--threads", metavar="N", type=positive, help="CPU threads of the engine; all cores if not given"
    )
    parser.add_argument("--no-label", action="store_true", help="do not look at the label: no log loss, no AUC")
    parser.add_argument("--source", metavar="NAME", help="read the input as this source; `table` goes by column names")
    parser.add_argument("--delimiter", metavar="C", help="of text with a header; found if not given")
    parser.add_argument("--overwrite", action="store_true", help="replace a file at --out")


def run(options: argparse.Namespace) -> dict[str, Any]:
    from nasrec_nni.export.writers import check_place

    check_place(options.out, options.overwrite, options.id)
    from nasrec_nni.export.model import load_model
    from nasrec_nni.export.predict import predict_file

    if options.engine == "torch" and options.threads is not None:
        from nasrec_nni.threads import set_threads

        set_threads(options.threads)
    model = load_model(options.model, engine=options.engine, threads=options.threads)
    found = predict_file(
        model,
        options.inputs,
        options.out,
        source=options.source,
        delimiter={"tab": "\t", "\\t": "\t"}.get(options.delimiter, options.delimiter),
        kept=options.id,
        labelled=not options.no_label,
        overwrite=options.overwrite,
    )
    return found | {"engine": options.engine}


def words(result: dict[str, Any]) -> str:
    return pairs({key: value for key, value in result.items() if value is not None})
