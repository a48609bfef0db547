"""Is the winner's gain more than noise? Differences paired over seeds and over test rows, said in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.analysis.leaderboard import Kind, Standing, first_eligible

CONFIDENCE = 0.95
NAMES: dict[Kind, str] = {
    "searched": "searched network",
    "random": "random architecture",
    "hand-made": "hand-made model",
}


@dataclass(frozen=True)
class Difference:
    """Log loss of `model` minus that of `other`, on the same rows, seed by seed; below 0 means `model` is better.

    Args:
        model: name of the first model.
        other: name of the second.
        split: `test`, or `validation` while the test split is closed.
        seeds: the seeds that both were trained with.
        mean: of the differences.
        low: lower end of the interval of `CONFIDENCE`; None for a single seed.
        high: upper end.
    """

    model: str
    other: str
    split: str
    seeds: tuple[int, ...]
    mean: float
    low: float | None
    high: float | None

    @property
    def within_noise(self) -> bool | None:
        """Whether the interval holds 0; None if one seed leaves no interval."""
        return None if self.low is None or self.high is None else self.low <= 0 <= self.high


def paired_difference(first: Standing, second: Standing) -> Difference | None:
    """The difference over the seeds that both have, with Student's t interval; None without a common seed."""
    from scipy.stats import t

    opened = first.test_log_loss is not None and second.test_log_loss is not None
    name = "test_log_loss" if opened else "val_log_loss"
    left, right = ({r.seed: getattr(r, name) for r in standing.results} for standing in (first, second))
    seeds = tuple(sorted(left.keys() & right.keys()))
    if not seeds:
        return None
    differences = [left[seed] - right[seed] for seed in seeds]
    mean, low, high = fmean(differences), None, None
    if len(seeds) > 1:
        factor = float(t.ppf((1 + CONFIDENCE) / 2, len(seeds) - 1))
        half = factor * stdev(differences) / len(seeds) ** 0.5
        low, high = mean - half, mean + half
    split = "test" if opened else "validation"
    return Difference(first.model, second.model, split, seeds, mean, low, high)


