"""Door 2: `nasrec search CONFIG --out RUN --workers N`. The command holds the run, NNI runs the trials."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from typing import Any

from tqdm import tqdm

from nasrec_nni.errors import UserError
from nasrec_nni.experiment import rest
from nasrec_nni.experiment.gpus import refuse_endless_wait, service
from nasrec_nni.experiment.launch import Plan, Running, failed_trials, last_lines, running
from nasrec_nni.experiment.scored import STOPPED
from nasrec_nni.experiment.shown import search_space
from nasrec_nni.experiment.supervisor import trial_command
from nasrec_nni.files import read_json
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.search import read_records, told

LOOK = 0.2  # seconds between two looks at the candidates
ASK = 1.0  # seconds between two questions to the manager
AGAIN = "Run the same command again: it goes on where this one stopped"


def search(context: Context, workers: int) -> dict[str, Any]:
    """Run the experiment until every candidate has a record.

    Raises:
        UserError: the search was given up, or NNI's manager ended.
    """
    folder = context.folder
    refuse_endless_wait(context.config.workers, workers)  # again: GPUs may have been taken since the command began
    (folder.search / STOPPED).unlink(missing_ok=True)
    with running(plan(context, workers)) as experiment:
        context.say(
            f"search: {workers} workers; watch it on {experiment.url} (anyone on this machine who opens this address "
            "can read, change and stop this experiment: NNI has no login; --no-web searches without it)"
        )
        _watch(context, experiment)
    return told(context, read_records(folder))


def plan(context: Context, workers: int) -> Plan:
    """The experiment of this search."""
    folder, config = context.folder, context.config
    run = str(folder.path.resolve())
    return Plan(
        name=f"search {folder.path.name}",
        folder=(folder.search / "nni").resolve(),
        search_space=search_space(context.space),
        trial=f"exec {shlex.quote(trial_command())} {shlex.quote(run)}",
        workers=workers,
        tuner="nasrec_nni.experiment.tuner.SearchTuner",
        tuner_arguments={"run": run, "owned": True, "optimize_mode": "minimize"},
        service=service(config.workers),
        gpus=config.workers.gpus,
    )


def _watch(context: Context, experiment: Running) -> None:
    folder = context.folder
    told_of: set[str] = set()
    asked = 0.0
    with tqdm(
        total=context.config.search.candidates,
        desc="search",
        unit="candidate",
        file=sys.stderr,
        disable=not context.progress,
        leave=False,
    ) as bar:
        while True:
            bar.update(_lines(context) - bar.n)
            if (folder.search / STOPPED).exists():
                _tell_failed(context, experiment, told_of)
                reason = read_json(folder.search / STOPPED)["reason"]
                raise UserError(f"the search stops: {reason}", hint="Mend the cause and run the same command again")
            if (status := experiment.ended) is not None:
                how = f"signal {-status}" if status < 0 else f"exit status {status}"
                raise UserError(f"NNI's manager ended ({how}) before the search was over", hint=AGAIN)
            if time.monotonic() - asked >= ASK:
                asked = time.monotonic()
                _tell_failed(context, experiment, told_of)
                with contextlib.suppress(OSError, KeyError, TypeError):
                    state = rest.status(experiment.port)
                    if state == "DONE":
                        bar.update(_lines(context) - bar.n)
                        return
                    if state == "ERROR" and not (folder.search / STOPPED).exists():
                        raise UserError(f"NNI's manager reports an error, see {experiment.folder}", hint=AGAIN)
            time.sleep(LOOK)


def _lines(context: Context) -> int:
    try:
        return context.folder.candidates.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _tell_failed(context: Context, experiment: Running, told_of: set[str]) -> None:
    for trial in failed_trials(experiment):
        if trial not in told_of:
            told_of.add(trial)
            lines = last_lines(experiment, trial)
            context.say(f"trial {trial} failed" + (f":\n{lines}" if lines else " without a word"))
