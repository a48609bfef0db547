"""Files for `nnictl create --config`: NNI runs the search of a run whose supernet is trained, without this command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nasrec_nni.cli.options import overrides, positive, whole
from nasrec_nni.cli.stages import gpus_override
from nasrec_nni.cli.tables import pairs
from nasrec_nni.config_file import load_config


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", type=Path, help="YAML file of the run")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the files go, made if absent")
    parser.add_argument("--run", metavar="RUN", type=Path, help="run folder with the trained supernet (DIR/run)")
    parser.add_argument("--workers", metavar="N", type=positive, default=1, help="trials at a time (1)")
    parser.add_argument("--gpus-per-worker", metavar="G", type=whole, help="as workers.gpus=G")
    parser.add_argument(
        "--machines", metavar="FILE", type=Path, help="NNI's trainingService, if trials run elsewhere (examples/nni)"
    )
    overrides(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    from nasrec_nni.experiment.config_files import write
    from nasrec_nni.experiment.doors import choose

    where = options.run or options.out / "run"
    config = load_config(options.config, (*options.overrides, *gpus_override(options)))
    config, _ = choose(config, where, "search", options.workers, here=options.machines is None)
    return write(config, where, options.out, options.workers, options.machines)


def words(result: dict[str, Any]) -> str:
    return "\n".join([pairs({key: result[key] for key in ("config", "run")}), "", "start it with:", result["start"]])
