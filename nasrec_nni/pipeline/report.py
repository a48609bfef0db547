"""Tables and page of a run, always written anew from what the stages have left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nasrec_nni.analysis.leaderboard import Standing, standings, write_leaderboard, write_results
from nasrec_nni.analysis.paired import RowDifference
from nasrec_nni.analysis.verdict import judged_rows, reference, verdict
from nasrec_nni.config_file import load_config
from nasrec_nni.errors import UserError
from nasrec_nni.files import read_json
from nasrec_nni.pipeline import staleness
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.final import losses_on_test, weight_on_test
from nasrec_nni.pipeline.hparams import write_hparams
from nasrec_nni.pipeline.page import write_page
from nasrec_nni.pipeline.retrain import read_results
from nasrec_nni.pipeline.sweep.trials import recipe_of
from nasrec_nni.run_folder import RunFolder


def report(context: Context) -> dict[str, Any]:
    """`results.csv`, `leaderboard.csv`, `report/index.html`, TensorBoard's HParams; the leaderboard as values."""
    folder = context.folder
    results = read_results(folder)
    table = standings(results)
    write_results(results, folder.results)
    write_leaderboard(table, folder.leaderboard)
    rows = over_rows(context, table)
    write_page(context, table, rows)
    recipes = {one.model: recipe_of(context.config, folder, one.architecture or one.model) for one in table}
    write_hparams(folder, table, {name: recipe.model_dump(mode="json") for name, recipe in recipes.items()})
    winner = read_json(folder.winner)
    return {
        "winner": winner["model"],
        "verdict": verdict(table, judged_rows(table, rows)).headline,
        "leaderboard": [_line(rank, standing) for rank, standing in enumerate(table, 1)],
        "leaderboard_csv": str(folder.leaderboard),
        "results_csv": str(folder.results),
        "page": str(folder.page),
    }


def _recipe(context: Context, standing: Standing) -> dict[str, Any]:
    """What a model was trained with."""
    name = standing.architecture or standing.model
    return recipe_of(context.config, context.folder, name).model_dump(mode="json")


def over_rows(context: Context, table: Sequence[Standing]) -> dict[int, RowDifference]:
    """Each model against the reference over the test rows, by its place; only those with predictions at hand."""
    base = reference(table)
    found = {
        at: row_difference(context, (context.folder, one, one.model), (context.folder, base, base.model))
        for at, one in enumerate(table)
        if one is not base
    }
    return {at: difference for at, difference in found.items() if difference is not None}


def row_difference(
    context: Context, first: tuple[RunFolder, Standing, str], second: tuple[RunFolder, Standing, str]
) -> RowDifference | None:
    """Losses of two models row by row on the test split, averaged over common seeds; None before it was opened.

    Args:
        context: of a run on the same prepared set.
        first: its run, standing and name in that run.
        second: the same of the other.
    """
    seeds = sorted({*first[1].seeds} & {*second[1].seeds})
    places = [
        [folder.training(one.architecture or name, seed) / "test.npy" for seed in seeds]
        for folder, one, name in (first, second)
    ]
    if not seeds or not all(path.exists() for paths in places for path in paths):
        return None
    losses = [np.mean([losses_on_test(context, np.load(path)) for path in paths], axis=0) for paths in places]
    return RowDifference.of(losses[0] - losses[1], weight_on_test(context))


def report_again(path: Path) -> dict[str, Any]:
    """The same for a finished run, under its lock.

    Raises:
        UserError: not a run, or its models are not trained yet.
    """
    folder = RunFolder.open(path)
    record = staleness.read_record(folder, "retrain")
    if record is None or record["state"] != "done":
        raise UserError(
            "the models of this run are not trained yet", where=str(path), hint="`nasrec run CONFIG --out RUN` goes on"
        )
    with folder.locked("report"):
        clock = staleness.Clock()
        found = report(Context(load_config(folder.config), folder))
        return {"run": str(path), "stages": [{"stage": "report", "state": "ran"} | clock.read()]} | found


def _line(rank: int, standing: Standing) -> dict[str, Any]:
    def mean(name: str) -> float | None:
        figure = getattr(standing, name)
        return None if figure is None else figure.mean

    def deviation(name: str) -> float | None:
        figure = getattr(standing, name)
        return None if figure is None else figure.deviation

    return {
        "rank": rank,
        "model": standing.model,
        "architecture": standing.architecture,
        "seeds": list(standing.seeds),
        "val_log_loss": mean("val_log_loss"),
        "val_log_loss_deviation": deviation("val_log_loss"),
        "test_log_loss": mean("test_log_loss"),
        "test_log_loss_deviation": deviation("test_log_loss"),
        "test_auc": mean("test_auc"),
        "live_macs": standing.live_macs,
        "parameters": standing.parameters,
    } | ({"trials": standing.trials, "recipe": standing.recipe} if standing.trials else {})
