"""The verbs in the order of the work. A verb's module is imported only when it is used."""

from __future__ import annotations

import argparse
import importlib
from typing import Any, Protocol, cast

VERBS = {
    "quickstart": "the whole way on the embedded click log, no download",
    "prepare": "raw click log to prepared set",
    "inspect": "say what a prepared set, a run, an exported model or an architecture file is",
    "validate": "check a config, every error at once",
    "run": "every stage that is not done yet; the same command resumes",
    "supernet": "the stages up to the trained supernet",
    "search": "the stages up to the searched supernet",
    "nni-config": "files for `nnictl create`: NNI runs the search without this command",
    "retrain": "the stages up to the retrained winners and baselines",
    "report": "leaderboard and page of a run",
    "compare": "runs on one prepared set side by side, with paired differences",
    "export": "a trained network of a run as files that need neither NNI nor Lightning",
    "predict": "click probabilities of a raw log by an exported model",
    "profile": "multiply-accumulates, parameters and latency of an architecture or an exported model",
    "draw": "picture of an architecture",
    "ls": "what is installed: plug-ins with their package, examples",
    "cp": "copy an example to start from: a config, or a package with a plug-in",
    "doctor": "is this machine fit, and what earlier runs have left running",
}


class Verb(Protocol):
    """What each module of this folder offers."""

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare its arguments."""

    def run(self, options: argparse.Namespace) -> dict[str, Any]:
        """Do the work; the result is what `--json` prints."""

    def words(self, result: dict[str, Any]) -> str:
        """The same result for people."""


def load(name: str) -> Verb:
    """The module of a verb."""
    return cast(Verb, importlib.import_module(f"nasrec_nni.cli.verbs.{name.replace('-', '_')}"))
