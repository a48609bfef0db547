"""Numbers of the log to float32, or to bins: named, fitted on training rows only, each cell by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

DenseName = Literal["log1p", "standardize", "identity", "quantile"]
TransformName = Literal["auto", "log1p", "standardize", "identity", "quantile", "log2_bins"]
KNOTS = 256  # quantiles that stand for a distribution
SAMPLE = 1_000_000  # training values that they are taken from, at most


@dataclass(frozen=True)
class Transform:
    """What is done to a number. A missing one becomes 0.

    - `log1p`: log(1 + max(0, x)). Source: NASRec, authors' implementation.
    - `standardize`: (x - mean) / deviation.
    - `identity`: x.
    - `quantile`: where x stands among the knots, from 0 at the least training value to 1 at the largest, a line
      between two knots; a value that fills several knots stands in their middle.

    Attributes:
        name: which.
        mean: of the present training values, for `standardize`.
        deviation: of the same; 1 where they do not vary.
        knots: quantiles of the training values at equal steps, rising, for `quantile`.
    """

    name: DenseName
    mean: float = 0.0
    deviation: float = 1.0
    knots: tuple[float, ...] = ()

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """`[n]` raw, NaN for missing, to `[n]`; infinite only where a value leaves float32."""
        if self.name == "log1p":
            return np.log1p(np.fmax(values, 0.0)).astype(np.float32)  # fmax makes a missing value 0
        if self.name == "standardize":
            found = (values - self.mean) / self.deviation
        elif self.name == "quantile":
            found = self._share_below(values)
        else:
            found = values
        with np.errstate(over="ignore"):
            stored = found.astype(np.float32)
        stored[np.isnan(values)] = 0.0
        return stored

    def _share_below(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self.knots:
            return np.zeros_like(values)
        knots = np.asarray(self.knots)
        shares = np.linspace(0, 1, len(knots))
        # a flat stretch of equal knots is read from both ends, so that its values stand in its middle
        found: NDArray[np.float64] = 0.5 * (
            np.interp(values, knots, shares) - np.interp(-values, -knots[::-1], -shares[::-1])
        )
        return found


@dataclass(frozen=True)
class Moments:
    """What a transform is chosen and fitted by: the present training values of one column.

    Sums are about a value of the column, so that a mean far from 0 costs no digits.

    Attributes:
        count: how many.
        negative: how many below 0.
        minimum: `inf` if there is none.
        maximum: `-inf` if there is none.
        shift: the value; one for all that are combined.
        offset: mean less `shift`.
        squares: sum of squared distances from the mean.
    """

    count: int = 0
    negative: int = 0
    minimum: float = float("inf")
    maximum: float = float("-inf")
    shift: float = 0.0
    offset: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: NDArray[np.float64], shift: float = 0.0) -> Moments:
        """Of `[n]` values, none missing."""
        if not len(values):
            return cls(shift=shift)
        low, high = float(values.min()), float(values.max())
        negative = int(np.count_nonzero(values < 0)) if low < 0 else 0
        apart = values - shift
        offset = float(apart.mean())
        return cls(len(values), negative, low, high, shift, offset, float(np.square(apart - offset).sum()))

    def plus(self, other: Moments) -> Moments:
        """Of both together."""
        if not other.count:
            return self
        if not self.count:
            return other
        count = self.count + other.count
        apart = other.offset - self.offset
        return Moments(
            count,
            self.negative + other.negative,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self.shift,
            self.offset + apart * other.count / count,
            self.squares + other.squares + apart * apart * self.count * other.count / count,
        )

    @property
    def mean(self) -> float:
        return self.shift + self.offset

    @property
    def deviation(self) -> float:
        return float(np.sqrt(self.squares / self.count)) if self.count else 0.0


def choose(wanted: TransformName, moments: Moments) -> tuple[DenseName, str]:
    """The transform of a dense column and why.

    Args:
        wanted: a name, or `auto`: `log1p`, but `standardize` where log1p would flatten negative values.
        moments: of the training rows.
    """
    if wanted not in ("auto", "log2_bins"):
        return wanted, "asked for"  # type: ignore[return-value]
    if moments.negative:
        return "standardize", f"{moments.negative} training values are negative"
    return "log1p", "no training value is negative"


def fit(name: DenseName, moments: Moments, sample: NDArray[np.float64]) -> Transform:
    """A transform with its constants.

    Args:
        name: which.
        moments: of the training rows.
        sample: `[n]` present training values, for `quantile`: all of them, up to `SAMPLE`.
    """
    if name == "standardize":
        if moments.minimum >= moments.maximum:  # all alike, or none: what a sum leaves over is no deviation
            return Transform(name, moments.minimum if moments.count else 0.0)
        return Transform(name, *_tidy(moments.mean, moments.deviation or 1.0))  # 0 if the squares leave float64
    if name == "quantile" and len(sample):
        knots = np.quantile(sample, np.linspace(0, 1, min(KNOTS, max(2, len(sample)))))
        return Transform(name, knots=tuple(map(float, np.maximum.accumulate(knots))))
    return Transform(name)


def _tidy(mean: float, deviation: float) -> tuple[float, float]:
    """Both to 40 bits below the deviation: what follows depends on how the log was cut into files and chunks.

    On a grid of powers of 2, sums of whole numbers lie on it and decimal fractions hardly ever half way between.
    """
    unit = 2.0 ** (math.floor(math.log2(deviation)) - 40)
    return round(mean / unit) * unit, round(deviation / unit) * unit


def log2_bins(values: NDArray[np.float64]) -> Any:
    """`[n]` numbers to Arrow strings, null for missing: floor(ln(x)²) above 2, else x without its fraction.

    Source: the habit of the public CTR benchmarks (BARS), where integers of Criteo become categories so.
    """
    import pyarrow as pa  # not for the workers of a search, which read schemas only

    missing = np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        bins = np.where(values > 2, np.floor(np.square(np.log(np.maximum(values, 1.0)))), np.trunc(values))
    bins[missing] = 0
    exact = np.clip(bins, -(2.0**62), 2.0**62).astype(np.int64)  # a negative number may be as long as float32 allows
    return pa.array(exact, mask=missing).dictionary_encode().cast(pa.dictionary(pa.int32(), pa.string()))
