"""What run, supernet, search and retrain share: load, check, work up to one stage, tell."""

from __future__ import annotations

import argparse
from typing import Any

from nasrec_nni.cli.tables import pairs, table
from nasrec_nni.config_file import load_config
from nasrec_nni.errors import UserError


def run_up_to(options: argparse.Namespace, last: str, command: str) -> dict[str, Any]:
    """All stages up to `last` that are not done yet."""
    from nasrec_nni.pipeline.run import run_stages

    config = load_config(options.config, tuple(options.overrides))
    return run_stages(config, options.out, last, command=command, redo=options.redo)


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
