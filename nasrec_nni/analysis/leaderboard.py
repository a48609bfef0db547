"""Who won, by a rule that is fixed before the test split is opened.

Results are one training each; standings are means over the seeds of a model, best first.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from math import isfinite
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

from nasrec_nni.files import write_text

Kind = Literal["searched", "random", "hand-made"]
WINNER_RULE = (
    "Lowest mean validation log loss over the seeds; ties go to the model with fewer live multiply-accumulates. "
    "Architectures drawn at random are trained to compare with and cannot win. "
    "The rule was fixed, and the winner known, before the test split was read."
)


@dataclass(frozen=True)
class Result:
    """One model trained once.

    Args:
        model: name as people read it.
        architecture: id of a searched architecture, None for a hand-made model.
        seed: of this training.
        val_log_loss: validation log loss at the chosen epoch.
        val_auc: validation AUC, None if it does not exist.
        test_log_loss: None while the test split is closed.
        test_auc: None while it is closed, or if it does not exist.
        calibration: mean predicted over mean observed click rate on the test split; None as above.
        live_macs: multiply-accumulates per example of what reaches the output.
        parameters: trained parameters without embedding tables.
        all_parameters: with them.
        train_cpu_seconds: CPU seconds of this training.
        random: the architecture was drawn at random, to compare with, and not found by the search.
        trials: of a sweep, from which its recipe was taken; 0 if nothing was swept.
        recipe: what the sweep has chosen, in words; None if nothing was swept.
    """

    model: str
    architecture: str | None
    seed: int
    val_log_loss: float
    val_auc: float | None
    test_log_loss: float | None
    test_auc: float | None
    calibration: float | None
    live_macs: int
    parameters: int
    all_parameters: int
    train_cpu_seconds: float
    random: bool = False
    trials: int = 0
    recipe: str | None = None


@dataclass(frozen=True)
class Figure:
    """Mean over seeds and sample deviation; the deviation of one seed is None."""

    mean: float
    deviation: float | None

    def text(self, digits: int = 4) -> str:
        """`0.3138 ± 0.0029`."""
        spread = "" if self.deviation is None else f" ± {self.deviation:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread}"


FIGURES = ("val_log_loss", "val_auc", "test_log_loss", "test_auc", "calibration", "train_cpu_seconds")


@dataclass(frozen=True)
class Standing:
    """One model over its seeds. A figure is None if any of its seeds lacks it."""

    model: str
    architecture: str | None
    seeds: tuple[int, ...]
    val_log_loss: Figure
    val_auc: Figure | None
    test_log_loss: Figure | None
    test_auc: Figure | None
    calibration: Figure | None
    train_cpu_seconds: Figure
    live_macs: int
    parameters: int
    all_parameters: int
    results: tuple[Result, ...]

    @property
    def trials(self) -> int:
        """Of a sweep, from which its recipe was taken; 0 if nothing was swept."""
        return self.results[0].trials

    @property
    def recipe(self) -> str | None:
        """What the sweep has chosen, in words; None if nothing was swept."""
        return self.results[0].recipe

    @property
    def kind(self) -> Kind:
        """How the model came to be."""
        if self.architecture is None:
            return "hand-made"
        return "random" if self.results[0].random else "searched"


def standings(results: Iterable[Result]) -> list[Standing]:
    """One standing per model, ordered by the figures of the winner rule; see `first_eligible`.

    Full ties (equal loss, equal MACs) are ordered by name, so that the order never depends on the input's.

    Raises:
        ValueError: a model has a seed twice, or a validation log loss that is not finite.
    """
    groups: dict[tuple[str, str | None], list[Result]] = {}
    for result in results:
        if not isfinite(result.val_log_loss):
            raise ValueError(f"validation log loss of {result.model}, seed {result.seed}, is {result.val_log_loss}")
        groups.setdefault((result.model, result.architecture), []).append(result)
    return sorted((_standing(group) for group in groups.values()), key=_rule)


def first_eligible(table: Sequence[Standing]) -> Standing:
    """The winner of standings in order: the first that is not a random architecture.

    Raises:
        ValueError: there is none.
    """
    for standing in table:
        if standing.kind != "random":
            return standing
    raise ValueError("no model was trained that could win")


def _rule(standing: Standing) -> tuple[float, int, str, str]:
    return standing.val_log_loss.mean, standing.live_macs, standing.model, standing.architecture or ""


def _standing(group: list[Result]) -> Standing:
    group = sorted(group, key=lambda result: result.seed)
    first, seeds = group[0], tuple(result.seed for result in group)
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"{first.model} has a seed twice: {seeds}")
    figures: dict[str, Any] = {name: _figure([getattr(result, name) for result in group]) for name in FIGURES}
    return Standing(
        first.model,
        first.architecture,
        seeds,
        live_macs=first.live_macs,
        parameters=first.parameters,
        all_parameters=first.all_parameters,
        results=tuple(group),
        **figures,
    )


def _figure(values: Sequence[float | None]) -> Figure | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return Figure(fmean(known), stdev(known) if len(known) > 1 else None)


def write_results(results: Iterable[Result], path: Path) -> None:
    """`results.csv`: one row per model and seed, columns as `Result`; what is None stays empty."""
    header = [field.name for field in fields(Result)]
    _write(path, header, (list(astuple(result)) for result in results))


def write_leaderboard(table: Sequence[Standing], path: Path) -> None:
    """`leaderboard.csv`: one row per model, rank 1 first; mean and sample deviation of every figure."""
    header = ["rank", "model", "kind", "architecture", "seeds"]
    header += [f"{name}_{part}" for name in FIGURES for part in ("mean", "deviation")]
    header += ["live_macs", "parameters", "all_parameters", "trials", "recipe"]
    rows = []
    for rank, standing in enumerate(table, 1):
        row: list[Any] = [
            rank,
            standing.model,
            standing.kind,
            standing.architecture,
            " ".join(map(str, standing.seeds)),
        ]
        for name in FIGURES:
            figure: Figure | None = getattr(standing, name)
            row += [figure.mean, figure.deviation] if figure else [None, None]
        costs = [standing.live_macs, standing.parameters, standing.all_parameters]
        rows.append([*row, *costs, standing.trials, standing.recipe])
    _write(path, header, rows)


def _write(path: Path, header: list[str], rows: Iterable[list[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())
