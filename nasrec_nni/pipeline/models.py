"""The models of the last stages: searched architectures and hand-made ones, built alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasrec_nni.architecture.value import Architecture
from nasrec_nni.config import Recipe
from nasrec_nni.errors import UserError
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.search import read_records
from nasrec_nni.pipeline.space import random_architectures
from nasrec_nni.pipeline.sweep.trials import recipe_of
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import profile
from nasrec_nni.strategies.search import best

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Model:
    """One row of the leaderboard.

    Args:
        name: for people: `nasrec-small-1` is the best candidate of the search.
        folder: below RUN/retrain: the architecture's id, or the baseline's name.
        architecture: None for a hand-made model.
        random: a random architecture, trained to compare with.
    """

    name: str
    folder: str
    architecture: Architecture | None = None
    random: bool = False


def models(context: Context) -> list[Model]:
    """The best candidates of the search, random architectures to compare with, then the baselines.

    Raises:
        UserError: no candidate of the search has a value, or the space is too small.
    """
    config = context.config
    top = best(read_records(context.folder), config.retrain.top_k) if config.retrain.top_k else []
    if config.retrain.top_k and not top:
        raise UserError(
            "no candidate of the search has a value, so there is nothing to retrain",
            where=str(context.folder.candidates),
            hint="The failures are written there",
        )
    searched = [Model(f"{config.space.name}-{rank}", r.id, r.architecture) for rank, r in enumerate(top, 1)]
    known = {model.folder for model in searched}
    drawn = random_architectures(context.space, config.seed, config.retrain.random, known)
    compared = [Model(f"random-{number}", a.id, a, random=True) for number, a in enumerate(drawn, 1)]
    return [*searched, *compared, *(Model(name, name) for name in config.retrain.baselines)]


def build(model: Model, context: Context, seed: int, recipe: Recipe | None = None) -> nn.Module:
    """A fresh network; the same seed gives the same weights.

    Args:
        model: searched or hand-made.
        context: of the run.
        seed: of the weights.
        recipe: dropout, start and gradients of the table; the model's own unless given.
    """
    import torch

    recipe = recipe_of(context.config, context.folder, model.folder) if recipe is None else recipe
    torch.manual_seed(seed)
    if model.architecture is not None:
        return _searched(model.architecture, context, recipe)
    return _baseline(model.name, context, recipe)


def _searched(architecture: Architecture, context: Context, recipe: Recipe) -> nn.Module:
    from nasrec_nni.network import NASRecNetwork, TableSettings
    from nasrec_nni.operators.optimizers import sparse_gradients_for

    config = context.config.retrain
    table = TableSettings(
        context.prepared.rows_per_field,
        sparse_gradients_for(recipe),
        recipe.embedding_init,
        config.max_rows_per_field,
        context.prepared.lengths,
    )
    return NASRecNetwork(architecture, context.sizes(config.layer_norm), table, recipe.dropout)


def _baseline(name: str, context: Context, recipe: Recipe) -> nn.Module:
    from nasrec_nni.baselines.settings import BaselineSettings
    from nasrec_nni.operators.optimizers import sparse_gradients_for

    config = context.config.retrain
    settings = BaselineSettings(
        embedding=context.space.embedding,
        embedding_init=recipe.embedding_init,
        sparse_gradients=sparse_gradients_for(recipe),
        dropout=recipe.dropout,
        max_rows_per_field=config.max_rows_per_field,
        lengths=context.prepared.lengths,
    )
    options = config.baseline_options.get(name, {})
    prepared = context.prepared
    built: nn.Module = registry("baselines").load(name)(
        prepared.dense_width, prepared.rows_per_field, settings, **options
    )
    return built


def costs(model: Model, network: nn.Module, context: Context) -> dict[str, Any]:
    """`live_macs` a row, `parameters` without tables, `all_parameters` with them."""
    every = sum(weight.numel() for weight in network.parameters())
    if model.architecture is not None:
        found = profile(model.architecture, context.sizes(context.config.retrain.layer_norm))
        return {"live_macs": found.live_macs, "parameters": found.live_parameters, "all_parameters": every}
    from nasrec_nni.baselines.cost import count

    counted = count(network, context.prepared.dense_width, sum(context.prepared.lengths))
    return {"live_macs": counted.macs, "parameters": counted.parameters, "all_parameters": every}
