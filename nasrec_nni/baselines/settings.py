"""What all hand-made models share: table, MLP and dropout settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from nasrec_nni.errors import UserError, UserErrors, nearest


@dataclass(frozen=True)
class BaselineSettings:
    """Settings of a baseline; a model ignores those of parts that it does not have.

    Args:
        embedding: `E`, width of the embedding table.
        embedding_init: `xavier`, or the standard deviation of a normal distribution.
        sparse_gradients: gradients of the touched table rows only.
        dropout: behind every hidden layer of the MLP, while training.
        max_rows_per_field: rarer values of a field share the row of unseen ones.
        lengths: columns of ids of each field, None for one a field.
        hidden: widths of the MLP's hidden layers.
        cross_layers: cross layers of DCN-V2.
    """

    embedding: int = 16
    embedding_init: Literal["xavier"] | float = "xavier"
    sparse_gradients: bool = True
    dropout: float = 0.0
    max_rows_per_field: int | None = None
    lengths: tuple[int, ...] | None = None
    hidden: tuple[int, ...] = (256, 128)
    cross_layers: int = 3

    def changed(self, model: str, options: Mapping[str, Any], known: tuple[str, ...]) -> BaselineSettings:
        """The settings with a model's own options over them.

        Args:
            model: name of the baseline, for the messages.
            options: as the user's config gives them under `retrain.baseline_options.<model>`.
            known: the settings that this model reads.

        Raises:
            UserErrors: an option that the model does not have, or a value that cannot be meant.
        """
        problems = []
        for key, value in options.items():
            where = f"retrain.baseline_options.{model}.{key}"
            if key not in known:
                every = ", ".join(known) or "no option"
                problems.append(UserError("unknown option", where=where, allowed=every, hint=nearest(key, known)))
            elif (allowed := _problem(key, value)) is not None:
                problems.append(UserError("not allowed", value=value, where=where, allowed=allowed))
        if problems:
            raise UserErrors(problems)
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}
        return replace(self, **values)


def _problem(key: str, value: Any) -> str | None:
    """None for a value that can be meant, else what would be."""
    if key == "hidden":
        fine = isinstance(value, (list, tuple)) and value and all(type(width) is int and width > 0 for width in value)
        return None if fine else "a list of whole numbers above 0"
    if key == "dropout":
        return None if type(value) in (int, float) and 0 <= value < 1 else "a number from 0 to below 1"
    return None if type(value) is int and value > 0 else "a whole number above 0"
