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
        attention_layers: of AutoInt.
        attention_width: of AutoInt, all heads together.
        attention_heads: of AutoInt; they share the width evenly.
        deep: whether AutoInt has an MLP beside its attention (AutoInt+).
        cin_maps: maps of each layer of xDeepFM's CIN.
        product_units: of PNN's product layer.
        reduction: rows of FiBiNET's squeeze for one of its excitation.
        bilinear: matrices of FiBiNET: one for all, one for each left row, one for each pair of rows (interaction).
        hidden_2: widths of FinalMLP's second stream, `hidden` if None.
        fusion_heads: of FinalMLP's bilinear fusion; they share the last widths of both streams evenly.
        gate_width: hidden width of FinalMLP's gates.
        context_1: numbers of the fields that FinalMLP's first gate reads, from 0; none for a learnt vector.
        context_2: the same of the second gate.
        form: of MaskNet: blocks side by side or one behind the other.
        mask_blocks: of MaskNet.
        block_width: of MaskNet's blocks.
        mask_width: hidden width of MaskNet's masks.
    """

    embedding: int = 16
    embedding_init: Literal["xavier"] | float = "xavier"
    sparse_gradients: bool = True
    dropout: float = 0.0
    max_rows_per_field: int | None = None
    lengths: tuple[int, ...] | None = None
    hidden: tuple[int, ...] = (256, 128)
    cross_layers: int = 3
    attention_layers: int = 2
    attention_width: int = 32
    attention_heads: int = 2
    deep: bool = True
    cin_maps: tuple[int, ...] = (16, 16)
    product_units: int = 64
    reduction: int = 3
    bilinear: Literal["all", "each", "interaction"] = "interaction"
    hidden_2: tuple[int, ...] | None = None
    fusion_heads: int = 1
    gate_width: int = 64
    context_1: tuple[int, ...] = ()
    context_2: tuple[int, ...] = ()
    form: Literal["parallel", "serial"] = "parallel"
    mask_blocks: int = 2
    block_width: int = 64
    mask_width: int = 64

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

    def refuse_without_effect(
        self, model: str, options: Mapping[str, Any], keys: tuple[str, ...], *, unless: bool, why: str
    ) -> None:
        """Raises UserError if the user gave one of the keys although they have no effect; `why` says with what."""
        given = [key for key in keys if key in options]
        if given and not unless:
            where = f"retrain.baseline_options.{model}.{given[0]}"
            raise UserError(f"has no effect with {why}", value=options[given[0]], where=where)


WORDS = {"bilinear": ("all", "each", "interaction"), "form": ("parallel", "serial")}


def _problem(key: str, value: Any) -> str | None:
    """None for a value that can be meant, else what would be."""
    if key in WORDS:
        return None if value in WORDS[key] else ", ".join(WORDS[key])
    if key == "deep":
        return None if type(value) is bool else "true, false"
    if key in ("context_1", "context_2"):
        listed = isinstance(value, (list, tuple)) and all(type(number) is int and number >= 0 for number in value)
        return None if listed and len(set(value)) == len(value) else "a list of numbers of fields, each once, from 0"
    if key in ("hidden", "hidden_2", "cin_maps"):
        fine = isinstance(value, (list, tuple)) and value and all(type(width) is int and width > 0 for width in value)
        return None if fine else "a list of whole numbers above 0"
    if key == "dropout":
        return None if type(value) in (int, float) and 0 <= value < 1 else "a number from 0 to below 1"
    return None if type(value) is int and value > 0 else "a whole number above 0"


def refuse_uneven(model: str, key: str, heads: int, **widths: int) -> None:
    """Raises UserError unless `heads` divides each of the widths; `key` is the option that says how many they are."""
    for name, width in widths.items():
        if width % heads:
            raise UserError(
                f"must divide {name} ({width})", value=heads, where=f"retrain.baseline_options.{model}.{key}"
            )
