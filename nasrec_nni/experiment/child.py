"""The process that scores: loads supernet and data once, then takes a candidate a line and answers with its record.

It may be killed at any moment; whoever started it (the supervisor) draws the conclusions.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasrec_nni.architecture.json import from_json
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.config_file import load_config
from nasrec_nni.errors import UserError
from nasrec_nni.experiment.orphans import die_with_parent
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.search import Scorer, read_records, scorer
from nasrec_nni.run_folder import RunFolder
from nasrec_nni.strategies.search import Record, run_search


class _Once:
    """A search of one candidate, so that one function makes records in every door."""

    def __init__(self, architecture: Architecture) -> None:
        self._architecture = architecture

    def ask(self) -> Architecture | None:
        return self._architecture

    def tell(
        self,
        architecture: Architecture,
        value: float | None,
        failure: str | None = None,
        values: tuple[float, ...] | None = None,
    ) -> None:
        """Nothing is learnt."""


def main(run: str, answers: int) -> int:
    """Serve until standard input ends.

    Args:
        run: the run folder.
        answers: file descriptor of the lines that go back.
    """
    die_with_parent()
    with os.fdopen(answers, "w") as stream:

        def say(content: dict[str, Any]) -> None:
            stream.write(json.dumps(content, allow_nan=False) + "\n")
            stream.flush()

        try:
            context, score, done = _load(Path(run))
        except UserError as error:
            say({"problem": error.message})
            return 2
        _limit_memory(context.config.workers.candidate_memory_mib)
        gc.freeze()
        gc.enable()
        say({"ready": True, "candidate_seconds": context.config.workers.candidate_seconds})
        for line in sys.stdin:
            asked = json.loads(line)
            say({"record": _record(context, score, done, asked).as_json()})
    return 0


def _load(run: Path) -> tuple[Context, Scorer, list[Record]]:
    folder = RunFolder.open(run)
    context = Context(load_config(folder.config), folder, progress=False)
    context.set_threads()
    done: list[Record] = []
    return context, scorer(context, done), done


def _record(context: Context, score: Scorer, done: list[Record], asked: dict[str, Any]) -> Record:
    architecture, number = from_json(asked["architecture"], "candidate"), asked["number"]
    if context.config.search.early_rejection is not None:
        done[:] = read_records(context.folder)  # it is compared with the best of those told when it was asked
    score.number = number
    (record,) = run_search(_Once(architecture), score, budget=1)
    return replace(record, number=number)


def _limit_memory(mib: int | None) -> None:
    """Private memory this process may have from here on: what it has now, and so much more."""
    if mib is None:
        return
    import resource

    limit = _data_bytes() + mib * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _data_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
