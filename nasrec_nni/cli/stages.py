"""What run, supernet, search and retrain share: load, check, work up to one stage, tell."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from nasrec_nni.cli.tables import pairs, table
from nasrec_nni.config_file import load_config
from nasrec_nni.errors import UserError

if TYPE_CHECKING:
    from nasrec_nni.config import Config
    from nasrec_nni.pipeline.run import Action


def run_up_to(options: argparse.Namespace, last: str, command: str) -> dict[str, Any]:
    """All stages up to `last` that are not done yet."""
    began = time.monotonic()  # a time budget counts what loading takes
    from nasrec_nni.pipeline.run import run_stages

    config = load_config(options.config, (*options.overrides, *gpus_override(options)))
    config, actions = _doors(config, options, last)
    return run_stages(config, options.out, last, command=command, redo=options.redo, actions=actions, began=began)


def gpus_override(options: argparse.Namespace) -> list[str]:
    """`--gpus-per-worker` as a change to the config."""
    given = getattr(options, "gpus_per_worker", None)
    return [] if given is None else [f"workers.gpus={given}"]


def _doors(config: Config, options: argparse.Namespace, last: str) -> tuple[Config, dict[str, Action]]:
    """Who does the search, and the trainings from scratch; the config with what follows from it."""
    from nasrec_nni.experiment.doors import choose

    if not getattr(options, "no_web", False):
        return choose(config, options.out, last, getattr(options, "workers", None))
    if options.workers is not None:
        raise UserError(
            "--no-web works in one process, without NNI's workers", value=options.workers, where="--workers"
        )
    return choose(config, options.out, last, None)


def needs_out(options: argparse.Namespace) -> None:
    """Raises UserError where `--out` was left away."""
    if options.out is None:
        raise UserError("--out RUN is needed", hint="Name the folder of the run; --plan alone needs none")


def stage_words(result: dict[str, Any]) -> str:
    """The stages with what they said, then the leaderboard if there is one."""
    parts = [table(result["stages"], ("stage", "state", "seconds"))]
    if "leaderboard" in result:
        parts += ["", table(result["leaderboard"]), "", pairs({"winner": result["winner"], "page": result["page"]})]
    return "\n".join(parts)
