"""A trained network of a run as a folder of files: weights, preprocessing, ONNX, model card."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nasrec_nni.cli.options import whole
from nasrec_nni.cli.tables import pairs, table

FORMATS = ("onnx", "program")
INTERRUPTED = "nothing is left of the unfinished model, the same command starts over"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run folder whose models are trained")
    parser.add_argument("--out", metavar="MODEL", type=Path, required=True, help="folder to make")
    parser.add_argument(
        "--model", metavar="ID|NAME", help="architecture id or name in the leaderboard; the winner if not given"
    )
    parser.add_argument(
        "--seed", metavar="K", type=whole, help="training to take; the lowest validation log loss if not given"
    )
    parser.add_argument(
        "--skip",
        metavar="FORMAT",
        action="append",
        choices=FORMATS,
        default=[],
        help="leave out onnx (model.onnx) or program (torch.export, model.pt2); may stand twice",
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    from nasrec_nni.pipeline.export import export_run

    return export_run(options.run, options.out, options.model, options.seed, options.skip)


def words(result: dict[str, Any]) -> str:
    keys = ("model", "name", "kind", "id", "seed", "seed_rule", "winner", "val_log_loss", "test_log_loss")
    parts = [pairs({key: result[key] for key in keys}), ""]
    parts.append(table([{"file": name, "bytes": size} for name, size in result["files"].items()]))
    checked = result["checked"].items()
    parts += [
        f"{name}: scores differ by at most {one['largest_difference']:.1e} from training's" for name, one in checked
    ]
    parts += [f"{name} not written: {reason}" for name, reason in result["left_out"].items()]
    return "\n".join(parts)
