"""Which network of a run is exported, and what is known of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec_nni.analysis.leaderboard import FIGURES, WINNER_RULE, Result, Standing, standings
from nasrec_nni.config_file import load_config
from nasrec_nni.errors import UserError, nearest
from nasrec_nni.files import read_json, sha256
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.models import Model
from nasrec_nni.pipeline.retrain import read_results
from nasrec_nni.pipeline.sweep.trials import recipe_of
from nasrec_nni.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Collection

    from nasrec_nni.config import Recipe

SEED_RULE = "the lowest validation log loss of its seeds"


def export_run(
    path: Path, out: Path, model: str | None = None, seed: int | None = None, skip: Collection[str] = ()
) -> dict[str, Any]:
    """Export a network of a finished run.

    Args:
        path: the run.
        out: the folder to make.
        model: name in the leaderboard, or id of an architecture or its beginning; None for the winner.
        seed: of the training; None for the one with the lowest validation log loss.
        skip: programs that are not written.

    Raises:
        UserError: not a run, nothing trained yet, no such model or seed, weights that were changed, or `out` is taken.
    """
    from nasrec_nni.export.write import Trained, check_free, write_model

    check_free(out)
    folder = RunFolder.open(path)
    table = standings(read_results(folder))
    if not table or not folder.winner.exists():
        raise UserError(
            "the models of this run are not trained yet", where=str(path), hint="`nasrec run CONFIG --out RUN` goes on"
        )
    winner = read_json(folder.winner)
    chosen = _chosen(table, model or winner["architecture"] or winner["model"], path)
    result = _of_seed(chosen, seed, path)
    context = Context(load_config(folder.config), folder)
    training = folder.training(chosen.architecture or chosen.model, result.seed)
    weights = training / "model.safetensors"
    if not weights.exists() or sha256(weights) != read_json(training / "result.json")["sha256"]:
        raise UserError("the weights do not match their hash", where=str(weights), hint=f"Remove {training}")
    recipe = recipe_of(context.config, folder, training.parent.name)
    facts = _facts(context, chosen, result, winner, seed) | {"recipe": recipe.model_dump(mode="json")}
    trained = Trained(chosen.model, _description(_model(chosen, training), context, recipe), weights, facts)
    manifest = write_model(out, trained, context.prepared, skip)
    return {
        "model": str(out),
        "name": chosen.model,
        "kind": chosen.kind,
        "id": chosen.architecture,
        "seed": result.seed,
        "seed_rule": facts["run"]["seed_rule"],
        "winner": facts["run"]["is_winner"],
        "val_log_loss": result.val_log_loss,
        "test_log_loss": result.test_log_loss,
        "files": {name: entry["bytes"] for name, entry in manifest["files"].items()},
        "checked": manifest["checked"],
        "left_out": manifest["left_out"],
    }


def _chosen(table: list[Standing], wanted: str, path: Path) -> Standing:
    exact = [one for one in table if wanted in (one.model, one.architecture)]
    found = exact or [
        one for one in table if one.architecture and len(wanted) > 3 and one.architecture.startswith(wanted)
    ]
    if len(found) == 1:
        return found[0]
    names = [one.model if one.architecture is None else f"{one.model} ({one.architecture})" for one in table]
    raise UserError(
        "several models have an id that begins so" if found else "no such model in this run",
        value=wanted,
        where=str(path),
        allowed=", ".join(names),
        hint=nearest(wanted, [name for one in table for name in (one.model, one.architecture) if name]),
    )


def _of_seed(chosen: Standing, seed: int | None, path: Path) -> Result:
    if seed is None:
        return min(chosen.results, key=lambda result: (result.val_log_loss, result.seed))
    for result in chosen.results:
        if result.seed == seed:
            return result
    raise UserError(
        f"{chosen.model} was not trained with this seed",
        value=seed,
        where=str(path),
        allowed=", ".join(map(str, chosen.seeds)),
    )


def _model(chosen: Standing, training: Path) -> Model:
    from nasrec_nni.architecture.json import load_architecture

    if chosen.architecture is None:
        return Model(chosen.model, chosen.model)
    architecture = load_architecture(training.parent / "architecture.json")
    return Model(chosen.model, chosen.architecture, architecture, chosen.kind == "random")


def _description(model: Model, context: Context, recipe: Recipe) -> dict[str, Any]:
    """What `models.build` makes, as plain values."""
    from nasrec_nni.baselines.settings import BaselineSettings
    from nasrec_nni.export.description import hand_made, searched
    from nasrec_nni.network import TableSettings

    config, prepared = context.config.retrain, context.prepared
    cap, lengths = config.max_rows_per_field, prepared.lengths
    if model.architecture is not None:
        table = TableSettings(prepared.rows_per_field, max_rows_per_field=cap, lengths=lengths)
        return searched(model.architecture, context.sizes(config.layer_norm), table)
    settings = BaselineSettings(
        embedding=context.space.embedding, dropout=recipe.dropout, max_rows_per_field=cap, lengths=lengths
    )
    options = config.baseline_options.get(model.name, {})
    return hand_made(model.name, prepared.dense_width, prepared.rows_per_field, settings, options)


def _facts(
    context: Context, chosen: Standing, result: Result, winner: dict[str, Any], seed: int | None
) -> dict[str, Any]:
    folder = context.folder
    manifest = folder.read_manifest()
    figures = {key: value for key, value in asdict(result).items() if key not in ("model", "architecture", "random")}
    means = {name: getattr(chosen, name) for name in FIGURES}
    return {
        "seed": result.seed,
        "figures": figures,
        "over_seeds": {name: None if figure is None else figure.text(5) for name, figure in means.items()},
        "run": {
            "name": folder.path.resolve().name,
            "made": manifest["made"],
            "commit": manifest["commit"],
            "hardware": manifest["hardware"],
            "test_reads": manifest["test_reads"],
            "seeds": list(chosen.seeds),
            "seed_rule": SEED_RULE if seed is None else "as asked for",
            "winner": winner["model"],
            "is_winner": (chosen.model, chosen.architecture) == (winner["model"], winner["architecture"]),
            "rule": winner.get("rule", WINNER_RULE),
        },
    }
