"""The best candidates and the baselines from scratch, each with every seed, under one recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec_nni.analysis.leaderboard import WINNER_RULE, Result, first_eligible, standings
from nasrec_nni.architecture.json import to_json
from nasrec_nni.files import read_json, write_json
from nasrec_nni.metrics import auc, log_loss
from nasrec_nni.pipeline.budget.rounds import by_seed, told_if_early
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.final import open_test
from nasrec_nni.pipeline.models import Model, build, costs, models
from nasrec_nni.pipeline.predictions import save_predictions
from nasrec_nni.pipeline.sweep.trials import recipe_of, told
from nasrec_nni.run_folder import RunFolder, now

if TYPE_CHECKING:
    from nasrec_nni.pipeline.budget.time_budget import TimeBudget

TRAINED = "trained.json"


def retrain(context: Context) -> dict[str, Any]:
    """Train all, fix the winner by validation, then open the test split once."""
    wanted = [(model, seed) for model in models(context) for seed in context.config.retrain.seeds]
    if context.budget is not None:
        wanted = by_the_clock(context, context.budget, wanted)
    for number, (model, seed) in enumerate(wanted, 1):
        folder = context.folder.training(model.folder, seed)
        if not (folder / TRAINED).exists():
            context.say(f"retrain {number}/{len(wanted)}: {model.name}, seed {seed}")
            train(model, seed, folder, context)
    winner = fix_winner(context.folder)
    reads = open_test(context, wanted)
    return {"trained": len(wanted), "winner": winner["model"], "test_reads": reads}


def by_the_clock(context: Context, budget: TimeBudget, wanted: Sequence[tuple[Model, int]]) -> list[tuple[Model, int]]:
    """Train as many of `wanted` as there is time for, seed by seed; those that were trained."""
    done: list[tuple[Model, int]] = []
    rounds = budget.rounds(context, by_seed(wanted))
    for number, (model, seed, until) in enumerate(rounds, 1):
        folder, begun = context.folder.training(model.folder, seed), budget.now
        if not (folder / TRAINED).exists():
            context.say(f"retrain {number}/{len(wanted)}: {model.name}, seed {seed}")
            train(model, seed, folder, context, until)
            rounds.took(model, budget.now - begun)
            told_if_early(budget, context, model, seed)
        done.append((model, seed))
    return done


def train(model: Model, seed: int, folder: Path, context: Context, until: float | None = None) -> None:
    """One training; what it is and what it reached is written last.

    Args:
        model: freshly built here.
        seed: of its weights and batches.
        folder: of this training.
        context: of the run.
        until: moment of `time.monotonic` by which it is to end, if there is one.
    """
    from nasrec_nni.data.loader import labels_of
    from nasrec_nni.training.fit import fit
    from nasrec_nni.training.predict import predict

    prepared = context.prepared
    recipe = recipe_of(context.config, context.folder, model.folder)
    network = build(model, context, seed, recipe)
    found = costs(model, network, context)
    if model.architecture is not None:
        write_json(folder.parent / "architecture.json", to_json(model.architecture))
    val_rows = prepared.rows("val")
    done = fit(
        network,
        prepared,
        recipe,
        seed=seed,
        folder=folder,
        train_rows=prepared.rows("train"),
        val_rows=val_rows,
        progress=context.progress,
        tensorboard=context.folder.tensorboard / "retrain" / model.folder / f"seed-{seed}",
        device=context.config.device,
        devices=context.config.devices,
        precision=context.config.precision,
        until=until,
    )
    predictions = predict(network.to(context.device), prepared, val_rows)
    save_predictions(folder / "val.npy", predictions)
    labels, weight = labels_of(prepared, val_rows)
    result = Result(
        model=model.name,
        architecture=None if model.architecture is None else model.architecture.id,
        seed=seed,
        val_log_loss=log_loss(labels, predictions, weight),
        val_auc=auc(labels, predictions, weight),
        test_log_loss=None,
        test_auc=None,
        calibration=None,
        train_cpu_seconds=done.cpu_seconds,
        random=model.random,
        **told(context.config, context.folder, model.folder),
        **found,
    )
    write_json(folder / TRAINED, asdict(result))


def read_results(folder: RunFolder) -> list[Result]:
    """All trainings so far, with the test figures of those that have them."""
    found = []
    for path in sorted(folder.retrain.glob(f"*/seed-*/{TRAINED}")):
        test = path.with_name("test.json")
        figures = read_json(test) if test.exists() else {}
        found.append(Result(**(read_json(path) | figures)))
    return found


def fix_winner(folder: RunFolder) -> dict[str, Any]:
    """Apply the rule to the validation figures and write the winner down; once written it stands."""
    if folder.winner.exists():
        found: dict[str, Any] = read_json(folder.winner)
        return found
    first = first_eligible(standings(read_results(folder)))
    winner = {
        "rule": WINNER_RULE,
        "model": first.model,
        "architecture": first.architecture,
        "val_log_loss": first.val_log_loss.mean,
        "live_macs": first.live_macs,
        "time": now(),
    }
    write_json(folder.winner, winner)
    return winner