@dataclass(frozen=True)
class RowDifference:
    """The same difference as its test rows show it: other rows of the same kind would give another figure.

    Args:
        rows: how many.
        low: lower end of the interval of `CONFIDENCE` of the mean over rows.
        high: upper end.
    """

    rows: int
    low: float
    high: float

    @classmethod
    def of(cls, differences: NDArray[np.float64], weight: NDArray[Any] | None = None) -> RowDifference | None:
        """From `[N]` log losses of the first model minus those of the second, row by row, averaged over seeds.

        The standard error is the paired one; None for a single row.

        Args:
            differences: `[N]`.
            weight: `[N]`, of the mean `Σ w d / Σ w`; None if all rows count as one. A row stays one observation,
                whatever its weight: three impressions in one row are alike, and tell less than three rows. The error is
                that of a ratio, `√(n / (n − 1) Σ w² (d − mean)²) / Σ w`, which for equal weights is the usual one.
        """
        if len(differences) < 2:
            return None
        if weight is None:
            mean, error = float(differences.mean()), float(differences.std(ddof=1)) / len(differences) ** 0.5
        else:
            share = weight.astype(np.float64) / weight.sum(dtype=np.float64)
            mean = float(share @ differences)
            squares = float((share**2) @ (differences - mean) ** 2)
            error = (squares * len(differences) / (len(differences) - 1)) ** 0.5
        half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error
        return cls(len(differences), mean - half, mean + half)

    @property
    def within_noise(self) -> bool:
        """Whether the interval holds 0."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Verdict:
    """Who won, and against whom it is measured.

    Args:
        headline: who won and whether that is more than noise, one sentence.
        detail: the difference and its interval in figures, one sentence.
        winner: by the winner rule.
        rival: the best searched network if a hand-made model won, else the best hand-made one; None if there is none.
        difference: winner minus rival.
    """

    headline: str
    detail: str
    winner: Standing
    rival: Standing | None
    difference: Difference | None


def contestants(table: Sequence[Standing]) -> tuple[Standing, Standing | None]:
    """The winner, and the best of the other kind if one was trained.

    Raises:
        ValueError: nobody can win.
    """
    winner = first_eligible(table)
    wanted = "searched" if winner.kind == "hand-made" else "hand-made"
    return winner, next((standing for standing in table if standing.kind == wanted), None)


def verdict(table: Sequence[Standing], rows: RowDifference | None = None) -> Verdict:
    """Judge standings that are ordered by the winner rule.

    Args:
        table: all models.
        rows: difference of the two `contestants` over the test rows, if their predictions are at hand.

    Raises:
        ValueError: nobody can win.
    """
    winner, rival = contestants(table)
    wanted = "searched" if winner.kind == "hand-made" else "hand-made"
    who = f"The {NAMES[winner.kind]} {winner.model}"
    if rival is None:
        headline = f"{who} won; no {wanted} model was trained, so the gain cannot be judged."
        return Verdict(headline, f"Its log loss is {_loss(winner)}.", winner, None, None)
    difference = paired_difference(winner, rival)
    headline = f"{who} won against the best {NAMES[rival.kind]}, {rival.model}{_judgement(difference, rows)}."
    return Verdict(headline, _detail(winner, rival, difference, rows), winner, rival, difference)


def random_architectures(table: Sequence[Standing]) -> str | None:
    """How good an average random architecture is, one sentence; None if none was trained."""
    drawn = [standing for standing in table if standing.kind == "random"]
    if not drawn:
        return None
    opened = all(standing.test_log_loss for standing in drawn)
    losses = [((s.test_log_loss if opened else None) or s.val_log_loss).mean for s in drawn]
    split = "test" if opened else "validation"
    if len(losses) == 1:
        text = f"The random architecture trained to compare with has a {split} log loss of {losses[0]:.4f}."
    else:
        text = (
            f"An average random architecture of the same space has a {split} log loss of {fmean(losses):.4f} ± "
            f"{stdev(losses):.4f} (mean and deviation over {len(losses)} architectures)."
        )
    if table[0].kind == "random":
        text += f" One of them, {table[0].model}, is ahead of the winner on the validation rows."
    return text


def _judgement(difference: Difference | None, rows: RowDifference | None) -> str:
    if difference is None:
        return "; they share no seed, so the gain cannot be judged"
    if difference.within_noise is None:
        return "; with a single seed this cannot be told from noise"
    if difference.within_noise:
        return ", but the gain is within noise"
    if rows is not None and rows.within_noise:
        return f", but {rows.rows:,} test rows are too few to tell the difference from chance"
    noise = "seed noise" if rows is None else "noise"
    if difference.mean > 0:
        return f" by the rule (validation), but on the {difference.split} rows it is worse, by more than {noise}"
    return f", and the gain is more than {noise}"


def _detail(winner: Standing, rival: Standing, difference: Difference | None, rows: RowDifference | None) -> str:
    text = f"Log loss {_loss(winner)} against {_loss(rival)}"
    if difference is None:
        return f"{text}."
    text += f"; paired difference {_signed(difference.mean)}"
    if difference.low is None or difference.high is None:
        return f"{text} on seed {difference.seeds[0]} alone ({difference.split} rows)."
    over_seeds = f"{_signed(difference.low)} to {_signed(difference.high)} over {len(difference.seeds)} seeds"
    if rows is None:
        over_rows = f"on {difference.split} rows whose own chance is not judged"
    else:
        over_rows = f"{_signed(rows.low)} to {_signed(rows.high)} over {rows.rows:,} test rows"
    return f"{text} ({CONFIDENCE:.0%} intervals: {over_seeds}, {over_rows}; below 0 favours the winner)."


def _loss(standing: Standing) -> str:
    return (standing.test_log_loss or standing.val_log_loss).text()


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")
