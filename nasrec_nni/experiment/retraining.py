"""`nasrec retrain CONFIG --out RUN --workers N`: one trial a training, of one model with one seed.

What counts is the `trained.json` of each training in the run folder; the winner and the test split are the command's.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from nasrec_nni.errors import UserError
from nasrec_nni.experiment.door import AGAIN
from nasrec_nni.experiment.gpus import refuse_endless_wait, service
from nasrec_nni.experiment.launch import Plan, Running, failed_trials, last_lines, running
from nasrec_nni.experiment.supervisor import trial_command
from nasrec_nni.pipeline import retrain as in_process
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.models import Model, models

LOOK = 0.5  # seconds
ATTEMPTS = 2  # of a training whose worker ended without a result
SETTLE = 20.0  # seconds for NNI to note that the last trial has ended well, once its result is there
Wanted = list[tuple[Model, int]]


def retrain(context: Context, workers: int) -> dict[str, Any]:
    """Train what is not trained yet by workers, then go on as the stage in one process does.

    Raises:
        UserError: a training failed, or NNI's manager ended.
    """
    refuse_endless_wait(context.config.workers, workers)  # again: GPUs may have been taken since the command began
    if left := untrained(context):
        with running(plan(context, workers, left)) as experiment:
            context.say(
                f"retrain: {workers} workers; watch them on {experiment.url} (anyone on this machine who opens this "
                "address can read, change and stop this experiment: NNI has no login; --no-web trains without it)"
            )
            _watch(context, experiment)
    return in_process.retrain(context)


def wanted(context: Context) -> Wanted:
    """Every model with every seed, in the order of the stage."""
    return [(model, seed) for model in models(context) for seed in context.config.retrain.seeds]


def untrained(context: Context) -> Wanted:
    """Those that are not done."""
    folder = context.folder
    return [
        (model, seed)
        for model, seed in wanted(context)
        if not (folder.training(model.folder, seed) / in_process.TRAINED).exists()
    ]


def plan(context: Context, workers: int, left: Wanted) -> Plan:
    """The experiment of these trainings."""
    import shlex

    folder, config = context.folder, context.config
    run = str(folder.path.resolve())
    names = list(dict.fromkeys(model.name for model, _ in left))
    return Plan(
        name=f"retrain {folder.path.name}",
        folder=(folder.retrain / ".nni").resolve(),
        search_space={
            "model": {"_type": "choice", "_value": names},
            "seed": {"_type": "choice", "_value": list(config.retrain.seeds)},
        },
        trial=f"exec {shlex.quote(trial_command())} --train {shlex.quote(run)}",
        workers=workers,
        tuner="nasrec_nni.experiment.list_tuner.ListTuner",
        tuner_arguments={
            "trials": [{"model": model.name, "seed": seed} for model, seed in left],
            "attempts": ATTEMPTS,
            "optimize_mode": "minimize",
        },
        service=service(config.workers),
        gpus=config.workers.gpus,
    )


def _watch(context: Context, experiment: Running) -> None:
    failures: dict[str, str] = {}
    left = len(untrained(context))
    done_at: float | None = None
    with tqdm(
        total=left, desc="retrain", unit="training", file=sys.stderr, disable=not context.progress, leave=False
    ) as bar:
        while True:
            now = len(untrained(context))
            bar.update(left - now - bar.n)
            if now == 0:
                done_at = time.monotonic() if done_at is None else done_at
                if experiment.quiet() or experiment.ended is not None or time.monotonic() - done_at > SETTLE:
                    return
                time.sleep(LOOK)
                continue
            if (status := experiment.ended) is not None:
                how = f"signal {-status}" if status < 0 else f"exit status {status}"
                raise UserError(f"NNI's manager ended ({how}) before all was trained", hint=AGAIN)
            for trial in failed_trials(experiment):
                if trial not in failures:
                    failures[trial] = last_lines(experiment, trial)
                    context.say(f"trial {trial} failed" + (f":\n{failures[trial]}" if failures[trial] else ""))
            if len(failures) >= ATTEMPTS * left:
                last = list(failures.values())[-1]
                raise UserError(f"every training failed, the last one with:\n{last}", hint=AGAIN)
            if experiment.quiet() and len(untrained(context)):
                raise UserError(f"{len(untrained(context))} trainings failed {ATTEMPTS} times", hint=AGAIN)
            time.sleep(LOOK)
