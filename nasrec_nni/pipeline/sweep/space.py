"""What a sweep may vary: keys of the recipe, each with a range or a list of values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from nasrec_nni.config import Config, Recipe
from nasrec_nni.errors import UserError, UserErrors, nearest

WHERE = "retrain.sweep.space"
# By the optimizer of the recipe; source: ours, about the rates and penalties of the two presets.
DEFAULTS: dict[str, dict[str, Any]] = {
    "adam": {
        "learning_rate": {"low": 3e-4, "high": 1e-2, "log": True},
        "embedding_l2": {"low": 1e-6, "high": 1e-3, "log": True},
        "dropout": {"low": 0.0, "high": 0.4},
    },
    "adagrad": {
        "learning_rate": {"low": 1e-2, "high": 0.3, "log": True},
        "embedding_l2": [0.0, 1e-6, 1e-5, 1e-4],
        "dropout": {"low": 0.0, "high": 0.4},
    },
}
# What a trial is and how it is judged is the same for all.
FIXED = ("preset", "monitor")
RANGE = ("low", "high", "log")


@dataclass(frozen=True)
class Dimension:
    """One key of the recipe.

    Args:
        key: of the recipe.
        choices: values to choose from; none for a range.
        low: of a range, both ends included.
        high: of a range.
        log: even over the logarithm.
        whole: whole numbers only.
    """

    key: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a value could have been drawn."""
        if self.choices:
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        return type(value) in (int, float) and self.low <= value <= self.high

    def ends(self) -> tuple[Any, ...]:
        """Every choice, or both ends."""
        return self.choices or (self.low, self.high)


def given_or_default(space: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The space as the config has it; that of the recipe's optimizer where it has none."""
    return dict(space) if space else DEFAULTS[recipe.optimizer]


def changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with other values at some keys."""
    return Recipe.model_validate(recipe.model_dump(mode="python") | dict(changes))


def dimensions(space: Mapping[str, Any], recipe: Recipe) -> list[Dimension]:
    """The space in the order of its keys.

    Raises:
        UserErrors: every key and value that cannot be.
    """
    found: list[Dimension] = []
    problems: list[UserError] = []
    for key, content in given_or_default(space, recipe).items():
        try:
            found.append(_dimension(key, content, recipe))
        except UserError as error:
            problems.append(error)
    if problems:
        raise UserErrors(problems)
    return found


def _dimension(key: str, content: Any, recipe: Recipe) -> Dimension:
    where = f"{WHERE}.{key}"
    known = [name for name in Recipe.model_fields if name not in FIXED]
    if key in FIXED:
        raise UserError("cannot be swept: all trials are made and judged alike", where=where, allowed=", ".join(known))
    if key not in known:
        raise UserError("no key of a recipe", where=where, allowed=", ".join(known), hint=nearest(key, known))
    if isinstance(content, (list, tuple)):
        values = tuple(_value(key, value, recipe) for value in content)
        if len(set(map(repr, values))) < max(2, len(values)):
            raise UserError("not a list to choose from", value=content, where=where, allowed="two values or more")
        return Dimension(key, values)
    if not isinstance(content, dict) or not {"low", "high"} <= set(content) <= set(RANGE):
        allowed = "a list of values, or {low: …, high: …} with log: true for one even over the logarithm"
        raise UserError("neither a list nor a range", value=content, where=where, allowed=allowed)
    return _range(key, content, recipe, where)


def _range(key: str, content: Mapping[str, Any], recipe: Recipe, where: str) -> Dimension:
    log = content.get("log", False)
    if type(log) is not bool:
        raise UserError("not a truth value", value=log, where=f"{where}.log", allowed="true, false")
    low, high = (_value(key, content[end], recipe, f".{end}") for end in ("low", "high"))
    if type(low) not in (int, float) or type(high) not in (int, float):
        raise UserError("has no range", value=dict(content), where=where, allowed="a list of values")
    if low >= high:
        raise UserError("an empty range", value=dict(content), where=where, allowed="low below high")
    if log and low <= 0:
        raise UserError("a range over the logarithm", value=low, where=f"{where}.low", allowed="a number above 0")
    return Dimension(key, (), low, high, log, whole=type(low) is int)


def _value(key: str, value: Any, recipe: Recipe, end: str = "") -> Any:
    """As the recipe itself would read it."""
    try:
        return getattr(changed(recipe, {key: value}), key)
    except ValidationError as error:
        told = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise UserError(told[0].lower() + told[1:], value=value, where=f"{WHERE}.{key}{end}") from None


def problems(config: Config) -> Iterator[UserError]:
    """What is wrong with the sweep of a config."""
    sweep = config.retrain.sweep
    if sweep is None:
        return
    if sweep.seed in config.retrain.seeds:
        yield UserError(
            "a sweep's trainings must be others than those that are compared",
            value=sweep.seed,
            where="retrain.sweep.seed",
            allowed="a seed that is not in retrain.seeds",
        )
    try:
        found = dimensions(sweep.space, config.retrain.recipe)
    except UserErrors as errors:
        yield from errors.errors
        return
    for batch in [value for one in found if one.key == "batch" for value in one.ends()]:
        if batch % config.devices:
            yield UserError(
                "a batch cannot be split evenly over the processes",
                value=batch,
                where=f"{WHERE}.batch",
                allowed=f"a list of multiples of devices ({config.devices})",
            )
