"""Every stage that is not done yet: data, supernet, search, retrain, report. The same command resumes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nasrec_nni.cli.options import overrides, redo
from nasrec_nni.cli.stages import needs_out, run_up_to, stage_words
from nasrec_nni.cli.tables import table
from nasrec_nni.config_file import load_config


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", type=Path, help="YAML file; `nasrec ls examples` lists some")
    parser.add_argument("--out", metavar="RUN", type=Path, help="run folder, made if absent")
    parser.add_argument("--plan", action="store_true", help="tell seconds, memory and disk per stage; do no work")
    redo(parser)
    overrides(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    if options.plan:
        from nasrec_nni.pipeline.plan import plan

        return plan(load_config(options.config, tuple(options.overrides)))
    needs_out(options)
    return run_up_to(options, "report", "run")


def words(result: dict[str, Any]) -> str:
    if "assumptions" in result:
        assumed = "\n".join(f"- {line}" for line in result["assumptions"])
        warned = "".join(f"\n\nwarning: {line}" for line in result["warnings"])
        return f"{table(result['stages'])}{_budget(result)}\n\nassumed:\n{assumed}{warned}"
    return stage_words(result)


def _budget(result: dict[str, Any]) -> str:
    if "budget" not in result:
        return ""
    from nasrec_nni.pipeline.budget.foreseen import words

    return f"\n\n{words(result['budget'])}"
