"""The stage between search and retraining: every model gets the same number of trials to find its recipe."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from nasrec_nni.config import SweepConfig
from nasrec_nni.errors import UserError
from nasrec_nni.files import sweep as remove_leftovers
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.models import Model, build, models
from nasrec_nni.pipeline.sweep import trials
from nasrec_nni.pipeline.sweep.proposals import proposal
from nasrec_nni.pipeline.sweep.space import Dimension, changed, dimensions
from nasrec_nni.pipeline.sweep.trials import Trial


def sweep(context: Context) -> dict[str, Any]:
    """Try what is not tried yet, model by model. Training and validation rows only; the test split stays closed.

    Raises:
        UserError: no trial of a model has a result.
    """
    settings = context.config.retrain.sweep
    assert settings is not None
    space = dimensions(settings.space, context.config.retrain.recipe)
    wanted = models(context)
    for number, model in enumerate(wanted, 1):
        _model(model, f"{number}/{len(wanted)}", space, settings, context)
    return {"models": len(wanted), "trials": len(wanted) * settings.trials, "trials_each": settings.trials}


def _model(model: Model, which: str, space: list[Dimension], settings: SweepConfig, context: Context) -> None:
    recipe = context.config.retrain.recipe
    done = trials.read(context.folder, model.folder)
    shutil.rmtree(_work(context, model, len(done)), ignore_errors=True)  # of a trial that a kill found written down
    while len(done) < settings.trials:
        changes = proposal(space, recipe, done, settings.seed)
        number = len(done) + 1
        context.say(f"sweep {which}: {model.name}, trial {number}/{settings.trials}: {trials.words(changes)}")
        trial = _train(model, Trial(number, changes, None), settings.seed, context)
        trials.keep(context.folder, model.folder, trial)
        shutil.rmtree(_work(context, model, number), ignore_errors=True)
        done.append(trial)
    if trials.best(done) is None:
        raise UserError(
            f"every trial of {model.name} failed, the last one with: {done[-1].failure}",
            where=str(context.folder.trials(model.folder)),
            hint="Sweep over lower learning rates",
        )


def _train(model: Model, trial: Trial, seed: int, context: Context) -> Trial:
    """The trial with what it came to. A killed training goes on from its checkpoint; weights are not kept."""
    from nasrec_nni.training.fit import fit
    from nasrec_nni.training.keeper import Diverged

    prepared, config = context.prepared, context.config
    recipe = changed(config.retrain.recipe, trial.recipe)
    folder = _work(context, model, trial.number)
    remove_leftovers(folder)
    try:
        found = fit(
            build(model, context, seed, recipe),
            prepared,
            recipe,
            seed=seed,
            folder=folder,
            train_rows=prepared.rows("train"),
            val_rows=prepared.rows("val"),
            progress=context.progress,
            tensorboard=context.folder.tensorboard / "sweep" / model.folder / f"trial-{trial.number}",
            device=config.device,
            devices=config.devices,
            precision=config.precision,
        )
    except Diverged as error:
        context.say(f"trial {trial.number} of {model.name} failed: {error.what}")
        return Trial(trial.number, trial.recipe, None, failure=error.what)
    return Trial(
        trial.number,
        trial.recipe,
        found.val_log_loss,
        found.val_auc,
        found.epochs,
        found.wall_seconds,
        found.cpu_seconds,
    )


def _work(context: Context, model: Model, number: int) -> Path:
    """Where the training of a trial lies while it runs."""
    return context.folder.trials(model.folder).parent / f"trial-{number}"
