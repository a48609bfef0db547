"""Differences between two models, paired over seeds and over test rows, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.analysis.leaderboard import Standing

CONFIDENCE = 0.95


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
    opened = first.test_log_loss is not None and second.test_log_loss is not None
    name = "test_log_loss" if opened else "val_log_loss"
    left, right = ({r.seed: getattr(r, name) for r in standing.results} for standing in (first, second))
    seeds = tuple(sorted(left.keys() & right.keys()))
    if not seeds:
        return None
    differences = [left[seed] - right[seed] for seed in seeds]
    mean, low, high = fmean(differences), None, None
    if len(seeds) > 1:
        half = seed_factor(len(seeds)) * stdev(differences)
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

    def turned(self) -> RowDifference:
        """The second model minus the first."""
        return RowDifference(self.rows, -self.high, -self.low)


@dataclass(frozen=True)
class Contrast:
    """One model against another.

    Args:
        model: the first.
        other: the second, of which differences are taken.
        seeds: difference over common seeds; None if there is none.
        rows: the same over test rows; None if their predictions are not at hand.
    """

    model: Standing
    other: Standing
    seeds: Difference | None
    rows: RowDifference | None

    @property
    def within_noise(self) -> bool | None:
        """Whether either interval holds 0; None if seeds leave no interval."""
        told = None if self.seeds is None else self.seeds.within_noise
        return told if told is None or self.rows is None else told or self.rows.within_noise


def contrast(first: Standing, second: Standing, rows: RowDifference | None = None) -> Contrast:
    """One model against another, with what is known of the test rows."""
    return Contrast(first, second, paired_difference(first, second), rows)


def seed_factor(seeds: int) -> float:
    """Half the width of the interval over seeds, in deviations between seeds: `t / √n`, for two or more."""
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, seeds - 1) / seeds**0.5)
