"""The optimizer of a recipe."""

from __future__ import annotations

from typing import Any

from torch import nn

from nasrec_nni.config import Recipe
from nasrec_nni.operators.embedding import FusedEmbedding
from nasrec_nni.operators.optimizers.adagrad import Adagrad
from nasrec_nni.operators.optimizers.adam import Adam
from nasrec_nni.operators.optimizers.base import TouchedOptimizer
from nasrec_nni.operators.slices import SliceTape


def sparse_gradients_for(recipe: Recipe) -> bool:
    """Which gradients the tables of a network under this recipe must make.

    L2 on the whole table (`embedding_l2_scope: table`) moves every row at every step, so it needs dense ones.
    """
    return not (recipe.embedding_l2 > 0 and recipe.embedding_l2_scope == "table")


def build_optimizer(module: nn.Module, recipe: Recipe, tape: SliceTape | None = None) -> TouchedOptimizer:
    """One optimizer for everything trainable: tables in a group of their own, with their rule, rate and L2.

    Args:
        module: any network; its tables are its `FusedEmbedding`s.
        recipe: optimizers, rates, epsilons, clip and L2.
        tape: where the model's slices are recorded.

    Raises:
        ValueError: with L2 on, a table makes the other kind of gradient than `sparse_gradients_for` says.
    """
    tables = []
    for name, part in module.named_modules():
        if isinstance(part, FusedEmbedding):
            if recipe.embedding_l2 and part.sparse != sparse_gradients_for(recipe):
                made = "sparse" if part.sparse else "dense"
                raise ValueError(f"{name}: {made} gradients cannot have L2 of scope {recipe.embedding_l2_scope}")
            tables.append(part.weight)
    of_tables = {id(weight) for weight in tables}
    rest = [p for p in module.parameters() if p.requires_grad and id(p) not in of_tables]
    groups: list[dict[str, Any]] = [{"params": rest}] if rest else []
    weights = [weight for weight in tables if weight.requires_grad]
    if weights:
        groups.append(_of_tables(recipe) | {"params": weights})
    kind: type[Adagrad] | type[Adam] = Adagrad if recipe.optimizer == "adagrad" else Adam
    return kind(groups, lr=recipe.learning_rate, eps=recipe.epsilon, clip=recipe.clip, tape=tape)


def _of_tables(recipe: Recipe) -> dict[str, Any]:
    """What the group of the tables says."""
    return {
        "rule": recipe.embedding_optimizer or recipe.optimizer,
        "lr": recipe.embedding_learning_rate or recipe.learning_rate,
        "eps": recipe.embedding_epsilon or recipe.epsilon,
        "l2": recipe.embedding_l2,
    }
