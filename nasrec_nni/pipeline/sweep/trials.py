"""`RUN/sweep/MODEL/trials.jsonl`: what was tried for each model, a line a trial, and the recipe that came out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nasrec_nni.config import Config, Recipe
from nasrec_nni.errors import UserError
from nasrec_nni.files import append_line, read_lines
from nasrec_nni.pipeline.sweep.space import changed
from nasrec_nni.run_folder import RunFolder


@dataclass(frozen=True)
class Trial:
    """One training of one model with one recipe.

    Args:
        number: from 1; the first one is the recipe of the config, unchanged.
        recipe: the keys that were varied, with their values.
        val_log_loss: of its best epoch; None if it failed.
        val_auc: of the same epoch; None if it does not exist.
        epochs: trained.
        seconds: by the clock.
        cpu_seconds: of all processes.
        failure: why it has no result.
    """

    number: int
    recipe: dict[str, Any]
    val_log_loss: float | None
    val_auc: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    failure: str | None = None


def read(folder: RunFolder, model: str) -> list[Trial]:
    """Those that are done, in order; `model` is the folder's name.

    Raises:
        UserError: a line is not a trial, or not the next one.
    """
    path = folder.trials(model)
    found = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            trial = Trial(**line)
        except TypeError:
            raise UserError("not a trial", where=f"{path}:{number}", hint=f"Remove {path.parent}") from None
        if trial.number != number:
            raise UserError(
                "trials are not in order", value=trial.number, where=f"{path}:{number}", allowed=str(number)
            )
        found.append(trial)
    return found


def keep(folder: RunFolder, model: str, trial: Trial) -> None:
    """On disk when this returns."""
    append_line(folder.trials(model), asdict(trial))


def best(trials: Sequence[Trial]) -> Trial | None:
    """Lowest validation log loss; the earlier one of two alike; None if none has a result."""
    scored = [(trial.val_log_loss, trial.number, trial) for trial in trials if trial.val_log_loss is not None]
    return min(scored)[2] if scored else None


def recipe_of(config: Config, folder: RunFolder, model: str) -> Recipe:
    """How a model is trained: its own best recipe, or the config's where nothing was swept.

    Raises:
        UserError: its trials are not done.
    """
    recipe, sweep = config.retrain.recipe, config.retrain.sweep
    if sweep is None:
        return recipe
    done = read(folder, model)
    chosen = best(done)
    if chosen is None or len(done) < sweep.trials:
        raise UserError(
            f"has {len(done)} of {sweep.trials} trials of its recipe",
            where=str(folder.trials(model)),
            hint="`nasrec retrain CONFIG --out RUN` goes on with them",
        )
    return changed(recipe, chosen.recipe)


def told(config: Config, folder: RunFolder, model: str) -> dict[str, Any]:
    """For the tables: how many trials a model had and what came out of them."""
    if config.retrain.sweep is None:
        return {}
    done = read(folder, model)
    chosen = best(done)
    return {"trials": len(done), "recipe": words(chosen.recipe) if chosen is not None else None}


def words(changes: dict[str, Any]) -> str:
    """`learning_rate 0.0031, dropout 0.12`."""
    return ", ".join(
        f"{key} {value:.3g}" if type(value) is float else f"{key} {value}" for key, value in changes.items()
    )
